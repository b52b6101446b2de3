//! Commands on streams, a file for each concern.

mod add;
mod claim;
pub mod effect;
mod group;
mod id;
mod info;
mod pending;
mod range;
pub mod read;
mod remove;

use windlass_resp::Value;

use super::{Command, Flags, Group, Keys};
use crate::error::Error;
use crate::types::{Fields, Id};

const READ: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE;
const FAST: Flags = Flags::FAST;
const GROW: Flags = Flags::WRITE.and(Flags::DENY_OOM);
/// The key is the first argument.
const FIRST: Keys = Keys::Range(1, 1, 1);
/// The key comes after a subcommand.
const SECOND: Keys = Keys::Range(2, 2, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "xadd",
        -5,
        GROW.and(FAST),
        FIRST,
        "Add an entry to a stream, which is made if there is none",
        add::xadd,
    ),
    GROUP.row("xtrim", -4, WRITE, FIRST, "Delete the oldest entries of a stream", add::xtrim),
    GROUP.row("xdel", -3, WRITE.and(FAST), FIRST, "Delete entries by their ids", remove::xdel),
    GROUP.row(
        "xsetid",
        -3,
        GROW.and(FAST),
        FIRST,
        "Set the last id of a stream; for replication",
        remove::xsetid,
    ),
    GROUP.row("xlen", 2, READ.and(FAST), FIRST, "Count the entries of a stream", range::xlen),
    GROUP.row("xrange", -4, READ, FIRST, "Get the entries of an interval of ids", range::xrange),
    GROUP.row(
        "xrevrange",
        -4,
        READ,
        FIRST,
        "Get the entries of an interval of ids, the newest first",
        range::xrevrange,
    ),
    GROUP.row(
        "xread",
        -4,
        READ.and(Flags::BLOCKING),
        Keys::Streams,
        "Get entries after given ids, or wait",
        read::xread,
    ),
    GROUP.row(
        "xreadgroup",
        -7,
        WRITE.and(Flags::BLOCKING),
        Keys::Streams,
        "Get entries for a consumer of a group: new ones, or those pending under it",
        read::xreadgroup,
    ),
    GROUP.row(
        "xgroup",
        -2,
        GROW,
        SECOND,
        "Make, move and remove consumer groups and consumers",
        group::xgroup,
    ),
    GROUP.row("xack", -4, WRITE.and(FAST), FIRST, "Acknowledge entries delivered to a group", remove::xack),
    GROUP.row(
        "xpending",
        -3,
        READ,
        FIRST,
        "Show what was delivered and is not acknowledged",
        pending::xpending,
    ),
    GROUP.row("xclaim", -6, WRITE.and(FAST), FIRST, "Take over pending entries by their ids", claim::xclaim),
    GROUP.row(
        "xautoclaim",
        -6,
        WRITE.and(FAST),
        FIRST,
        "Take over entries pending for long",
        claim::xautoclaim,
    ),
    GROUP.row("xinfo", -2, READ, SECOND, "Show a stream, its groups or a group's consumers", info::xinfo),
];

/// What makes the rows of this family.
const GROUP: Group = Group("stream");

/// An id as a reply.
pub fn id_value(id: Id) -> Value {
    Value::bulk(id.text())
}

/// An entry as a reply: its id, then fields and values in turn.
fn entry_value((id, fields): (Id, Fields<'_>)) -> Value {
    entry_with_id(&id.text(), fields)
}

/// As [`entry_value`], when the id is at hand as text.
fn entry_with_id(id: &[u8], fields: Fields<'_>) -> Value {
    Value::Array(vec![Value::bulk(id), Value::Array(fields.map(Value::bulk).collect())])
}

/// The answer where XCLAIM, XAUTOCLAIM and XPENDING find no key or no group.
fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    Error::new(format!(
        "NOGROUP No such key '{}' or consumer group '{}'",
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(group)
    ))
}

/// The answer where XGROUP and XINFO find a key without the group.
fn no_group_of_key(key: &[u8], group: &[u8]) -> Error {
    Error::new(format!(
        "NOGROUP No such consumer group '{}' for key name '{}'",
        String::from_utf8_lossy(group),
        String::from_utf8_lossy(key)
    ))
}
