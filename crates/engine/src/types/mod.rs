//! The data structures. They know nothing of arguments, replies or logs.
//!
//! Collections are made of blocks of bounded size, so that no operation is longer than one block's work and
//! snapshot, scan and freeing can go block by block. A block is behind a shared pointer: a clone of a collection
//! clones the pointers, and a write copies the block that it touches, if it is shared at that moment.

mod blocks;
mod budget;
pub mod copied;
mod hash;
pub mod hyperloglog;
mod list;
mod sample;
mod set;
#[cfg(test)]
mod sharing;
mod stream;
pub mod table;
mod zset;

pub use budget::Budget;
pub use hash::{Hash, Put};
pub use list::{End, List};
pub use set::{Member, Set};
pub use stream::{
    Consumer, ConsumerIndex, ENTRIES_MAX, ENTRY_BYTES_MAX, Fields, Group, Id, IdText, NewId, Pending,
    Precision, Stream, Trim,
};
pub use table::WARM;
pub use zset::{LexBound, ScoreBound, SortedSet};
