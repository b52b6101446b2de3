//! CONFIG: the settings of Redis that clients look at. Those with a change in [`OWN`] and the sizes of forms can be set;
//! the rest say how things are here.

use windlass_resp::Value;

use super::GROUP;
use super::fixed::{FIXED, why_not};
use crate::command::{Answer, Command, Keys};
use crate::config::{Config, Setting as SettingNow};
use crate::error::{Error, Result};
use crate::form::Forms;
use crate::limits;
use crate::notify::Classes;
use crate::number::parse_integer;
use crate::pattern;
use crate::settings::Settings;
use crate::state::{Call, State, Stats};

pub const SUBCOMMANDS: &[Command] = &[
    GROUP.sub(
        "config|get",
        -3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<pattern> [<pattern> ...]",
        "The settings that match.",
        get,
    ),
    GROUP.help("config|help"),
    GROUP.sub(
        "config|resetstat",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "Let INFO count from 0 again.",
        resetstat,
    ),
    GROUP.sub(
        "config|rewrite",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "Keep the settings as they are now in the file that the server read.",
        rewrite,
    ),
    GROUP.sub(
        "config|set",
        -4,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<name> <value> [<name> <value> ...]",
        "Change maxmemory or requirepass until the end of the process.",
        set,
    ),
];

/// What a setting that can be changed is changed in: all of them, or none.
struct Draft {
    config: Config,
    settings: Settings,
}

/// Takes a value; the error says why not.
type Change = fn(&mut Draft, &str) -> std::result::Result<(), String>;

/// A setting that the engine has: its name, how it is now, and how it is changed.
type Setting = (&'static str, fn(&State) -> String, Option<Change>);

/// A setting that `limits` shows and sets by its name.
macro_rules! limit {
    ($name:literal) => {
        (
            $name,
            |state| limits::shown(&state.config, $name),
            Some(|draft, value| limits::set(&mut draft.config, $name, value)),
        )
    };
}

const OWN: &[Setting] = &[
    limit!("auto-aof-rewrite-min-size"),
    limit!("auto-aof-rewrite-percentage"),
    limit!("busy-reply-threshold"),
    limit!("client-output-buffer-limit"),
    limit!("client-query-buffer-limit"),
    ("databases", |state| state.config.databases.to_string(), None),
    ("enable-debug-command", |state| limits::shown(&state.config, "enable-debug-command"), None),
    (
        "latency-monitor-threshold",
        |state| state.settings.latency_min_ms.to_string(),
        Some(|draft, value| number(value, 0).map(|min| draft.settings.latency_min_ms = min.unsigned_abs())),
    ),
    limit!("lua-time-limit"),
    limit!("maxclients"),
    (
        "maxmemory",
        |state| state.config.memory_max.to_string(),
        Some(|draft, value| {
            draft.config.memory_max = limits::bytes(value).ok_or("argument must be a memory value")?;
            Ok(())
        }),
    ),
    ("maxmemory-clients", |_| "0".into(), Some(|_, value| set_clients_memory(value))),
    limit!("maxmemory-policy"),
    limit!("maxmemory-samples"),
    (
        "notify-keyspace-events",
        |state| state.settings.notify.letters(),
        Some(|draft, value| {
            draft.settings.notify =
                Classes::parse(value).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
            Ok(())
        }),
    ),
    limit!("protected-mode"),
    limit!("proto-max-bulk-len"),
    (
        "requirepass",
        |state| state.config.password.clone(),
        Some(|draft, value| {
            value.clone_into(&mut draft.config.password);
            Ok(())
        }),
    ),
    (
        "slowlog-log-slower-than",
        |state| state.settings.slow_min_us.to_string(),
        Some(|draft, value| number(value, -1).map(|min| draft.settings.slow_min_us = min)),
    ),
    (
        "slowlog-max-len",
        |state| state.settings.slow_len_max.to_string(),
        Some(|draft, value| {
            number(value, 0)
                .map(|max| draft.settings.slow_len_max = usize::try_from(max).unwrap_or(usize::MAX))
        }),
    ),
    (
        "stream-node-max-entries",
        |state| state.settings.stream_block_max.to_string(),
        Some(|draft, value| {
            number(value, 0)
                .map(|max| draft.settings.stream_block_max = u16::try_from(max).unwrap_or(u16::MAX))
        }),
    ),
    limit!("tcp-keepalive"),
    limit!("timeout"),
];

/// What all clients together may take is not bounded, but what each may: this setting has one value.
fn set_clients_memory(value: &str) -> std::result::Result<(), String> {
    if let Some(percent) = value.strip_suffix('%') {
        number(percent, 0)
            .ok()
            .filter(|percent| *percent <= 100)
            .ok_or("percentage argument must be less or equal to 100")?;
    }
    match value {
        "0" | "0%" => Ok(()),
        _ => Err("only 0 is possible: see client-output-buffer-limit for what each client may take".into()),
    }
}

/// A number that is at least `min`.
fn number(text: &str, min: i64) -> std::result::Result<i64, String> {
    let number = parse_integer(text.as_bytes()).ok_or("argument couldn't be parsed into an integer")?;
    if number < min {
        return Err(format!("argument must be between {min} and {} inclusive", i64::MAX));
    }
    Ok(number)
}

/// Every setting with its value: those of the engine, then what its owner told, then what is fixed.
fn settings(state: &State) -> Vec<(String, String)> {
    let own = OWN.iter().map(|(name, value, _)| ((*name).to_owned(), value(state)));
    let forms = &state.settings.forms;
    let sizes = Forms::names().filter_map(|name| Some((name.to_owned(), forms.get(name)?.to_string())));
    let mut all: Vec<(String, String)> = own.chain(sizes).collect();
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
    apply(call.state, call.args.from(2)).map(|()| Value::OK)
}

/// Changes settings: names and values in turn.
pub fn apply(state: &mut State, pairs: &[&[u8]]) -> Result<()> {
    if !pairs.len().is_multiple_of(2) {
        return Err(Error::arity("config|set"));
    }
    let known = settings(state);
    let mut draft = Draft { config: state.config.clone(), settings: state.settings.clone() };
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
        match OWN.iter().find(|(own, ..)| *own == name) {
            Some((_, _, Some(change))) => change(&mut draft, &value).map_err(|why| refused(&why))?,
            None if draft.settings.forms.get(&name).is_some() => {
                draft.settings.forms.set(&name, &value).map_err(|why| refused(&why))?;
            }
            // Tools set what they need without looking; that it is so already is no failure.
            _ if value.eq_ignore_ascii_case(before) => {}
            _ => return Err(refused(why_not(&name, &value))),
        }
        seen.push(name);
    }
    // All or nothing, as in Redis.
    if draft.config.password != state.config.password || seen.iter().any(|name| name == "requirepass") {
        state.users.set_default_password(&draft.config.password);
    }
    state.config = draft.config;
    state.settings = draft.settings;
    Ok(())
}

fn resetstat(call: &mut Call<'_>) -> Answer {
    call.state.stats = Stats::default();
    call.state.garbage.freed = 0;
    Ok(Value::OK)
}

/// The file is the owner's: it is asked, if it has told that there is one.
fn rewrite(call: &mut Call<'_>) -> Result<Value> {
    if !call.state.can_keep_settings {
        return Err(Error::new("ERR The server is running without a config file"));
    }
    call.state.wants_settings_kept = true;
    Ok(Value::OK)
}

/// Settings that only have another name for one that is there, or one value.
const UNKEPT: [&str; 2] = ["lua-time-limit", "maxmemory-clients"];

/// What can be changed, as it is now.
pub fn changeable(state: &State) -> Vec<SettingNow> {
    let plain = State::new(Config { databases: 0, ..Config::default() });
    let own = OWN.iter().filter(|(name, _, change)| change.is_some() && !UNKEPT.contains(name));
    let own = own.map(|(name, value, _)| (*name, value(state), value(&plain)));
    let of =
        |state: &State, name| state.settings.forms.get(name).map(|size| size.to_string()).unwrap_or_default();
    let sizes = Forms::first_names().map(|name| (name, of(state, name), of(&plain, name)));
    let all = own.chain(sizes);
    all.map(|(name, value, default)| SettingNow { name, is_default: value == default, value }).collect()
}
