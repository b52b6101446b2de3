//! The data structures. They know nothing of arguments, replies or logs.
//!
//! Collections are made of blocks of bounded size, so that no operation is longer than one block's work and
//! snapshot, scan and freeing can go block by block.

mod hash;
mod list;
mod set;
mod stream;
pub mod table;
mod zset;

pub use hash::Hash;
pub use list::List;
pub use set::Set;
pub use stream::Stream;
pub use zset::SortedSet;
