//! Writes a file, and the values in it, in the forms that Redis 7.0 takes for any size: it packs what is small by
//! itself.

mod list;
mod stream;

use std::io::{self, Write};

use super::format::{MARK, VERSION_WRITTEN, kind, opcode};
use super::output::Output;
use crate::engine::Engine;
use crate::keyspace::Entry;
use crate::object::Object;

/// Writes everything.
pub fn file(engine: &Engine, sink: &mut dyn Write) -> io::Result<u64> {
    let mut output = Output::new(sink);
    output.bytes(MARK);
    output.bytes(format!("{VERSION_WRITTEN:04}").as_bytes());
    aux(&mut output, b"windlass-ver", env!("CARGO_PKG_VERSION").as_bytes());
    aux(&mut output, b"redis-bits", b"64");
    for (db, keyspace) in engine.state.databases.iter().enumerate() {
        if keyspace.len() == 0 {
            continue;
        }
        output.bytes(&[opcode::SELECT_DB]);
        output.length(db as u64);
        output.bytes(&[opcode::RESIZE_DB]);
        output.length(keyspace.len() as u64);
        output.length(keyspace.expiring() as u64);
        for entry in keyspace.iter() {
            write_entry(&mut output, entry);
            if output.has_failed() {
                break;
            }
        }
    }
    output.bytes(&[opcode::EOF]);
    let checksum = output.checksum();
    output.bytes(&checksum.to_le_bytes());
    output.finish()
}

/// The number of a value's type and form.
fn kind_of(value: &Object) -> u8 {
    match value {
        Object::String(_) => kind::STRING,
        Object::List(_) => kind::LIST_QUICKLIST_2,
        Object::Hash(_) => kind::HASH,
        Object::Set(_) => kind::SET,
        Object::SortedSet(_) => kind::ZSET_2,
        Object::Stream(_) => kind::STREAM_LISTPACKS_2,
    }
}

/// Writes a value after its type.
pub fn value(output: &mut Output<'_>, value: &Object) {
    output.bytes(&[kind_of(value)]);
    content(output, value);
}

fn content(output: &mut Output<'_>, value: &Object) {
    match value {
        Object::String(text) => output.string(text),
        Object::List(list) => list::write(output, list),
        Object::Hash(hash) => {
            output.length(hash.len() as u64);
            for (field, value) in hash.iter() {
                output.string(field);
                output.string(value);
            }
        }
        Object::Set(set) => {
            output.length(set.len() as u64);
            set.iter().for_each(|member| output.string(&member));
        }
        Object::SortedSet(zset) => {
            output.length(zset.len() as u64);
            for (member, score) in zset.iter() {
                output.string(member);
                output.bytes(&score.to_le_bytes());
            }
        }
        Object::Stream(stream) => stream::write(output, stream),
    }
}

fn write_entry(output: &mut Output<'_>, entry: &Entry) {
    if let Some(at) = entry.expires_ms {
        output.bytes(&[opcode::EXPIRE_TIME_MS]);
        output.bytes(&at.to_le_bytes());
    }
    output.bytes(&[kind_of(&entry.value)]);
    output.string(&entry.key);
    content(output, &entry.value);
}

fn aux(output: &mut Output<'_>, name: &[u8], value: &[u8]) {
    output.bytes(&[opcode::AUX]);
    output.string(name);
    output.string(value);
}
