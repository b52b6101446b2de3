//! Commands about the server. `info` describes it, `config` sets it, `command` tells of its commands, `data` works on
//! whole databases.

use windlass_resp::Value;

use super::{Answer, Command, Group, Keys};
use crate::error::Error;
use crate::state::Call;

mod command;
mod config;
mod data;
mod info;

/// The version of Redis whose behaviour this is; clients decide by it what they may use.
pub const REDIS_VERSION: &str = "7.0.15";

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "bgrewriteaof",
        1,
        flags![ADMIN, NO_SCRIPT, NO_ASYNC_LOADING],
        Keys::None,
        "Rewrite the log beside the writes",
        bgrewriteaof,
    ),
    Command {
        subcommands: command::SUBCOMMANDS,
        ..GROUP.row(
            "command",
            -1,
            flags![LOADING, STALE],
            Keys::None,
            "Tell of the commands that there are",
            command::command,
        )
    },
    GROUP.container("config", "Read and change settings", config::SUBCOMMANDS),
    GROUP.row(
        "dbsize",
        1,
        flags![READONLY, FAST],
        Keys::None,
        "Count the keys of the database",
        data::dbsize,
    ),
    GROUP.row(
        "flushall",
        -1,
        flags![WRITE, DANGEROUS],
        Keys::None,
        "Delete all keys of all databases",
        data::flushall,
    ),
    GROUP.row(
        "flushdb",
        -1,
        flags![WRITE, DANGEROUS],
        Keys::None,
        "Delete all keys of the database",
        data::flushdb,
    ),
    GROUP.row(
        "info",
        -1,
        flags![LOADING, STALE, DANGEROUS],
        Keys::None,
        "Describe the server in lines",
        info::info,
    ),
    GROUP.row(
        "lastsave",
        1,
        flags![LOADING, STALE, FAST, DANGEROUS],
        Keys::None,
        "Tell when the data was last saved",
        lastsave,
    ),
    GROUP.container("memory", "Tell what keys cost in memory", data::MEMORY),
    GROUP.row(
        "role",
        1,
        flags![NO_SCRIPT, LOADING, STALE, FAST, DANGEROUS],
        Keys::None,
        "Tell the part in a replication",
        role,
    ),
    GROUP.row(
        "swapdb",
        3,
        flags![WRITE, FAST, DANGEROUS],
        Keys::None,
        "Exchange two databases",
        data::swapdb,
    ),
    GROUP.row("time", 1, flags![LOADING, STALE, FAST], Keys::None, "Tell the time", time),
    GROUP.row("wait", 3, flags![NO_SCRIPT], Keys::None, "Wait for replicas, of which there are none", wait),
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
