//! Commands on streams, a file for each concern.

mod add;
mod claim;
pub mod effect;
pub mod group;
mod id;
mod info;
mod pending;
mod range;
pub mod read;
mod remove;

use windlass_resp::Value;

use super::{Command, Group, Keys};
use crate::error::Error;
use crate::types::{Fields, Id};

/// The key is the first argument.
const FIRST: Keys = Keys::Range(1, 1, 1);
/// The key comes after a subcommand.
const SECOND: Keys = Keys::Range(2, 2, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "xadd",
        -5,
        flags![WRITE, DENY_OOM, FAST],
        FIRST,
        "Add an entry to a stream, which is made if there is none",
        add::xadd,
    ),
    GROUP.row("xtrim", -4, flags![WRITE], FIRST, "Delete the oldest entries of a stream", add::xtrim),
    GROUP.row("xdel", -3, flags![WRITE, FAST], FIRST, "Delete entries by their ids", remove::xdel),
    GROUP.row(
        "xsetid",
        -3,
        flags![WRITE, DENY_OOM, FAST],
        FIRST,
        "Set the last id of a stream; for replication",
        remove::xsetid,
    ),
    GROUP.row("xlen", 2, flags![READONLY, FAST], FIRST, "Count the entries of a stream", range::xlen),
    GROUP.row("xrange", -4, flags![READONLY], FIRST, "Get the entries of an interval of ids", range::xrange),
    GROUP.row(
        "xrevrange",
        -4,
        flags![READONLY],
        FIRST,
        "Get the entries of an interval of ids, the newest first",
        range::xrevrange,
    ),
    GROUP.row(
        "xread",
        -4,
        flags![READONLY, BLOCKING],
        Keys::Streams,
        "Get entries after given ids, or wait",
        read::xread,
    ),
    GROUP.row(
        "xreadgroup",
        -7,
        flags![WRITE, BLOCKING],
        Keys::Streams,
        "Get entries for a consumer of a group: new ones, or those pending under it",
        read::xreadgroup,
    ),
    GROUP.container("xgroup", "Make, move and remove consumer groups and consumers", GROUPS),
    GROUP.row(
        "xack",
        -4,
        flags![WRITE, FAST],
        FIRST,
        "Acknowledge entries delivered to a group",
        remove::xack,
    ),
    GROUP.row(
        "xpending",
        -3,
        flags![READONLY],
        FIRST,
        "Show what was delivered and is not acknowledged",
        pending::xpending,
    ),
    GROUP.row(
        "xclaim",
        -6,
        flags![WRITE, FAST],
        FIRST,
        "Take over pending entries by their ids",
        claim::xclaim,
    ),
    GROUP.row(
        "xautoclaim",
        -6,
        flags![WRITE, FAST],
        FIRST,
        "Take over entries pending for long",
        claim::xautoclaim,
    ),
    GROUP.container("xinfo", "Show a stream, its groups or a group's consumers", INFO),
];

/// What makes the rows of this family.
const GROUP: Group = Group("stream");

const GROUPS: &[Command] = &[
    GROUP.sub(
        "xgroup|create",
        -5,
        flags![WRITE, DENY_OOM],
        SECOND,
        "<key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
        "Make a group that reads what comes after the id, or after the last entry.",
        group::create,
    ),
    GROUP.sub(
        "xgroup|createconsumer",
        5,
        flags![WRITE, DENY_OOM],
        SECOND,
        "<key> <group> <consumer>",
        "Make a consumer.",
        group::create_consumer,
    ),
    GROUP.sub(
        "xgroup|delconsumer",
        5,
        flags![WRITE],
        SECOND,
        "<key> <group> <consumer>",
        "Remove a consumer and forget what is pending under it.",
        group::remove_consumer,
    ),
    GROUP.sub("xgroup|destroy", 4, flags![WRITE], SECOND, "<key> <group>", "Remove a group.", group::destroy),
    GROUP.help("xgroup|help"),
    GROUP.sub(
        "xgroup|setid",
        -5,
        flags![WRITE],
        SECOND,
        "<key> <group> <id|$> [ENTRIESREAD <count>]",
        "Set the last id that a group has seen.",
        group::set_id,
    ),
];

const INFO: &[Command] = &[
    GROUP.sub(
        "xinfo|consumers",
        4,
        flags![READONLY],
        SECOND,
        "<key> <group>",
        "Show the consumers of a group.",
        info::consumers,
    ),
    GROUP.sub(
        "xinfo|groups",
        3,
        flags![READONLY],
        SECOND,
        "<key>",
        "Show the groups of a stream.",
        info::groups,
    ),
    GROUP.help("xinfo|help"),
    GROUP.sub(
        "xinfo|stream",
        -3,
        flags![READONLY],
        SECOND,
        "<key> [FULL [COUNT <count>]]",
        "Show a stream; in full with its groups and what is pending.",
        info::stream,
    ),
];

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
