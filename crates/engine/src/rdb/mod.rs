//! Redis's snapshot format, RDB: versions up to 11 are read, version 10 is written.
//!
//! What it is: a codec over any [`BufRead`] and [`Write`]; it opens no file and asks no clock, and a file of any
//! size passes through in pieces. What it is not: it decides nothing about files, which is the database's work.
//!
//! The facts are those of the Redis project: `rdb.h` (opcodes and types), `rdb.c`, `listpack.c`, `ziplist.c`,
//! `intset.c`, `zipmap.c` and `t_stream.c` of Redis 7.
//!
//! A file is `REDIS` and four digits of the version, then opcodes, then the opcode for the end and a checksum:
//!
//! | opcode | what follows it |
//! |---|---|
//! | 250 AUX | a name and a value, both strings, of no consequence for the content |
//! | 254 SELECTDB, 251 RESIZEDB | a database's number; how many keys it has and how many of them end |
//! | 252, 253 EXPIRETIME | when the next key ends: milliseconds in 8 bytes, or seconds in 4 |
//! | 248 IDLE, 249 FREQ | how seldom or often the next key is used |
//! | 245 FUNCTION | the source of a library of functions, a string |
//! | 246 FUNCTION of a version before 7.0, 247 MODULE_AUX | refused by name |
//! | 255 EOF | since version 5 the CRC-64 of all before it, or 0 for none |
//! | another below 22 | a value's type, then the key, a string, then the value |
//!
//! `length` has the numbers and strings of which everything else consists, `packed` the forms in which Redis keeps
//! small collections in one string, `read` and `write` a file for each family of types, `payload` one value alone,
//! `stream` a file whose records are taken and given one by one.

mod crc64;
mod error;
mod format;
mod input;
mod length;
mod library;
mod lzf;
mod output;
mod packed;
mod payload;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use std::io::{BufRead, Write};

use crate::engine::Engine;

pub use error::{Error, Result};
pub use format::{MARK, VERSION_READ_MAX, VERSION_WRITTEN};
pub use library::Library;
pub(crate) use payload::{Payload, encode as encode_value, encode_libraries};
pub use stream::{Reader, Record, Saved, Writer};
pub(crate) use write::file as write_file;

/// What a file held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The keys that were taken.
    pub keys: u64,
    /// The file's bytes, up to and with its checksum. Commands may follow.
    pub bytes: u64,
    /// The file's version.
    pub version: u32,
}

impl Engine {
    /// Takes all keys of an RDB file, to be called before anything else was done. Keys whose time is over are taken,
    /// too: no time passes in a replay. What comes after the file is left in `input`. Nothing is logged.
    ///
    /// ```
    /// use windlass_engine::{Config, Engine, Time};
    /// use windlass_resp::Value;
    ///
    /// let mut engine = Engine::new(Config::default());
    /// let session = engine.open_session("test", Time::default());
    /// engine.execute(session, &[b"SET", b"greeting", b"hello"], Time::default());
    /// let mut file = Vec::new();
    /// engine.save_rdb(&mut file)?;
    ///
    /// let mut other = Engine::new(Config::default());
    /// assert_eq!(other.load_rdb(&mut &file[..])?.keys, 1);
    /// let session = other.open_session("test", Time::default());
    /// let outcome = other.execute(session, &[b"GET", b"greeting"], Time::default());
    /// assert_eq!(outcome.reply, Some(Value::from("hello")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file is not whole, not sound, or holds something that this engine does not have. The engine is to be
    /// dropped then: it holds a part of the file.
    pub fn load_rdb(&mut self, input: &mut dyn BufRead) -> Result<Loaded> {
        read::file(self, input)
    }

    /// Writes every key of every database as an RDB file; answers its bytes. O(the data).
    ///
    /// # Errors
    /// The first that `output` gave.
    pub fn save_rdb(&self, output: &mut dyn Write) -> std::io::Result<u64> {
        let written = self.freeze().save_rdb(output, |_| true)?;
        Ok(written.expect("it is not given up"))
    }
}

/// The version of the RDB file at the start of `input`; reads no further.
///
/// # Errors
/// [`Error::Version`] for one that is not read, [`Error::Malformed`] when it is no RDB file.
pub fn version(input: &mut dyn BufRead) -> Result<u32> {
    read::version(&mut input::Input::new(input))
}
