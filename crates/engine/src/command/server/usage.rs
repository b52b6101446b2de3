//! What commands do with their keys, in the words of COMMAND GETKEYSANDFLAGS.
//!
//! A command that writes gets a row here; one that only reads says `RO` by itself. Fixtures hold some of them to a real
//! server.

use crate::args::Args;
use crate::command::{Command, Flags};

/// What is done with a key: whether it is read (`RO`), read and written (`RW`), overwritten (`OW`) or removed (`RM`),
/// then what that means for its value.
pub type Usage = &'static [&'static str];

const READ: Usage = &["RO", "access"];
const LOOK: Usage = &["RO"];
const OVERWRITE: Usage = &["OW", "update"];
const CREATE: Usage = &["OW", "insert"];
const UPDATE: Usage = &["RW", "update"];
const INSERT: Usage = &["RW", "insert"];
const DELETE: Usage = &["RW", "delete"];
const COUNT: Usage = &["RW", "access"];
const CHANGE: Usage = &["RW", "access", "update"];
const TAKE: Usage = &["RW", "access", "delete"];
const GATHER: Usage = &["RW", "access", "insert"];
const REMOVE: Usage = &["RM", "delete"];
const NO_KEY: Usage = &["not_key"];

/// Commands, what they do with their first key, and what with the others.
const ROWS: &[(&str, Usage, Usage)] = &[
    (
        "exists hexists hlen hstrlen llen memory|usage object|encoding object|freq object|idletime object|refcount scard \
      sismember strlen touch type watch xlen zcard",
        LOOK,
        LOOK,
    ),
    (
        "expire expireat hmset hset lset persist pexpire pexpireat setrange xack xadd xclaim xgroup|setid xsetid zadd",
        UPDATE,
        UPDATE,
    ),
    (
        "decr decrby eval evalsha getex getset hincrby hincrbyfloat incr incrby incrbyfloat move setbit zincrby",
        CHANGE,
        CHANGE,
    ),
    (
        "blmpop blpop brpop bzmpop bzpopmax bzpopmin getdel lmpop lpop rpop spop zmpop zpopmax zpopmin",
        TAKE,
        TAKE,
    ),
    (
        "hdel lrem ltrim srem xautoclaim xdel xgroup|delconsumer xgroup|destroy xtrim zrem zremrangebylex \
      zremrangebyrank zremrangebyscore",
        DELETE,
        DELETE,
    ),
    (
        "append hsetnx linsert lpush lpushx pfadd rpush rpushx sadd xgroup|create xgroup|createconsumer",
        INSERT,
        INSERT,
    ),
    ("bitop sdiffstore sunionstore zdiffstore zinterstore zrangestore zunionstore", OVERWRITE, READ),
    ("blmove brpoplpush lmove rpoplpush smove", TAKE, INSERT),
    ("mset psetex restore restore-asking setex", OVERWRITE, OVERWRITE),
    ("spublish ssubscribe sunsubscribe", NO_KEY, NO_KEY),
    ("msetnx setnx", CREATE, CREATE),
    ("pfcount", COUNT, COUNT),
    ("del unlink", REMOVE, REMOVE),
    ("sinterstore", UPDATE, READ),
    ("pfmerge", GATHER, READ),
    ("sort copy", READ, OVERWRITE),
    ("renamenx", TAKE, CREATE),
    ("rename", TAKE, OVERWRITE),
];

/// What a command does with the key at this place among its keys.
pub fn of(command: &Command, args: Args<'_>, place: usize) -> Usage {
    match command.name {
        // SET reads what was there only when it is asked for it.
        "set" if (3..args.len()).any(|at| args.is(at, "GET")) => return CHANGE,
        "set" => return OVERWRITE,
        "bitfield" if (2..args.len()).any(|at| args.is(at, "SET") || args.is(at, "INCRBY")) => return CHANGE,
        _ => {}
    }
    let is_named = |names: &str| names.split_ascii_whitespace().any(|name| name == command.name);
    match ROWS.iter().find(|(names, ..)| is_named(names)) {
        Some((_, first, _)) if place == 0 => first,
        Some((_, _, others)) => others,
        None if command.flags.has(Flags::WRITE) && !matches!(command.name, "bitfield" | "xreadgroup") => {
            CHANGE
        }
        None => READ,
    }
}
