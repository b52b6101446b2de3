//! OBJECT: how a value is stored.

use windlass_resp::Value;

use crate::command::Answer;
use crate::command::container::{Subcommand, dispatch};
use crate::error::Error;
use crate::keyspace::Entry;
use crate::state::Call;

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "encoding",
        arity: 3,
        usage: "<key>",
        summary: "The name of its form.",
        run: encoding,
    },
    Subcommand {
        name: "freq",
        arity: 3,
        usage: "<key>",
        summary: "How often it is used; only known where eviction counts that.",
        run: freq,
    },
    Subcommand {
        name: "idletime",
        arity: 3,
        usage: "<key>",
        summary: "Seconds since its last use; uses are not recorded, so always 0.",
        run: idletime,
    },
    Subcommand {
        name: "refcount",
        arity: 3,
        usage: "<key>",
        summary: "How many keys share the value; always 1.",
        run: refcount,
    },
];

pub fn object(call: &mut Call<'_>) -> Answer {
    dispatch(call, SUBCOMMANDS)
}

fn look(call: &mut Call<'_>, describe: impl FnOnce(&Entry) -> Value) -> Answer {
    Ok(call.entry(call.args[2]).map_or(Value::Nil, describe))
}

fn encoding(call: &mut Call<'_>) -> Answer {
    look(call, |entry| Value::from(entry.value.encoding()))
}

fn refcount(call: &mut Call<'_>) -> Answer {
    look(call, |_| Value::Integer(1))
}

fn idletime(call: &mut Call<'_>) -> Answer {
    look(call, |_| Value::Integer(0))
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
