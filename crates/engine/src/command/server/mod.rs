//! Commands about the server. `info` describes it, `config` sets it, `command` tells of its commands, `data` works on
//! whole databases.

use windlass_resp::Value;

use super::{Answer, Command, Group, Keys};
use crate::engine::Message;
use crate::error::Error;
use crate::session::Silence;
use crate::state::Call;

mod command;
mod config;
mod data;
mod debug;
mod digest;
mod fixed;
mod info;
mod slow;
mod usage;

pub use config::{apply as configure, changeable as settings};

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
    GROUP.row(
        "bgsave",
        -1,
        flags![ADMIN, NO_SCRIPT, NO_ASYNC_LOADING],
        Keys::None,
        "Save a snapshot beside the writes",
        bgsave,
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
    GROUP.row(
        "debug",
        -2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "What tests of a server need",
        debug::debug,
    ),
    GROUP.container("latency", "Tell what took long", slow::LATENCY),
    GROUP.container("memory", "Tell what keys cost in memory", data::MEMORY),
    GROUP.container("module", "Tell which modules there are", MODULE),
    GROUP.row(
        "role",
        1,
        flags![NO_SCRIPT, LOADING, STALE, FAST, DANGEROUS],
        Keys::None,
        "Tell the part in a replication",
        role,
    ),
    GROUP.row(
        "save",
        1,
        flags![ADMIN, NO_SCRIPT, NO_ASYNC_LOADING, NO_MULTI],
        Keys::None,
        "Save a snapshot, and answer when it is there",
        save,
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
    Group("generic").row(
        "wait",
        3,
        flags![NO_SCRIPT],
        Keys::None,
        "Wait for replicas, of which there are none",
        wait,
    ),
    GROUP.row(
        "monitor",
        1,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "Be told of every command that runs",
        monitor,
    ),
    GROUP.row(
        "shutdown",
        -1,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE, NO_MULTI, ALLOW_BUSY],
        Keys::None,
        "End the server",
        shutdown,
    ),
    GROUP.container("slowlog", "Tell which calls took long", slow::SLOWLOG),
];

/// Tools ask which modules a server has before they show what they can do with it.
const MODULE: &[Command] = &[
    GROUP.help("module|help"),
    GROUP.sub("module|list", 2, flags![ADMIN, NO_SCRIPT], Keys::None, "", "The modules: none.", |_| {
        Ok(Value::Array(Vec::new()))
    }),
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
    call.state.changes_saved = call.state.effects.count();
    Ok(Value::Simple("Background saving started".into()))
}

/// As BGSAVE, but the caller waits: everybody else goes on meanwhile.
fn save(call: &mut Call<'_>) -> Answer {
    if call.state.fact("config", "appendonly") != Some("yes") {
        return Err(Error::new("ERR there is no directory to save to"));
    }
    if call.state.fact("persistence", "rdb_bgsave_in_progress") == Some("1") || !call.state.savers.is_empty()
    {
        return Err(Error::new("ERR Background save already in progress"));
    }
    call.state.wants_save = true;
    call.state.changes_saved = call.state.effects.count();
    call.state.savers.push(call.session.id);
    call.wait(&[], 0);
    Ok(Value::OK)
}

fn monitor(call: &mut Call<'_>) -> Answer {
    if !call.session.is_monitor {
        call.session.is_monitor = true;
        call.state.monitors.push(call.session.id);
    }
    Ok(Value::OK)
}

/// The process is the owner's: it is asked, if it has told that it listens. The log is safe before it ends, whatever the
/// options say of a snapshot.
fn shutdown(call: &mut Call<'_>) -> Answer {
    let (mut saves, mut skips, mut aborts) = (false, false, false);
    for index in 1..call.args.len() {
        match call.args.word(index).as_str() {
            "SAVE" => saves = true,
            "NOSAVE" => skips = true,
            "NOW" | "FORCE" => {}
            "ABORT" => aborts = true,
            _ => return Err(Error::SYNTAX),
        }
    }
    if saves && skips || aborts && call.args.len() > 2 {
        return Err(Error::SYNTAX);
    }
    if aborts {
        return Err(Error::new("ERR No shutdown in progress."));
    }
    if call.state.fact("config", "shutdown") != Some("yes") {
        return Err(Error::new(
            "ERR SHUTDOWN ends a server, and this database belongs to a program: end that",
        ));
    }
    call.state.wants_shutdown = true;
    // The client sees the connection end, and nothing else.
    call.session.silence = Silence::All;
    call.state.deliver(call.session.id, Message::Close);
    Ok(Value::OK)
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
