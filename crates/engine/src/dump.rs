//! The whole state as commands that rebuild it: what a compacted log begins with.

mod stream;

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::blob::Blob;
use crate::engine::Engine;
use crate::keyspace::{Entry, Keyspace};
use crate::number::format_float;
use crate::object::Object;
use crate::rdb;
use crate::types::copied;
use crate::types::table::Table;

/// The most words after the key in one command; even, for fields with their values and scores with their members.
const CHUNK_MAX: usize = 64;

/// All databases as they were at one moment, for another thread to write down while the engine goes on.
///
/// It shares the memory of the engine. What the engine writes meanwhile it copies, block by block, and only once.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// The sources of the libraries of functions.
    libraries: Vec<Blob>,
    databases: Vec<Table<Entry>>,
    /// How many keys of each end.
    expiring: Vec<usize>,
    bytes: usize,
}

impl Engine {
    /// The data as it is now. O(the keys / 5,000), and no data is copied.
    pub fn freeze(&self) -> Frozen {
        let databases = self.state.databases.iter().map(Keyspace::freeze).collect();
        let expiring = self.state.databases.iter().map(Keyspace::expiring).collect();
        let libraries = self.state.libraries.iter().map(|library| library.source.clone()).collect();
        Frozen { libraries, databases, expiring, bytes: self.bytes() }
    }

    /// The bytes that calls on this thread copied, or left to a frozen copy, since this was last asked: what those who hold
    /// a frozen copy make the data cost besides. An upper bound, but for what is less than 32 KiB and was written before
    /// it was deleted.
    pub fn take_copied(&mut self) -> usize {
        copied::take()
    }

    /// Gives every key of every database as the commands that make it, SELECT first. O(the data).
    pub fn dump(&self, mut emit: impl FnMut(&[&[u8]])) {
        let is_whole = self.freeze().dump(|args| {
            emit(args);
            ControlFlow::Continue(())
        });
        assert!(is_whole, "nothing breaks it off");
    }
}

impl Frozen {
    /// The number of keys.
    pub fn len(&self) -> usize {
        self.databases.iter().map(Table::len).sum()
    }

    /// True when there is no key and no library of functions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.libraries.is_empty()
    }

    /// Approximate bytes of memory of the data.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes every key of every database as an RDB file, until `may_go_on` says no to the bytes so far; answers its
    /// bytes, or none when it was broken off. As a [`dump`](Self::dump) does, it lets go of what was written.
    ///
    /// # Errors
    /// The first that `output` gave.
    pub fn save_rdb(
        self,
        output: &mut dyn std::io::Write,
        may_go_on: impl FnMut(u64) -> bool,
    ) -> std::io::Result<Option<u64>> {
        rdb::write_file(&self.libraries, self.databases, &self.expiring, output, may_go_on)
    }

    /// Gives every key of every database as the commands that make it, SELECT first, until `emit` breaks it off; true
    /// when all was given. What was given is let go of on the way, so that the engine need not copy it any more.
    pub fn dump(self, mut emit: impl FnMut(&[&[u8]]) -> ControlFlow<()>) -> bool {
        let mut sink = Sink { emit: &mut emit, is_over: false };
        self.libraries.iter().for_each(|source| sink.give(&[b"FUNCTION", b"LOAD", b"REPLACE", source]));
        for (db, table) in self.databases.into_iter().enumerate() {
            if table.is_empty() {
                continue;
            }
            sink.give(&[b"SELECT", itoa::Buffer::new().format(db).as_bytes()]);
            for segment in table.into_segments() {
                for entry in segment.iter() {
                    if sink.is_over {
                        return false;
                    }
                    dump_entry(entry, &mut sink);
                }
            }
        }
        !sink.is_over
    }
}

/// Where the commands go, until it wants no more.
struct Sink<'a> {
    emit: &'a mut dyn FnMut(&[&[u8]]) -> ControlFlow<()>,
    is_over: bool,
}

impl Sink<'_> {
    fn give(&mut self, args: &[&[u8]]) {
        self.is_over = self.is_over || (self.emit)(args).is_break();
    }
}

fn dump_entry(entry: &Entry, sink: &mut Sink<'_>) {
    let key = &*entry.key;
    match &entry.value {
        Object::String(text) => sink.give(&[b"SET", key, text]),
        Object::List(list) => {
            dump_members(b"RPUSH", key, list.iter().map(Cow::Borrowed), sink);
        }
        Object::Hash(hash) => {
            let words = hash.iter().flat_map(|(field, value)| [&**field, &**value]).map(Cow::Borrowed);
            dump_members(b"HSET", key, words, sink);
        }
        Object::Set(set) => {
            dump_members(b"SADD", key, set.iter().map(|member| Cow::Owned(member.to_vec())), sink);
        }
        Object::Stream(stream) => stream::dump(key, stream, sink),
        Object::SortedSet(set) => {
            let words = set.iter().flat_map(|(member, score)| {
                [Cow::Owned(format_float(score).into_bytes()), Cow::Borrowed(member)]
            });
            dump_members(b"ZADD", key, words, sink);
        }
    }
    if let Some(at) = entry.expires_ms() {
        sink.give(&[b"PEXPIREAT", &entry.key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}

/// Gives members as commands of the same name, a chunk each.
fn dump_members<'a>(
    name: &[u8],
    key: &[u8],
    words: impl Iterator<Item = Cow<'a, [u8]>>,
    sink: &mut Sink<'_>,
) {
    let mut words = words.peekable();
    while words.peek().is_some() && !sink.is_over {
        let chunk: Vec<Cow<'a, [u8]>> = words.by_ref().take(CHUNK_MAX).collect();
        let mut record = vec![name, key];
        record.extend(chunk.iter().map(|word| &**word));
        sink.give(&record);
    }
}
