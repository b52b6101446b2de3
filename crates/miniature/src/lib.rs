//! The commands of the "miniature Redis" that are not Redis's own: taking and deleting values, and a schedule.
//!
//! What it is: an example of commands that an embedder adds, whole and tested. [`COMMANDS`] goes into
//! [`Config::commands`](windlass_engine::Config::commands), and clients, transactions and scripts of that database have
//! them. What it is not: a part of the server, or something that its log needs. A Redis that starts on the log of such
//! a database finds Redis's commands in it and nothing else.
//!
//! ```
//! use windlass_engine::{Config, Engine, Time};
//! use windlass_resp::Value;
//!
//! let now = Time::from_millis(1_700_000_000_000);
//! let mut engine = Engine::new(Config { commands: windlass_miniature::COMMANDS, ..Config::default() });
//! let session = engine.open_session("example", now);
//! engine.execute(session, &[b"MSETEX", b"60", b"a", b"1", b"b", b"2"], now);
//! let popped = engine.execute(session, &[b"MPOP", b"a", b"none", b"b"], now).reply;
//! assert_eq!(popped, Some(Value::Array(vec![Value::from("1"), Value::Nil, Value::from("2")])));
//! ```
//!
//! `value` has the commands on keys, `schedule` those on what is due at a time. Where the original lost data or lied,
//! the command here differs and its text says how; where it only gave a name of its own to one of Redis's commands with
//! another meaning (`EXPIRE`, `LREM` and their like), Redis's command stays.

mod schedule;
mod value;

use windlass_engine::{Command, Flags, Keys};

pub use schedule::SCHEDULE;

const WRITE: Flags = Flags::WRITE.and(Flags::FAST);
const ADD: Flags = WRITE.and(Flags::DENY_OOM);
const READ: Flags = Flags::READONLY.and(Flags::FAST);
const KEY: Keys = Keys::Range(1, 1, 1);
const KEYS: Keys = Keys::Range(1, -1, 1);

/// The rows.
pub static COMMANDS: &[Command] = &[
    Command::own("delete", 2, WRITE, KEY, "Remove a key of any type", value::delete),
    Command::own("mdelete", -2, WRITE, KEYS, "Remove keys and count those that were there", value::delete),
    Command::own("pop", 2, WRITE, KEY, "Take a string away and answer it", value::pop),
    Command::own("mpop", -2, WRITE, KEYS, "Take strings away and answer them", value::mpop),
    Command::own(
        "msetex",
        -4,
        ADD,
        Keys::Range(2, -1, 2),
        "Set keys that end after so many seconds",
        value::msetex,
    ),
    Command::own("len", 1, READ, Keys::None, "Count the keys", value::len),
    Command::own("lflush", 2, WRITE, KEY, "Empty a list and answer how long it was", value::lflush),
    Command::own("add", 3, ADD, Keys::None, "Schedule data for a time", schedule::add),
    Command::own("read", -1, ADD, Keys::None, "Take what is due from the schedule", schedule::read),
    Command::own("length_schedule", 1, READ, Keys::None, "Count what is scheduled", schedule::length),
    Command::own("flush_schedule", 1, WRITE, Keys::None, "Empty the schedule", schedule::flush),
];
