//! Commands on sets.

mod combine;
mod member;
mod random;

use super::{Command, Group, Keys};

const FIRST: Keys = Keys::Range(1, 1, 1);
const FIRST_TWO: Keys = Keys::Range(1, 2, 1);
const ALL: Keys = Keys::Range(1, -1, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row("sadd", -3, flags![WRITE, DENY_OOM, FAST], FIRST, "Add members to a set", member::sadd),
    GROUP.row("scard", 2, flags![READONLY, FAST], FIRST, "Get the number of members of a set", member::scard),
    GROUP.row(
        "sdiff",
        -2,
        flags![READONLY],
        ALL,
        "Get the members of the first set that no other has",
        combine::sdiff,
    ),
    GROUP.row("sdiffstore", -3, flags![WRITE, DENY_OOM], ALL, "Store what SDIFF gives", combine::sdiffstore),
    GROUP.row("sinter", -2, flags![READONLY], ALL, "Get the members that all sets have", combine::sinter),
    GROUP.row(
        "sintercard",
        -3,
        flags![READONLY],
        Keys::Counted(1),
        "Count the members that all sets have",
        combine::sintercard,
    ),
    GROUP.row(
        "sinterstore",
        -3,
        flags![WRITE, DENY_OOM],
        ALL,
        "Store what SINTER gives",
        combine::sinterstore,
    ),
    GROUP.row(
        "sismember",
        3,
        flags![READONLY, FAST],
        FIRST,
        "Tell whether a set has a member",
        member::sismember,
    ),
    GROUP.row("smembers", 2, flags![READONLY], FIRST, "Get all members of a set", member::smembers),
    GROUP.row(
        "smismember",
        -3,
        flags![READONLY, FAST],
        FIRST,
        "Tell which members a set has",
        member::smismember,
    ),
    GROUP.row(
        "smove",
        4,
        flags![WRITE, FAST],
        FIRST_TWO,
        "Move a member from one set to another",
        member::smove,
    ),
    GROUP.row(
        "spop",
        -2,
        flags![WRITE, FAST],
        FIRST,
        "Remove and get members chosen at random",
        random::spop,
    ),
    GROUP.row(
        "srandmember",
        -2,
        flags![READONLY],
        FIRST,
        "Get members chosen at random",
        random::srandmember,
    ),
    GROUP.row("srem", -3, flags![WRITE, FAST], FIRST, "Remove members of a set", member::srem),
    GROUP.row(
        "sscan",
        -3,
        flags![READONLY],
        FIRST,
        "Walk over the members of a set bit by bit",
        member::sscan,
    ),
    GROUP.row("sunion", -2, flags![READONLY], ALL, "Get the members that any set has", combine::sunion),
    GROUP.row(
        "sunionstore",
        -3,
        flags![WRITE, DENY_OOM],
        ALL,
        "Store what SUNION gives",
        combine::sunionstore,
    ),
];

/// What makes the rows of this family.
const GROUP: Group = Group("set");
