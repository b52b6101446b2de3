//! The whole state as commands that rebuild it: what a compacted log begins with.

mod stream;

use crate::engine::Engine;
use crate::keyspace::Entry;
use crate::object::Object;

/// Most members in one command.
const CHUNK_MAX: usize = 64;

impl Engine {
    /// Gives every key of every database as the commands that make it, SELECT first. O(the data).
    pub fn dump(&self, mut emit: impl FnMut(&[&[u8]])) {
        for (db, keyspace) in self.state.databases.iter().enumerate() {
            if keyspace.len() == 0 {
                continue;
            }
            emit(&[b"SELECT", itoa::Buffer::new().format(db).as_bytes()]);
            for entry in keyspace.iter() {
                dump_entry(entry, &mut emit);
            }
        }
    }
}

fn dump_entry(entry: &Entry, emit: &mut impl FnMut(&[&[u8]])) {
    match &entry.value {
        Object::String(text) => emit(&[b"SET", &entry.key, text]),
        Object::Stream(stream) => stream::dump(&entry.key, stream, emit),
        _ => {}
    }
    if let Some(at) = entry.expires_ms {
        emit(&[b"PEXPIREAT", &entry.key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}
