//! Commands on sets.

mod combine;
mod member;
mod random;

use super::{Answer, Command, Flags, Keys, Run};
use crate::state::Call;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const ADD_FAST: Flags = WRITE_FAST.and(Flags::DENY_OOM);
const STORE: Flags = Flags::WRITE.and(Flags::DENY_OOM);

const FIRST: Keys = Keys::Range(1, 1, 1);
const FIRST_TWO: Keys = Keys::Range(1, 2, 1);
const ALL: Keys = Keys::Range(1, -1, 1);

pub const COMMANDS: &[Command] = &[
    row("sadd", -3, ADD_FAST, FIRST, "Add members to a set", member::sadd),
    row("scard", 2, READ_FAST, FIRST, "Get the number of members of a set", member::scard),
    row("sdiff", -2, READ, ALL, "Get the members of the first set that no other has", combine::sdiff),
    row("sdiffstore", -3, STORE, ALL, "Store what SDIFF gives", combine::sdiffstore),
    row("sinter", -2, READ, ALL, "Get the members that all sets have", combine::sinter),
    row(
        "sintercard",
        -3,
        READ,
        Keys::Counted(1),
        "Count the members that all sets have",
        combine::sintercard,
    ),
    row("sinterstore", -3, STORE, ALL, "Store what SINTER gives", combine::sinterstore),
    row("sismember", 3, READ_FAST, FIRST, "Tell whether a set has a member", member::sismember),
    row("smembers", 2, READ, FIRST, "Get all members of a set", member::smembers),
    row("smismember", -3, READ_FAST, FIRST, "Tell which members a set has", member::smismember),
    row("smove", 4, WRITE_FAST, FIRST_TWO, "Move a member from one set to another", member::smove),
    row("spop", -2, WRITE_FAST, FIRST, "Remove and get members chosen at random", random::spop),
    row("srandmember", -2, READ, FIRST, "Get members chosen at random", random::srandmember),
    row("srem", -3, WRITE_FAST, FIRST, "Remove members of a set", member::srem),
    row("sscan", -3, READ, FIRST, "Walk over the members of a set bit by bit", member::sscan),
    row("sunion", -2, READ, ALL, "Get the members that any set has", combine::sunion),
    row("sunionstore", -3, STORE, ALL, "Store what SUNION gives", combine::sunionstore),
];

const fn row(
    name: &'static str,
    arity: i8,
    flags: Flags,
    keys: Keys,
    summary: &'static str,
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, flags, keys, group: "set", summary, run: Run::Call(run) }
}
