//! Commands about the server. `info` describes it, `config` sets it, `command` tells of its commands, `data` works on
//! whole databases.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Group, Keys};
use crate::error::Error;
use crate::state::Call;

mod command;
mod config;
mod data;
mod info;

/// The version of Redis whose behaviour this is; clients decide by it what they may use.
pub const REDIS_VERSION: &str = "7.0.15";

const ADMIN: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);
const PLAIN: Flags = Flags::NONE;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);

pub const COMMANDS: &[Command] = &[
    GROUP.row("bgrewriteaof", 1, ADMIN, Keys::None, "Rewrite the log beside the writes", bgrewriteaof),
    GROUP.row("bgsave", -1, ADMIN, Keys::None, "Save a snapshot beside the writes", bgsave),
    GROUP.row("command", -1, PLAIN, Keys::None, "Tell of the commands that there are", command::command),
    GROUP.row("config", -2, ADMIN, Keys::None, "Read and change settings", config::config),
    GROUP.row("dbsize", 1, READ_FAST, Keys::None, "Count the keys of the database", data::dbsize),
    GROUP.row("flushall", -1, Flags::WRITE, Keys::None, "Delete all keys of all databases", data::flushall),
    GROUP.row("flushdb", -1, Flags::WRITE, Keys::None, "Delete all keys of the database", data::flushdb),
    GROUP.row("info", -1, PLAIN, Keys::None, "Describe the server in lines", info::info),
    GROUP.row("lastsave", 1, Flags::FAST, Keys::None, "Tell when the data was last saved", lastsave),
    GROUP.row(
        "memory",
        -2,
        Flags::READONLY,
        Keys::Range(2, 2, 1),
        "Tell what keys cost in memory",
        data::memory,
    ),
    GROUP.row(
        "role",
        1,
        Flags::NO_SCRIPT.and(Flags::FAST),
        Keys::None,
        "Tell the part in a replication",
        role,
    ),
    GROUP.row("swapdb", 3, Flags::WRITE.and(Flags::FAST), Keys::None, "Exchange two databases", data::swapdb),
    GROUP.row("time", 1, Flags::FAST, Keys::None, "Tell the time", time),
    GROUP.row("wait", 3, Flags::NO_SCRIPT, Keys::None, "Wait for replicas, of which there are none", wait),
];

/// What makes the rows of this family.
const GROUP: Group = Group("server");

fn time(call: &mut Call<'_>) -> Answer {
    let micros = call.now.micros();
    let part = |number: u64| Value::bulk(itoa::Buffer::new().format(number));
    Ok(Value::Array(vec![part(micros / 1_000_000), part(micros % 1_000_000)]))
}

fn lastsave(call: &mut Call<'_>) -> Answer {
    let told = call.state.fact("persistence", "rdb_last_save_time").and_then(|text| text.parse().ok());
    Ok(Value::Integer(told.unwrap_or(call.state.started.seconds() as i64)))
}

/// The log is the owner's: it is asked, if it has told that there is one.
fn bgrewriteaof(call: &mut Call<'_>) -> Answer {
    if call.state.fact("config", "appendonly") != Some("yes") {
        return Err(Error::new("ERR there is no append only file to rewrite"));
    }
    if call.state.fact("persistence", "aof_rewrite_in_progress") == Some("1") {
        return Err(Error::new("ERR Background append only file rewriting already in progress"));
    }
    call.state.wants_rewrite = true;
    Ok(Value::Simple("Background append only file rewriting started".into()))
}

/// The directory is the owner's as well. SCHEDULE changes nothing: a save waits for a rewrite in any case.
fn bgsave(call: &mut Call<'_>) -> Answer {
    if call.args.len() > 2 || call.args.len() == 2 && !call.args.is(1, "SCHEDULE") {
        return Err(Error::SYNTAX);
    }
    if call.state.fact("config", "appendonly") != Some("yes") {
        return Err(Error::new("ERR there is no directory to save to"));
    }
    if call.state.fact("persistence", "rdb_bgsave_in_progress") == Some("1") {
        return Err(Error::new("ERR Background save already in progress"));
    }
    call.state.wants_save = true;
    Ok(Value::Simple("Background saving started".into()))
}

fn role(_: &mut Call<'_>) -> Answer {
    Ok(Value::Array(vec![Value::from("master"), Value::Integer(0), Value::Array(Vec::new())]))
}

fn wait(call: &mut Call<'_>) -> Answer {
    call.args.integer(1)?;
    if call.args.integer(2).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))? < 0 {
        return Err(Error::TIMEOUT_NEGATIVE);
    }
    Ok(Value::Integer(0))
}
