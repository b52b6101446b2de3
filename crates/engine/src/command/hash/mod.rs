//! Commands on hashes.

mod number;
mod random;
mod read;
mod write;

use super::{Command, Group, Keys};

const KEY: Keys = Keys::Range(1, 1, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row("hdel", -3, flags![WRITE, FAST], KEY, "Remove fields of a hash", write::hdel),
    GROUP.row("hexists", 3, flags![READONLY, FAST], KEY, "Tell whether a hash has a field", read::hexists),
    GROUP.row("hget", 3, flags![READONLY, FAST], KEY, "Get the value of a field of a hash", read::hget),
    GROUP.row(
        "hgetall",
        2,
        flags![READONLY],
        KEY,
        "Get all fields of a hash with their values",
        read::hgetall,
    ),
    GROUP.row(
        "hincrby",
        4,
        flags![WRITE, DENY_OOM, FAST],
        KEY,
        "Add an integer to the number in a field of a hash",
        number::hincrby,
    ),
    GROUP.row(
        "hincrbyfloat",
        4,
        flags![WRITE, DENY_OOM, FAST],
        KEY,
        "Add a float to the number in a field of a hash",
        number::hincrbyfloat,
    ),
    GROUP.row("hkeys", 2, flags![READONLY], KEY, "Get all fields of a hash", read::hkeys),
    GROUP.row("hlen", 2, flags![READONLY, FAST], KEY, "Get the number of fields of a hash", read::hlen),
    GROUP.row(
        "hmget",
        -3,
        flags![READONLY, FAST],
        KEY,
        "Get the values of several fields of a hash",
        read::hmget,
    ),
    GROUP.row("hmset", -4, flags![WRITE, DENY_OOM, FAST], KEY, "Set several fields of a hash", write::hmset),
    GROUP.row(
        "hrandfield",
        -2,
        flags![READONLY],
        KEY,
        "Get fields of a hash chosen at random",
        random::hrandfield,
    ),
    GROUP.row("hscan", -3, flags![READONLY], KEY, "Walk over the fields of a hash bit by bit", read::hscan),
    GROUP.row("hset", -4, flags![WRITE, DENY_OOM, FAST], KEY, "Set fields of a hash", write::hset),
    GROUP.row(
        "hsetnx",
        4,
        flags![WRITE, DENY_OOM, FAST],
        KEY,
        "Set a field of a hash that is not there yet",
        write::hsetnx,
    ),
    GROUP.row(
        "hstrlen",
        3,
        flags![READONLY, FAST],
        KEY,
        "Get the length of the value of a field of a hash",
        read::hstrlen,
    ),
    GROUP.row("hvals", 2, flags![READONLY], KEY, "Get all values of a hash", read::hvals),
];

/// What makes the rows of this family.
const GROUP: Group = Group("hash");
