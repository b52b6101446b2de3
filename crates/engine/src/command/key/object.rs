//! OBJECT: how a value is stored.

use windlass_resp::Value;

use super::GROUP;
use crate::command::{Answer, Command, Keys};
use crate::error::Error;
use crate::keyspace::Entry;
use crate::state::Call;

pub const SUBCOMMANDS: &[Command] = &[
    GROUP.sub(
        "object|encoding",
        3,
        flags![READONLY],
        Keys::Range(2, 2, 1),
        "<key>",
        "The name of its form.",
        encoding,
    ),
    GROUP.sub(
        "object|freq",
        3,
        flags![READONLY],
        Keys::Range(2, 2, 1),
        "<key>",
        "How often it is used; only known where eviction counts that.",
        freq,
    ),
    GROUP.help("object|help"),
    GROUP.sub(
        "object|idletime",
        3,
        flags![READONLY],
        Keys::Range(2, 2, 1),
        "<key>",
        "Seconds since its last use.",
        idletime,
    ),
    GROUP.sub(
        "object|refcount",
        3,
        flags![READONLY],
        Keys::Range(2, 2, 1),
        "<key>",
        "How many keys share the value; always 1.",
        refcount,
    ),
];

fn look(call: &mut Call<'_>, describe: impl FnOnce(&Entry) -> Value) -> Answer {
    Ok(call.entry(call.args[2]).map_or(Value::Nil, describe))
}

fn encoding(call: &mut Call<'_>) -> Answer {
    let forms = call.state.settings.forms.clone();
    look(call, |entry| Value::from(forms.encoding(&entry.value)))
}

fn refcount(call: &mut Call<'_>) -> Answer {
    look(call, |_| Value::Integer(1))
}

fn idletime(call: &mut Call<'_>) -> Answer {
    let (now_s, started_s) = (call.now.seconds(), call.state.started.seconds());
    // What was read from disk counts as used when the server began.
    look(call, |entry| {
        let used_s = match entry.used.get() {
            0 => started_s,
            second => u64::from(second),
        };
        Value::Integer(now_s.saturating_sub(used_s).cast_signed())
    })
}

fn freq(call: &mut Call<'_>) -> Answer {
    if call.entry(call.args[2]).is_none() {
        return Ok(Value::Nil);
    }
    Err(Error::new(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
         between policies at runtime LRU and LFU data will take some time to adjust.",
    ))
}
