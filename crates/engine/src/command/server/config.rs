//! CONFIG: the settings of Redis that clients look at. Two can be set; the rest say how things are here.

use windlass_resp::Value;

use crate::command::Answer;
use crate::command::container::{Subcommand, dispatch};
use crate::command::string::STRING_MAX;
use crate::error::{Error, Result};
use crate::limits;
use crate::pattern;
use crate::state::{Call, State, Stats};

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "get",
        arity: -3,
        usage: "<pattern> [<pattern> ...]",
        summary: "The settings that match.",
        run: get,
    },
    Subcommand {
        name: "resetstat",
        arity: 2,
        usage: "",
        summary: "Let INFO count from 0 again.",
        run: resetstat,
    },
    Subcommand { name: "rewrite", arity: 2, usage: "", summary: "Refused: there is no file.", run: rewrite },
    Subcommand {
        name: "set",
        arity: -4,
        usage: "<name> <value> [<name> <value> ...]",
        summary: "Change maxmemory or requirepass until the end of the process.",
        run: set,
    },
];

/// Settings that never change, and their values.
const FIXED: &[(&str, &str)] = &[
    ("aof-use-rdb-preamble", "no"),
    ("appendfilename", "appendonly.aof"),
    ("appenddirname", "appendonlydir"),
    ("appendfsync", "always"),
    ("appendonly", "no"),
    ("bind", ""),
    ("cluster-enabled", "no"),
    ("dir", ""),
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("io-threads", "1"),
    ("lazyfree-lazy-user-del", "yes"),
    ("lazyfree-lazy-user-flush", "yes"),
    ("list-max-listpack-size", "-2"),
    ("maxmemory-policy", "noeviction"),
    ("notify-keyspace-events", ""),
    ("port", "0"),
    ("proto-max-bulk-len", "536870912"),
    ("replica-read-only", "yes"),
    ("save", ""),
    ("set-max-intset-entries", "512"),
    ("slowlog-max-len", "0"),
    ("stop-writes-on-bgsave-error", "yes"),
    ("stream-node-max-entries", "100"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
];
const _: () = assert!(STRING_MAX == 536_870_912, "proto-max-bulk-len says what holds");

pub fn config(call: &mut Call<'_>) -> Answer {
    dispatch(call, SUBCOMMANDS)
}

/// Every setting with its value: those of the engine, then what its owner told, then what is fixed.
fn settings(state: &State) -> Vec<(String, String)> {
    let config = &state.config;
    let mut all: Vec<(String, String)> = vec![
        ("databases".into(), config.databases.to_string()),
        ("maxmemory".into(), config.memory_max.to_string()),
        ("requirepass".into(), config.password.clone()),
    ];
    all.extend(limits::shown(config).into_iter().map(|(name, value)| (name.to_owned(), value)));
    let told = state.facts.get("config").into_iter().flatten().cloned();
    let fixed = FIXED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    for (name, value) in told.chain(fixed) {
        if all.iter().all(|(other, _)| *other != name) {
            all.push((name, value));
        }
    }
    all
}

fn get(call: &mut Call<'_>) -> Answer {
    let wanted = call.args.from(2);
    let mut found = Vec::new();
    for (name, value) in settings(call.state) {
        // A name that is no pattern comes back as it was spelled.
        let spelled = wanted.iter().find(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()));
        let is_wanted = |wanted: &&[u8]| pattern::matches(&wanted.to_ascii_lowercase(), name.as_bytes());
        if spelled.is_some() || wanted.iter().any(is_wanted) {
            found.push((Value::bulk(spelled.map_or(name.as_bytes(), |spelled| spelled)), Value::bulk(value)));
        }
    }
    Ok(Value::Map(found))
}

fn set(call: &mut Call<'_>) -> Answer {
    let pairs = call.args.from(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(Error::arity("config|set"));
    }
    let known = settings(call.state);
    let mut changed = call.state.config.clone();
    let mut seen: Vec<String> = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let name = String::from_utf8_lossy(pair[0]).to_ascii_lowercase();
        let value = String::from_utf8_lossy(pair[1]);
        let refused = |why: &str| {
            Error::new(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
        };
        let Some((_, before)) = known.iter().find(|(other, _)| *other == name) else {
            let shown = String::from_utf8_lossy(pair[0]);
            return Err(Error::new(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{shown}'"
            )));
        };
        if seen.contains(&name) {
            return Err(refused("duplicate parameter"));
        }
        match name.as_str() {
            "maxmemory" => {
                changed.memory_max =
                    limits::bytes(&value).ok_or_else(|| refused("argument must be a memory value"))?;
            }
            _ if limits::is_limit(&name) => {
                limits::set(&mut changed, &name, &value).map_err(|why| refused(&why))?;
            }
            "requirepass" => changed.password = value.into_owned(),
            // Tools set what they need without looking; that it is so already is no failure.
            _ if value.eq_ignore_ascii_case(before) => {}
            _ => return Err(refused("can't set immutable config")),
        }
        seen.push(name);
    }
    // All or nothing, as in Redis.
    call.state.config = changed;
    Ok(Value::OK)
}

fn resetstat(call: &mut Call<'_>) -> Answer {
    call.state.stats = Stats::default();
    Ok(Value::OK)
}

fn rewrite(_: &mut Call<'_>) -> Result<Value> {
    Err(Error::new("ERR The server is running without a config file"))
}
