//! Keys on their way from one store to another, or to a file and back.
//!
//! What it is: the one form in which a key travels, [`Saved`], whatever it comes from; what is in it, [`Content`], for
//! a file that people read and for stores that do not take each other's DUMP; and a digest of it that does not depend
//! on the order in which a store happens to keep members. A [`Library`] of functions travels as its source. What it is
//! not: there is no file and no connection here.
//!
//! ```
//! use windlass_db::carry::{Content, Scratch};
//!
//! let mut scratch = Scratch::default();
//! let payload = scratch.payload(&Content::List(vec![b"a".to_vec(), b"b".to_vec()])).expect("a value");
//! assert_eq!(scratch.content(&payload), Some(Content::List(vec![b"a".to_vec(), b"b".to_vec()])));
//! let commands = scratch.commands(b"l", &payload).expect("a value");
//! assert_eq!(commands, [["RPUSH", "l", "a", "b"].map(|word| word.as_bytes().to_vec())]);
//! ```

mod content;
mod digest;
mod fill;
mod reply;
mod scratch;

pub use content::{Consumer, Content, Group, Pending, Stream};
pub use digest::Digest;
pub use reply::Kind;
pub use scratch::Scratch;
pub use windlass_engine::matches_pattern;
pub use windlass_engine::rdb::{Error as FileError, Library, Reader, Record, Saved, Writer};
pub use windlass_resp::Value;
