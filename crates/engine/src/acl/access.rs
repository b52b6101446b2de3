//! What commands do with their keys, as rules on keys ask for it: to read is to learn something of the value, to write is
//! to change it. A command that reads what it replaces does both.

use crate::args::Args;
use crate::command::{Command, Flags};

/// What a command does with one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub reads: bool,
    pub writes: bool,
}

const NOTHING: Access = Access { reads: false, writes: false };
const READ: Access = Access { reads: true, writes: false };
const WRITE: Access = Access { reads: false, writes: true };
const BOTH: Access = Access { reads: true, writes: true };

/// Commands that answer what they take away or change.
const TELLING: [&str; 25] = [
    "getdel",
    "incr",
    "move",
    "lmpop",
    "bzpopmin",
    "rpop",
    "decr",
    "lpop",
    "hincrby",
    "hincrbyfloat",
    "bzmpop",
    "zmpop",
    "getset",
    "incrby",
    "spop",
    "blpop",
    "zpopmax",
    "zincrby",
    "setbit",
    "incrbyfloat",
    "blmpop",
    "decrby",
    "bzpopmax",
    "zpopmin",
    "brpop",
];
/// Commands that put what they read elsewhere into their first key.
const STORING: [&str; 8] = [
    "zdiffstore",
    "sunionstore",
    "zrangestore",
    "sinterstore",
    "bitop",
    "sdiffstore",
    "zunionstore",
    "zinterstore",
];
/// Commands that take from their first key and add to their second.
const MOVING: [&str; 7] = ["brpoplpush", "lmove", "renamenx", "rename", "smove", "blmove", "rpoplpush"];
/// Commands that tell something of a key, but nothing of the value.
const DESCRIBING: [&str; 19] = [
    "scard",
    "hexists",
    "zcard",
    "eval",
    "evalsha",
    "eval_ro",
    "evalsha_ro",
    "hstrlen",
    "type",
    "strlen",
    "exists",
    "xlen",
    "hlen",
    "touch",
    "watch",
    "llen",
    "sismember",
    "pfcount",
    "memory|usage",
];

/// What a command does with its key of a number, from 0.
pub fn of(command: &Command, args: Args<'_>, index: usize) -> Access {
    let name = command.name;
    let given = |word: &str| (2..args.len()).any(|at| args.is(at, word));
    match name {
        "set" if given("GET") => BOTH,
        "getex" if args.len() == 2 => READ,
        "getex" => BOTH,
        "xreadgroup" => READ,
        "bitfield" if given("SET") || given("INCRBY") => BOTH,
        "bitfield" => READ,
        "sort" | "copy" | "pfmerge" => match (name, index) {
            ("sort", 0) | ("copy", 0) => READ,
            ("pfmerge", 0) => BOTH,
            ("pfmerge", _) => READ,
            _ => WRITE,
        },
        _ if STORING.contains(&name) => {
            if index == 0 {
                WRITE
            } else {
                READ
            }
        }
        _ if MOVING.contains(&name) => {
            if index == 0 {
                BOTH
            } else {
                WRITE
            }
        }
        _ if TELLING.contains(&name) => BOTH,
        _ if DESCRIBING.contains(&name) || name.starts_with("object|") => NOTHING,
        // What a body answers of the keys that it changes is not known.
        _ if command.flags.has(Flags::WRITE) && command.is_own() => BOTH,
        _ if command.flags.has(Flags::WRITE) => WRITE,
        _ => READ,
    }
}
