//! Commands on lists.

mod blocking;
mod edit;
mod pop;
mod position;
mod push;
mod read;

use super::{Command, Group, Keys};
use crate::args::Args;
use crate::error::{Error, Result};
use crate::types::End;

const FIRST: Keys = Keys::Range(1, 1, 1);
const FIRST_TWO: Keys = Keys::Range(1, 2, 1);
const BUT_LAST: Keys = Keys::Range(1, -2, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "blmove",
        6,
        flags![WRITE, DENY_OOM, NO_SCRIPT, BLOCKING],
        FIRST_TWO,
        "Move an item between lists, waiting for one",
        blocking::blmove,
    ),
    GROUP.row(
        "blmpop",
        -5,
        flags![WRITE, BLOCKING],
        Keys::Counted(2),
        "Pop items of the first list that has any, waiting",
        blocking::blmpop,
    ),
    GROUP.row(
        "blpop",
        -3,
        flags![WRITE, NO_SCRIPT, BLOCKING],
        BUT_LAST,
        "Pop the head of the first list that has one, waiting",
        blocking::blpop,
    ),
    GROUP.row(
        "brpop",
        -3,
        flags![WRITE, NO_SCRIPT, BLOCKING],
        BUT_LAST,
        "Pop the tail of the first list that has one, waiting",
        blocking::brpop,
    ),
    GROUP.row(
        "brpoplpush",
        4,
        flags![WRITE, DENY_OOM, NO_SCRIPT, BLOCKING],
        FIRST_TWO,
        "Move a tail to the head of a list, waiting for one",
        blocking::brpoplpush,
    ),
    GROUP.row("lindex", 3, flags![READONLY], FIRST, "Get the item at an index", read::lindex),
    GROUP.row(
        "linsert",
        5,
        flags![WRITE, DENY_OOM],
        FIRST,
        "Insert an item before or after another",
        edit::linsert,
    ),
    GROUP.row("llen", 2, flags![READONLY, FAST], FIRST, "Get the length of a list", read::llen),
    GROUP.row(
        "lmove",
        5,
        flags![WRITE, DENY_OOM],
        FIRST_TWO,
        "Move an item from one end of a list to an end of another",
        pop::lmove,
    ),
    GROUP.row(
        "lmpop",
        -4,
        flags![WRITE],
        Keys::Counted(1),
        "Pop items of the first list that has any",
        pop::lmpop,
    ),
    GROUP.row("lpop", -2, flags![WRITE, FAST], FIRST, "Remove and get items at the head", pop::lpop),
    GROUP.row("lpos", -3, flags![READONLY], FIRST, "Get the index of an item", position::lpos),
    GROUP.row("lpush", -3, flags![WRITE, DENY_OOM, FAST], FIRST, "Add items at the head", push::lpush),
    GROUP.row(
        "lpushx",
        -3,
        flags![WRITE, DENY_OOM, FAST],
        FIRST,
        "Add items at the head of a list that exists",
        push::lpushx,
    ),
    GROUP.row("lrange", 4, flags![READONLY], FIRST, "Get the items between two indices", read::lrange),
    GROUP.row("lrem", 4, flags![WRITE], FIRST, "Remove items that equal a value", edit::lrem),
    GROUP.row("lset", 4, flags![WRITE, DENY_OOM], FIRST, "Replace the item at an index", edit::lset),
    GROUP.row("ltrim", 4, flags![WRITE], FIRST, "Keep only the items between two indices", edit::ltrim),
    GROUP.row("rpop", -2, flags![WRITE, FAST], FIRST, "Remove and get items at the tail", pop::rpop),
    GROUP.row(
        "rpoplpush",
        3,
        flags![WRITE, DENY_OOM],
        FIRST_TWO,
        "Move the tail of a list to the head of another",
        pop::rpoplpush,
    ),
    GROUP.row("rpush", -3, flags![WRITE, DENY_OOM, FAST], FIRST, "Add items at the tail", push::rpush),
    GROUP.row(
        "rpushx",
        -3,
        flags![WRITE, DENY_OOM, FAST],
        FIRST,
        "Add items at the tail of a list that exists",
        push::rpushx,
    ),
];

/// What makes the rows of this family.
const GROUP: Group = Group("list");

/// The end that the argument at `index` names, LEFT or RIGHT.
fn end(args: Args<'_>, index: usize) -> Result<End> {
    if args.is(index, "LEFT") {
        Ok(End::Left)
    } else if args.is(index, "RIGHT") {
        Ok(End::Right)
    } else {
        Err(Error::SYNTAX)
    }
}

/// The place of an index that may count from the end, -1 being the last; none when there is no such place.
fn place(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { index.saturating_add_unsigned(len as u64) } else { index };
    usize::try_from(place).ok().filter(|place| *place < len)
}

/// The places from `start` to `stop`, both included and either counting from the end: the first one and how many.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let from_head = |index: i64| if index < 0 { index.saturating_add_unsigned(len as u64) } else { index };
    let first = usize::try_from(from_head(start)).unwrap_or(0);
    let end = usize::try_from(from_head(stop).saturating_add(1)).unwrap_or(0).min(len);
    (first.min(len), end.saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_to_the_list() {
        for (start, stop, expected) in [
            (0, -1, (0, 5)),
            (1, 2, (1, 2)),
            (-2, 100, (3, 2)),
            (-100, 0, (0, 1)),
            (3, 1, (3, 0)),
            (5, 9, (5, 0)),
            (i64::MIN, i64::MAX, (0, 5)),
            (0, i64::MIN, (0, 0)),
            (i64::MAX, i64::MAX, (5, 0)),
        ] {
            assert_eq!(span(start, stop, 5), expected, "{start} {stop}");
        }
    }
}
