//! INFO. What only the owner of the engine knows, it tells as facts; they replace lines of the same name.

use windlass_resp::Value;

use super::REDIS_VERSION;
use crate::acl::{hex, sha256};
use crate::command::Answer;
use crate::pubsub::Kind;
use crate::session::Session;
use crate::state::{Call, State};
use crate::tally::Count;
use crate::time::Time;

/// Lines of name and value.
type Lines = Vec<(&'static str, String)>;

/// Gives the lines of a section.
type Describe = fn(&State, Time) -> Lines;

/// The sections in order: title and lines.
const SECTIONS: &[(&str, Describe)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", |_, _| Vec::new()),
    ("Modules", |_, _| Vec::new()),
    ("Commandstats", |_, _| Vec::new()),
    ("Errorstats", |_, _| Vec::new()),
    ("Latencystats", |_, _| Vec::new()),
    ("Cluster", |_, _| vec![("cluster_enabled", "0".into())]),
    ("Keyspace", |_, _| Vec::new()),
];

/// About what an engine takes without data: its Lua state, its tables, and the buffers of its log.
const FIXED_BYTES: usize = 256 * 1024;

/// Sections that are long and so are not among the usual ones.
const EXTRA: [&str; 2] = ["Commandstats", "Latencystats"];

pub fn info(call: &mut Call<'_>) -> Answer {
    let wanted: Vec<String> =
        call.args.from(1).iter().map(|arg| String::from_utf8_lossy(arg).to_ascii_lowercase()).collect();
    let is_all = wanted.is_empty()
        || wanted.iter().any(|word| matches!(word.as_str(), "all" | "everything" | "default"));
    let is_everything = wanted.iter().any(|word| matches!(word.as_str(), "all" | "everything"));
    let mut text = String::new();
    let mut section = |title: &str, lines: &mut dyn Iterator<Item = (&str, &str)>| {
        let is_extra = EXTRA.contains(&title);
        if !(is_all && (is_everything || !is_extra)) && !wanted.contains(&title.to_ascii_lowercase()) {
            return;
        }
        if !text.is_empty() {
            text += "\r\n";
        }
        text += &format!("# {title}\r\n");
        for (name, value) in lines {
            text += &format!("{name}:{value}\r\n");
        }
    };
    call.state.note_memory();
    let state = &*call.state;
    for (title, lines) in SECTIONS {
        let facts = state.facts.get(&title.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
        let mut lines: Vec<(String, String)> =
            lines(state, call.now).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match *title {
            "Keyspace" => lines = keyspace(state),
            "Commandstats" => lines = command_stats(state),
            "Errorstats" => lines = error_stats(state),
            "Latencystats" => lines = latency_stats(state),
            _ => {}
        }
        for (name, value) in facts {
            match lines.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) => old.clone_from(value),
                None => lines.push((name.clone(), value.clone())),
            }
        }
        section(title, &mut lines.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    // Sections that only the owner knows; its settings are for CONFIG.
    for (title, lines) in &state.facts {
        let is_known = SECTIONS.iter().any(|(known, _)| known.eq_ignore_ascii_case(title));
        if !is_known && title != "config" {
            section(title, &mut lines.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
    }
    Ok(Value::Verbatim("txt", text))
}

fn server(state: &State, now: Time) -> Lines {
    let uptime = now.seconds().saturating_sub(state.started.seconds());
    vec![
        ("redis_version", REDIS_VERSION.into()),
        ("windlass_version", env!("CARGO_PKG_VERSION").into()),
        ("redis_git_sha1", "00000000".into()),
        ("redis_mode", "standalone".into()),
        ("run_id", run_id(state)),
        ("arch_bits", usize::BITS.to_string()),
        ("tcp_port", "0".into()),
        ("server_time_usec", now.micros().to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
    ]
}

fn clients(state: &State, _: Time) -> Lines {
    // Absent is who asks.
    let clients =
        state.sessions.values().filter(|session| session.as_ref().is_none_or(|s| s.is_client())).count();
    vec![
        ("connected_clients", clients.to_string()),
        ("maxclients", state.config.clients.count_max.to_string()),
        ("blocked_clients", state.waits.len().to_string()),
        ("cluster_connections", "0".into()),
    ]
}

fn memory(state: &State, _: Time) -> Lines {
    let (data, limit) = (state.bytes(), state.config.memory_max);
    // Beside the data: what is not freed yet, and what there is without any.
    let used = data + state.garbage.bytes() + FIXED_BYTES + state.sessions.len() * size_of::<Session>();
    vec![
        ("used_memory", used.to_string()),
        ("used_memory_human", human(used)),
        ("used_memory_peak", state.stats.memory_peak.max(used).to_string()),
        ("used_memory_peak_human", human(state.stats.memory_peak.max(used))),
        ("used_memory_dataset", data.to_string()),
        ("number_of_cached_scripts", state.cached_scripts.to_string()),
        ("number_of_functions", state.libraries.functions().to_string()),
        ("number_of_libraries", state.libraries.len().to_string()),
        ("maxmemory", limit.to_string()),
        ("maxmemory_human", human(limit)),
        ("maxmemory_policy", state.config.eviction.name().into()),
        ("lazyfree_pending_objects", state.garbage.pending().to_string()),
        ("lazyfreed_objects", state.garbage.freed.to_string()),
    ]
}

/// Bytes as Redis shows them to people.
fn human(bytes: usize) -> String {
    let scaled = |shift: u32| bytes as f64 / (1_u64 << shift) as f64;
    match bytes {
        0..=0x3ff => format!("{bytes}B"),
        0x400..=0xf_ffff => format!("{:.2}K", scaled(10)),
        0x10_0000..=0x3fff_ffff => format!("{:.2}M", scaled(20)),
        _ => format!("{:.2}G", scaled(30)),
    }
}

fn persistence(state: &State, _: Time) -> Lines {
    vec![
        ("loading", "0".into()),
        ("rdb_changes_since_last_save", (state.effects.count() - state.changes_saved).to_string()),
        ("rdb_bgsave_in_progress", "0".into()),
        ("rdb_last_save_time", state.started.seconds().to_string()),
        ("rdb_last_bgsave_status", "ok".into()),
        ("aof_enabled", "0".into()),
        ("aof_rewrite_in_progress", "0".into()),
        ("aof_rewrite_scheduled", "0".into()),
        ("aof_last_bgrewrite_status", "ok".into()),
        ("aof_last_write_status", "ok".into()),
    ]
}

/// Forty digits that no other engine has, of one seed and one start.
fn run_id(state: &State) -> String {
    let bytes = [state.config.seed.to_be_bytes(), state.started.micros().to_be_bytes()].concat();
    let mut text = hex(&sha256(&bytes));
    text.truncate(40);
    text
}

fn stats(state: &State, now: Time) -> Lines {
    let stats = &state.stats;
    vec![
        ("total_connections_received", stats.connections.to_string()),
        ("total_commands_processed", stats.commands.to_string()),
        ("instantaneous_ops_per_sec", stats.rate.per_second(stats.commands, now).to_string()),
        ("rejected_connections", stats.rejected_connections.to_string()),
        ("expired_keys", stats.expired_keys.to_string()),
        ("evicted_keys", stats.evicted_keys.to_string()),
        ("longest_call_us", stats.call_max_us.to_string()),
        ("longest_tick_us", stats.tick_max_us.to_string()),
        ("keyspace_hits", stats.keyspace_hits.to_string()),
        ("total_error_replies", stats.tally.errors().to_string()),
        ("keyspace_misses", stats.keyspace_misses.to_string()),
        ("pubsub_channels", state.pubsub.of(Kind::Channel).len().to_string()),
        ("pubsub_patterns", state.pubsub.of(Kind::Pattern).len().to_string()),
        ("pubsubshard_channels", state.pubsub.of(Kind::Shard).len().to_string()),
    ]
}

fn replication(_: &State, _: Time) -> Lines {
    vec![("role", "master".into()), ("connected_slaves", "0".into()), ("master_repl_offset", "0".into())]
}

fn keyspace(state: &State) -> Vec<(String, String)> {
    let used = state.databases.iter().enumerate().filter(|(_, keyspace)| keyspace.len() > 0);
    used.map(|(db, keyspace)| {
        let line = format!("keys={},expires={},avg_ttl=0", keyspace.len(), keyspace.expiring());
        (format!("db{db}"), line)
    })
    .collect()
}

fn command_stats(state: &State) -> Vec<(String, String)> {
    let line = |count: &Count| {
        let per_call = if count.calls == 0 { 0.0 } else { count.took_us as f64 / count.calls as f64 };
        let value = format!(
            "calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
            count.calls, count.took_us, count.rejected, count.failed
        );
        (format!("cmdstat_{}", count.name), value)
    };
    state.stats.tally.commands().into_iter().map(line).collect()
}

fn error_stats(state: &State) -> Vec<(String, String)> {
    let codes = state.stats.tally.codes().iter();
    codes.map(|(code, count)| (format!("errorstat_{code}"), format!("count={count}"))).collect()
}

fn latency_stats(state: &State) -> Vec<(String, String)> {
    let counts = state.stats.tally.commands().into_iter().filter(|count| count.is_timed());
    counts
        .map(|count| {
            let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| count.percentile(percent));
            let value = format!("p50={p50}.000,p99={p99}.000,p99.9={p999}.000");
            (format!("latency_percentiles_usec_{}", count.name), value)
        })
        .collect()
}
