//! Commands on keys of any type. `place` removes and moves them, `expire` says when they end, `scan` finds them,
//! `object` looks into them.

use super::{Answer, Command, Flags, Keys, Run};
use crate::state::Call;

mod expire;
mod object;
mod place;
mod scan;

const KEY: Keys = Keys::Range(1, 1, 1);
const KEYS: Keys = Keys::Range(1, -1, 1);
const TWO: Keys = Keys::Range(1, 2, 1);
const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const WRITE_FAST: Flags = WRITE.and(Flags::FAST);

pub const COMMANDS: &[Command] = &[
    row("copy", -3, WRITE.and(Flags::DENY_OOM), TWO, "Copy a key to another", place::copy),
    row("del", -2, WRITE, KEYS, "Delete keys", place::del),
    row("exists", -2, READ_FAST, KEYS, "Count the keys that are there", place::exists),
    row("expire", -3, WRITE_FAST, KEY, "Let a key end after seconds", expire::expire),
    row("expireat", -3, WRITE_FAST, KEY, "Let a key end at a moment in seconds", expire::expireat),
    row("expiretime", 2, READ_FAST, KEY, "Get the moment in seconds when a key ends", expire::expiretime),
    row("keys", 2, READ, Keys::None, "Find all keys that match a pattern", scan::keys),
    row("move", 3, WRITE_FAST, KEY, "Move a key to another database", place::move_to_db),
    row("object", -2, READ, Keys::Range(2, 2, 1), "Look at how a value is stored", object::object),
    row("persist", 2, WRITE_FAST, KEY, "Let a key stay for ever", expire::persist),
    row("pexpire", -3, WRITE_FAST, KEY, "Let a key end after milliseconds", expire::pexpire),
    row("pexpireat", -3, WRITE_FAST, KEY, "Let a key end at a moment in milliseconds", expire::pexpireat),
    row(
        "pexpiretime",
        2,
        READ_FAST,
        KEY,
        "Get the moment in milliseconds when a key ends",
        expire::pexpiretime,
    ),
    row("pttl", 2, READ_FAST, KEY, "Get the milliseconds until a key ends", expire::pttl),
    row("randomkey", 1, READ, Keys::None, "Get some key", scan::randomkey),
    row("rename", 3, WRITE, TWO, "Rename a key, replacing what has the new name", place::rename),
    row("renamenx", 3, WRITE_FAST, TWO, "Rename a key if the new name is free", place::renamenx),
    row("scan", -2, READ, Keys::None, "Go through the keys bit by bit", scan::scan),
    row("touch", -2, READ_FAST, KEYS, "Count the keys that are there as used now", place::exists),
    row("ttl", 2, READ_FAST, KEY, "Get the seconds until a key ends", expire::ttl),
    row("type", 2, READ_FAST, KEY, "Get the type of a value", place::type_of),
    row("unlink", -2, WRITE_FAST, KEYS, "Delete keys and free what is big later", place::del),
];

const fn row(
    name: &'static str,
    arity: i8,
    flags: Flags,
    keys: Keys,
    summary: &'static str,
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, flags, keys, group: "generic", summary, run: Run::Call(run) }
}
