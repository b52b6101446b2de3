//! Commands on hashes.

mod number;
mod random;
mod read;
mod write;

use super::{Answer, Command, Flags, Keys, Run};
use crate::state::Call;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const ADD_FAST: Flags = WRITE_FAST.and(Flags::DENY_OOM);

pub const COMMANDS: &[Command] = &[
    row("hdel", -3, WRITE_FAST, "Remove fields of a hash", write::hdel),
    row("hexists", 3, READ_FAST, "Tell whether a hash has a field", read::hexists),
    row("hget", 3, READ_FAST, "Get the value of a field of a hash", read::hget),
    row("hgetall", 2, READ, "Get all fields of a hash with their values", read::hgetall),
    row("hincrby", 4, ADD_FAST, "Add an integer to the number in a field of a hash", number::hincrby),
    row("hincrbyfloat", 4, ADD_FAST, "Add a float to the number in a field of a hash", number::hincrbyfloat),
    row("hkeys", 2, READ, "Get all fields of a hash", read::hkeys),
    row("hlen", 2, READ_FAST, "Get the number of fields of a hash", read::hlen),
    row("hmget", -3, READ_FAST, "Get the values of several fields of a hash", read::hmget),
    row("hmset", -4, ADD_FAST, "Set several fields of a hash", write::hmset),
    row("hrandfield", -2, READ, "Get fields of a hash chosen at random", random::hrandfield),
    row("hscan", -3, READ, "Walk over the fields of a hash bit by bit", read::hscan),
    row("hset", -4, ADD_FAST, "Set fields of a hash", write::hset),
    row("hsetnx", 4, ADD_FAST, "Set a field of a hash that is not there yet", write::hsetnx),
    row("hstrlen", 3, READ_FAST, "Get the length of the value of a field of a hash", read::hstrlen),
    row("hvals", 2, READ, "Get all values of a hash", read::hvals),
];

/// A row of this family, whose commands all have one key.
const fn row(
    name: &'static str,
    arity: i8,
    flags: Flags,
    summary: &'static str,
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, flags, keys: Keys::Range(1, 1, 1), group: "hash", summary, run: Run::Call(run) }
}
