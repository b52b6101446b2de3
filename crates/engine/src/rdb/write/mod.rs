//! Writes a file, and the values in it, in the forms that Redis 7.0 takes for any size: it packs what is small by
//! itself.

mod list;
mod stream;

use std::io::{self, Write};

use super::format::{MARK, VERSION_WRITTEN, kind, opcode};
use super::output::Output;
use crate::blob::Blob;
use crate::keyspace::Entry;
use crate::object::Object;
use crate::types::table::Table;

/// Writes a library of functions.
pub fn library(output: &mut Output<'_>, source: &[u8]) {
    output.bytes(&[opcode::FUNCTION]);
    output.string(source);
}

/// Writes everything, until `may_go_on` says no to the bytes so far; none then. `expiring` tells for each database how
/// many of its keys end.
pub fn file(
    libraries: &[Blob],
    databases: Vec<Table<Entry>>,
    expiring: &[usize],
    sink: &mut dyn Write,
    mut may_go_on: impl FnMut(u64) -> bool,
) -> io::Result<Option<u64>> {
    let mut output = Output::new(sink);
    begin(&mut output);
    libraries.iter().for_each(|source| library(&mut output, source));
    let mut told = 0;
    for (number, (table, expiring)) in databases.into_iter().zip(expiring).enumerate() {
        if table.is_empty() {
            continue;
        }
        select(&mut output, number as u64);
        output.bytes(&[opcode::RESIZE_DB]);
        output.length(table.len() as u64);
        output.length(*expiring as u64);
        for segment in table.into_segments() {
            for entry in segment.iter() {
                write_entry(&mut output, entry);
                if output.has_failed() {
                    return end(output).map(Some);
                }
                if output.passed() > told {
                    told = output.passed();
                    if !may_go_on(told) {
                        return Ok(None);
                    }
                }
            }
        }
    }
    end(output).map(Some)
}

/// The head of a file.
pub fn begin(output: &mut Output<'_>) {
    output.bytes(MARK);
    output.bytes(format!("{VERSION_WRITTEN:04}").as_bytes());
    aux(output, b"windlass-ver", env!("CARGO_PKG_VERSION").as_bytes());
    aux(output, b"redis-bits", b"64");
}

/// What follows belongs to this database.
pub fn select(output: &mut Output<'_>, db: u64) {
    output.bytes(&[opcode::SELECT_DB]);
    output.length(db);
}

/// The end of a file, and how many bytes it has.
pub fn end(mut output: Output<'_>) -> io::Result<u64> {
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

/// When the next key ends.
pub fn expiry(output: &mut Output<'_>, expires_ms: Option<u64>) {
    if let Some(at) = expires_ms {
        output.bytes(&[opcode::EXPIRE_TIME_MS]);
        output.bytes(&at.to_le_bytes());
    }
}

fn write_entry(output: &mut Output<'_>, entry: &Entry) {
    expiry(output, entry.expires_ms());
    output.bytes(&[kind_of(&entry.value)]);
    output.string(&entry.key);
    content(output, &entry.value);
}

fn aux(output: &mut Output<'_>, name: &[u8], value: &[u8]) {
    output.bytes(&[opcode::AUX]);
    output.string(name);
    output.string(value);
}
