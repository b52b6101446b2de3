//! Commands on strings. `set` gives and takes whole values, `number` counts, `range` works on parts, `bit` on bits,
//! `lcs` compares.

use super::{Command, Group, Keys};
use crate::error::{Error, Result};

mod bit;
mod bitfield;
mod lcs;
mod number;
mod range;
mod set;

/// The longest string, as Redis's `proto-max-bulk-len`.
pub const STRING_MAX: usize = 512 * 1024 * 1024;

const KEY: Keys = Keys::Range(1, 1, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "append",
        3,
        flags![WRITE, DENY_OOM, FAST],
        KEY,
        "Add text at the end of a value",
        range::append,
    ),
    BITMAP.row("bitcount", -2, flags![READONLY], KEY, "Count the bits that are set", bit::bitcount),
    BITMAP.row(
        "bitfield",
        -2,
        flags![WRITE, DENY_OOM],
        KEY,
        "Read and change integers of any width within a value",
        bitfield::bitfield,
    ),
    BITMAP.row(
        "bitfield_ro",
        -2,
        flags![READONLY, FAST],
        KEY,
        "Read integers of any width within a value",
        bitfield::bitfield_ro,
    ),
    BITMAP.row(
        "bitop",
        -4,
        flags![WRITE, DENY_OOM],
        Keys::Range(2, -1, 1),
        "Combine values bit by bit into another",
        bit::bitop,
    ),
    BITMAP.row("bitpos", -3, flags![READONLY], KEY, "Find the first bit that is set or clear", bit::bitpos),
    GROUP.row("decr", 2, flags![WRITE, DENY_OOM, FAST], KEY, "Subtract one from a number", number::decr),
    GROUP.row("decrby", 3, flags![WRITE, DENY_OOM, FAST], KEY, "Subtract from a number", number::decrby),
    GROUP.row("get", 2, flags![READONLY, FAST], KEY, "Get the value of a key", set::get),
    BITMAP.row("getbit", 3, flags![READONLY, FAST], KEY, "Get one bit of a value", bit::getbit),
    GROUP.row("getdel", 2, flags![WRITE, FAST], KEY, "Get a value and delete it", set::getdel),
    GROUP.row("getex", -2, flags![WRITE, FAST], KEY, "Get a value and change when it ends", set::getex),
    GROUP.row("getrange", 4, flags![READONLY], KEY, "Get a part of a value", range::getrange),
    GROUP.row(
        "getset",
        3,
        flags![WRITE, DENY_OOM, FAST],
        KEY,
        "Set a value and get the one before",
        set::getset,
    ),
    GROUP.row("incr", 2, flags![WRITE, DENY_OOM, FAST], KEY, "Add one to a number", number::incr),
    GROUP.row("incrby", 3, flags![WRITE, DENY_OOM, FAST], KEY, "Add to a number", number::incrby),
    GROUP.row(
        "incrbyfloat",
        3,
        flags![WRITE, DENY_OOM, FAST],
        KEY,
        "Add to a decimal number",
        number::incrbyfloat,
    ),
    GROUP.row(
        "lcs",
        -3,
        flags![READONLY],
        Keys::Range(1, 2, 1),
        "Find the longest common subsequence",
        lcs::lcs,
    ),
    GROUP.row("mget", -2, flags![READONLY, FAST], Keys::Range(1, -1, 1), "Get several values", set::mget),
    GROUP.row(
        "mset",
        -3,
        flags![WRITE, DENY_OOM],
        Keys::Range(1, -1, 2),
        "Set several values at one moment",
        set::mset,
    ),
    GROUP.row(
        "msetnx",
        -3,
        flags![WRITE, DENY_OOM],
        Keys::Range(1, -1, 2),
        "Set several values if none is there",
        set::msetnx,
    ),
    GROUP.row(
        "psetex",
        4,
        flags![WRITE, DENY_OOM],
        KEY,
        "Set a value that ends after milliseconds",
        set::psetex,
    ),
    GROUP.row("set", -3, flags![WRITE, DENY_OOM], KEY, "Set the string value of a key", set::set),
    BITMAP.row(
        "setbit",
        4,
        flags![WRITE, DENY_OOM],
        KEY,
        "Set one bit of a value and get the one before",
        bit::setbit,
    ),
    GROUP.row("setex", 4, flags![WRITE, DENY_OOM], KEY, "Set a value that ends after seconds", set::setex),
    GROUP.row("setnx", 3, flags![WRITE, DENY_OOM, FAST], KEY, "Set a value if there is none", set::setnx),
    GROUP.row("setrange", 4, flags![WRITE, DENY_OOM], KEY, "Overwrite a part of a value", range::setrange),
    GROUP.row("strlen", 2, flags![READONLY, FAST], KEY, "Get the length of a value", range::strlen),
    GROUP.row(
        "substr",
        4,
        flags![READONLY],
        KEY,
        "Get a part of a value; GETRANGE is the newer name",
        range::getrange,
    ),
];

/// What makes the rows of this family.
const GROUP: Group = Group("string");
/// What makes the rows of the commands on bits.
const BITMAP: Group = Group("bitmap");

/// Checks that a string of `length` bytes may be made.
fn check_length(length: usize) -> Result<()> {
    if length > STRING_MAX { Err(Error::STRING_TOO_LONG) } else { Ok(()) }
}
