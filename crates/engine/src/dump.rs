//! The whole state as commands that rebuild it: what a compacted log begins with.

use crate::engine::Engine;
use crate::keyspace::Entry;

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
    if let crate::object::Object::String(text) = &entry.value {
        emit(&[b"SET", &entry.key, text]);
    }
    if let Some(at) = entry.expires_ms {
        emit(&[b"PEXPIREAT", &entry.key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}
