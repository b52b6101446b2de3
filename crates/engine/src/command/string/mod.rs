//! Commands on strings. `set` gives and takes whole values, `number` counts, `range` works on parts, `bit` on bits.

use super::{Command, Flags, Group, Keys};
use crate::error::{Error, Result};

mod bit;
mod bitfield;
mod number;
mod range;
mod set;

/// The longest string, as Redis's `proto-max-bulk-len`.
pub const STRING_MAX: usize = 512 * 1024 * 1024;

const KEY: Keys = Keys::Range(1, 1, 1);
const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE.and(Flags::DENY_OOM);
const WRITE_FAST: Flags = WRITE.and(Flags::FAST);

pub const COMMANDS: &[Command] = &[
    GROUP.row("append", 3, WRITE_FAST, KEY, "Add text at the end of a value", range::append),
    GROUP.row("bitcount", -2, READ, KEY, "Count the bits that are set", bit::bitcount),
    GROUP.row(
        "bitfield",
        -2,
        WRITE,
        KEY,
        "Read and change integers of any width within a value",
        bitfield::bitfield,
    ),
    GROUP.row(
        "bitfield_ro",
        -2,
        READ_FAST,
        KEY,
        "Read integers of any width within a value",
        bitfield::bitfield_ro,
    ),
    GROUP.row(
        "bitop",
        -4,
        WRITE,
        Keys::Range(2, -1, 1),
        "Combine values bit by bit into another",
        bit::bitop,
    ),
    GROUP.row("bitpos", -3, READ, KEY, "Find the first bit that is set or clear", bit::bitpos),
    GROUP.row("decr", 2, WRITE_FAST, KEY, "Subtract one from a number", number::decr),
    GROUP.row("decrby", 3, WRITE_FAST, KEY, "Subtract from a number", number::decrby),
    GROUP.row("get", 2, READ_FAST, KEY, "Get the value of a key", set::get),
    GROUP.row("getbit", 3, READ_FAST, KEY, "Get one bit of a value", bit::getbit),
    GROUP.row("getdel", 2, Flags::WRITE.and(Flags::FAST), KEY, "Get a value and delete it", set::getdel),
    GROUP.row(
        "getex",
        -2,
        Flags::WRITE.and(Flags::FAST),
        KEY,
        "Get a value and change when it ends",
        set::getex,
    ),
    GROUP.row("getrange", 4, READ, KEY, "Get a part of a value", range::getrange),
    GROUP.row("getset", 3, WRITE_FAST, KEY, "Set a value and get the one before", set::getset),
    GROUP.row("incr", 2, WRITE_FAST, KEY, "Add one to a number", number::incr),
    GROUP.row("incrby", 3, WRITE_FAST, KEY, "Add to a number", number::incrby),
    GROUP.row("incrbyfloat", 3, WRITE_FAST, KEY, "Add to a decimal number", number::incrbyfloat),
    GROUP.row("mget", -2, READ_FAST, Keys::Range(1, -1, 1), "Get several values", set::mget),
    GROUP.row("mset", -3, WRITE, Keys::Range(1, -1, 2), "Set several values at one moment", set::mset),
    GROUP.row("msetnx", -3, WRITE, Keys::Range(1, -1, 2), "Set several values if none is there", set::msetnx),
    GROUP.row("psetex", 4, WRITE, KEY, "Set a value that ends after milliseconds", set::psetex),
    GROUP.row("set", -3, WRITE, KEY, "Set the string value of a key", set::set),
    GROUP.row("setbit", 4, WRITE, KEY, "Set one bit of a value and get the one before", bit::setbit),
    GROUP.row("setex", 4, WRITE, KEY, "Set a value that ends after seconds", set::setex),
    GROUP.row("setnx", 3, WRITE_FAST, KEY, "Set a value if there is none", set::setnx),
    GROUP.row("setrange", 4, WRITE, KEY, "Overwrite a part of a value", range::setrange),
    GROUP.row("strlen", 2, READ_FAST, KEY, "Get the length of a value", range::strlen),
    GROUP.row("substr", 4, READ, KEY, "Get a part of a value; GETRANGE is the newer name", range::getrange),
];

/// What makes the rows of this family.
const GROUP: Group = Group("string");

/// Checks that a string of `length` bytes may be made.
fn check_length(length: usize) -> Result<()> {
    if length > STRING_MAX { Err(Error::STRING_TOO_LONG) } else { Ok(()) }
}
