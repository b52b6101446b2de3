//! The whole state as commands that rebuild it: what a compacted log begins with.

mod stream;

use std::borrow::Cow;

use crate::engine::Engine;
use crate::keyspace::Entry;
use crate::number::format_float;
use crate::object::Object;

/// The most words after the key in one command; even, for fields with their values and scores with their members.
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
    let key = &*entry.key;
    match &entry.value {
        Object::String(text) => emit(&[b"SET", key, text]),
        Object::List(list) => {
            dump_members(b"RPUSH", key, list.iter().map(|item| Cow::Borrowed(&**item)), emit);
        }
        Object::Hash(hash) => {
            let words = hash.iter().flat_map(|(field, value)| [&**field, &**value]).map(Cow::Borrowed);
            dump_members(b"HSET", key, words, emit);
        }
        Object::Set(set) => {
            dump_members(b"SADD", key, set.iter().map(|member| Cow::Owned(member.to_vec())), emit);
        }
        Object::Stream(stream) => stream::dump(key, stream, emit),
        Object::SortedSet(set) => {
            let words = set.iter().flat_map(|(member, score)| {
                [Cow::Owned(format_float(score).into_bytes()), Cow::Borrowed(member)]
            });
            dump_members(b"ZADD", key, words, emit);
        }
    }
    if let Some(at) = entry.expires_ms {
        emit(&[b"PEXPIREAT", &entry.key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}

/// Gives members as commands of the same name, a chunk each.
fn dump_members<'a>(
    name: &[u8],
    key: &[u8],
    words: impl Iterator<Item = Cow<'a, [u8]>>,
    emit: &mut impl FnMut(&[&[u8]]),
) {
    let mut words = words.peekable();
    while words.peek().is_some() {
        let chunk: Vec<Cow<'a, [u8]>> = words.by_ref().take(CHUNK_MAX).collect();
        let mut record = vec![name, key];
        record.extend(chunk.iter().map(|word| &**word));
        emit(&record);
    }
}
