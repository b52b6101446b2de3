//! Commands on keys of any type. `place` removes and moves them, `expire` says when they end, `scan` finds them, `sort`
//! orders their elements,
//! `object` looks into them.

use super::{Command, Group, Keys};

mod dump;
mod expire;
mod object;
mod place;
mod scan;
mod sort;

const KEY: Keys = Keys::Range(1, 1, 1);
const KEYS: Keys = Keys::Range(1, -1, 1);
const TWO: Keys = Keys::Range(1, 2, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row("copy", -3, flags![WRITE, DENY_OOM], TWO, "Copy a key to another", place::copy),
    GROUP.row("del", -2, flags![WRITE], KEYS, "Delete keys", place::del),
    GROUP.row("dump", 2, flags![READONLY], KEY, "Get a value as bytes that RESTORE takes", dump::dump),
    GROUP.row("exists", -2, flags![READONLY, FAST], KEYS, "Count the keys that are there", place::exists),
    GROUP.row("expire", -3, flags![WRITE, FAST], KEY, "Let a key end after seconds", expire::expire),
    GROUP.row(
        "expireat",
        -3,
        flags![WRITE, FAST],
        KEY,
        "Let a key end at a moment in seconds",
        expire::expireat,
    ),
    GROUP.row(
        "expiretime",
        2,
        flags![READONLY, FAST],
        KEY,
        "Get the moment in seconds when a key ends",
        expire::expiretime,
    ),
    GROUP.row(
        "keys",
        2,
        flags![READONLY, DANGEROUS],
        Keys::None,
        "Find all keys that match a pattern",
        scan::keys,
    ),
    GROUP.row("move", 3, flags![WRITE, FAST], KEY, "Move a key to another database", place::move_to_db),
    GROUP.container("object", "Look at how a value is stored", object::SUBCOMMANDS),
    GROUP.row("persist", 2, flags![WRITE, FAST], KEY, "Let a key stay for ever", expire::persist),
    GROUP.row("pexpire", -3, flags![WRITE, FAST], KEY, "Let a key end after milliseconds", expire::pexpire),
    GROUP.row(
        "pexpireat",
        -3,
        flags![WRITE, FAST],
        KEY,
        "Let a key end at a moment in milliseconds",
        expire::pexpireat,
    ),
    GROUP.row(
        "pexpiretime",
        2,
        flags![READONLY, FAST],
        KEY,
        "Get the moment in milliseconds when a key ends",
        expire::pexpiretime,
    ),
    GROUP.row("pttl", 2, flags![READONLY, FAST], KEY, "Get the milliseconds until a key ends", expire::pttl),
    GROUP.row("randomkey", 1, flags![READONLY], Keys::None, "Get some key", scan::randomkey),
    GROUP.row(
        "rename",
        3,
        flags![WRITE],
        TWO,
        "Rename a key, replacing what has the new name",
        place::rename,
    ),
    GROUP.row(
        "renamenx",
        3,
        flags![WRITE, FAST],
        TWO,
        "Rename a key if the new name is free",
        place::renamenx,
    ),
    GROUP.row(
        "restore",
        -4,
        flags![WRITE, DENY_OOM, DANGEROUS],
        KEY,
        "Make a key of what DUMP gave",
        dump::restore,
    ),
    GROUP.row("scan", -2, flags![READONLY], Keys::None, "Go through the keys bit by bit", scan::scan),
    GROUP.row(
        "sort",
        -2,
        flags![WRITE, DENY_OOM, DANGEROUS],
        Keys::Sort,
        "Sort elements, or store them sorted",
        sort::sort,
    ),
    GROUP.row("sort_ro", -2, flags![READONLY, DANGEROUS], Keys::Sort, "Sort elements", sort::sort_ro),
    GROUP.row(
        "touch",
        -2,
        flags![READONLY, FAST],
        KEYS,
        "Count the keys that are there as used now",
        place::touch,
    ),
    GROUP.row("ttl", 2, flags![READONLY, FAST], KEY, "Get the seconds until a key ends", expire::ttl),
    GROUP.row("type", 2, flags![READONLY, FAST], KEY, "Get the type of a value", place::type_of),
    GROUP.row("unlink", -2, flags![WRITE, FAST], KEYS, "Delete keys and free what is big later", place::del),
];

/// What makes the rows of this family.
const GROUP: Group = Group("generic");
