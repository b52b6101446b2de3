//! Reads a file, and the values in it: `read_value` knows every type, each family has a file.

mod hash;
mod list;
mod set;
mod stream;
mod zset;

use std::io::BufRead;

use super::error::{Error, Result};
use super::format::{MARK, VERSION_CHECKSUM, VERSION_DIGITS, VERSION_READ_MAX, kind, opcode};
use super::input::Input;
use super::{Loaded, packed};
use crate::blob::Blob;
use crate::command::function::Policy;
use crate::engine::Engine;
use crate::object::{Kind, Object};

/// Takes a whole file into an engine.
pub fn file(engine: &mut Engine, source: &mut dyn BufRead) -> Result<Loaded> {
    let databases = engine.state.databases.len() as u64;
    let mut entries = Entries::open(source, engine.state.config.seed, databases)?;
    let mut loaded = Loaded { version: entries.version, ..Loaded::default() };
    let mut libraries = Vec::new();
    while let Some(item) = entries.next_item()? {
        let entry = match item {
            Item::Library(offset, source) => {
                libraries.push((offset, source));
                continue;
            }
            Item::Key(entry) => entry,
        };
        let keyspace = &mut engine.state.databases[entry.db as usize];
        if keyspace.insert(entry.key, entry.value, entry.expires_ms).is_some() {
            return Err(malformed(entry.offset, "a key is there twice"));
        }
        loaded.keys += 1;
    }
    for (offset, source) in libraries {
        engine.add_libraries(0, &[source], Policy::Append).map_err(|error| library_fails(offset, &error))?;
    }
    loaded.bytes = entries.input.offset();
    Ok(loaded)
}

/// The libraries and the keys of a file, one after the other.
pub struct Entries<'a> {
    input: Input<'a>,
    version: u32,
    seed: u64,
    /// How many databases there are.
    databases: u64,
    db: u64,
    /// When the next key ends.
    expires_ms: Option<u64>,
    is_over: bool,
}

/// What a file consists of.
pub enum Item {
    /// The source of a library of functions, and its place.
    Library(u64, Blob),
    Key(Entry),
}

/// A key of a file. `offset` is the place of its type.
pub struct Entry {
    pub offset: u64,
    pub db: u64,
    pub key: Blob,
    pub value: Object,
    pub expires_ms: Option<u64>,
}

impl<'a> Entries<'a> {
    pub fn open(source: &'a mut dyn BufRead, seed: u64, databases: u64) -> Result<Self> {
        let mut input = Input::new(source);
        let version = version(&mut input)?;
        Ok(Self { input, version, seed, databases, db: 0, expires_ms: None, is_over: false })
    }

    /// The bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.input.offset()
    }

    /// The next library or key; none at the end, where the checksum was right.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        let input = &mut self.input;
        while !self.is_over {
            let offset = input.offset();
            match input.byte()? {
                opcode::EOF => {
                    check(input, self.version)?;
                    self.is_over = true;
                }
                opcode::SELECT_DB => {
                    let offset = input.offset();
                    self.db = input.length()?;
                    if self.db >= self.databases {
                        let what = format!("the database {}, and there are only {}", self.db, self.databases);
                        return Err(unsupported(offset, what));
                    }
                }
                opcode::RESIZE_DB => {
                    input.length()?;
                    input.length()?;
                }
                opcode::AUX => {
                    input.string()?;
                    input.string()?;
                }
                opcode::EXPIRE_TIME => {
                    self.expires_ms = Some(past(i64::from(i32::from_le_bytes(input.array()?)) * 1000));
                }
                opcode::EXPIRE_TIME_MS => {
                    self.expires_ms = Some(past(i64::from_le_bytes(input.array()?)));
                }
                // How often a key is used is not kept.
                opcode::IDLE => drop(input.length()?),
                opcode::FREQ => drop(input.byte()?),
                opcode::FUNCTION => return Ok(Some(Item::Library(offset, input.blob()?))),
                opcode::FUNCTION_PRE_GA => {
                    return Err(unsupported(
                        offset,
                        "a library of functions in the form of a version before 7.0",
                    ));
                }
                opcode::MODULE_AUX => {
                    let what = format!("data of the module `{}`", module_name(input.length()?));
                    return Err(unsupported(offset, what));
                }
                kind => {
                    let key = input.blob()?;
                    let expires_ms = self.expires_ms.take();
                    // Redis leaves a collection without members out as well: a fault of old versions wrote some.
                    let Some(value) = value(input, kind, offset, self.seed)? else { continue };
                    return Ok(Some(Item::Key(Entry { offset, db: self.db, key, value, expires_ms })));
                }
            }
        }
        Ok(None)
    }
}

/// Reads the value of a type; none for a collection without members. `offset` is the type's place.
pub fn value(input: &mut Input<'_>, kind: u8, offset: u64, seed: u64) -> Result<Option<Object>> {
    let value = match kind {
        kind::STRING => Object::String(input.blob()?),
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            list::read(input, kind, seed)?.wrap()
        }
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => set::read(input, kind, seed)?.wrap(),
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
            zset::read(input, kind, seed)?.wrap()
        }
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
            hash::read(input, kind, seed)?.wrap()
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            stream::read(input, kind, seed)?.wrap()
        }
        kind::MODULE_2 => {
            let what = format!("a value of the module `{}`", module_name(input.length()?));
            return Err(unsupported(offset, what));
        }
        kind::MODULE_PRE_GA => return Err(unsupported(offset, "a value of a module")),
        other => return Err(malformed(offset, format!("there is no type {other}"))),
    };
    Ok((!value.is_empty_collection()).then_some(value))
}

pub fn version(input: &mut Input<'_>) -> Result<u32> {
    const NOT_RDB: &str = "it does not begin as an RDB file";
    let mark: [u8; MARK.len() + VERSION_DIGITS] =
        input.array().map_err(|error| only_input(error, malformed(0, NOT_RDB)))?;
    let digits = mark.strip_prefix(MARK).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let digits = digits.ok_or_else(|| malformed(0, NOT_RDB))?;
    match digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')) {
        0 => Err(malformed(0, NOT_RDB)),
        version @ 1..=VERSION_READ_MAX => Ok(version),
        version => Err(Error::Version { version }),
    }
}

/// Keeps the failure of the input itself, and takes `other` for what is wrong with its content.
fn only_input(error: Error, other: Error) -> Error {
    if matches!(error, Error::Input(_)) { error } else { other }
}

fn check(input: &mut Input<'_>, version: u32) -> Result<()> {
    if version < VERSION_CHECKSUM {
        return Ok(());
    }
    let (offset, expected) = (input.offset(), input.checksum());
    match u64::from_le_bytes(input.array()?) {
        // It was written without one.
        0 => Ok(()),
        found if found == expected => Ok(()),
        _ => Err(malformed(offset, "the file does not match its checksum")),
    }
}

/// A moment in milliseconds; one before the epoch is as good as the epoch.
fn past(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0)
}

/// A module's or its type's name, whose nine characters are in the upper 54 bits of its number.
fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|place| char::from(CHARACTERS[(id >> (10 + 6 * place) & 0x3f) as usize])).collect()
}

fn malformed(offset: u64, reason: impl Into<String>) -> Error {
    Error::Malformed { offset, reason: reason.into() }
}

/// What is wrong with a library of functions, in Redis's words.
pub fn library_fails(offset: u64, error: &crate::error::Error) -> Error {
    malformed(offset, format!("a library of functions fails: {}", error.text()))
}

fn unsupported(offset: u64, what: impl Into<String>) -> Error {
    Error::Unsupported { offset, what: what.into() }
}

/// A string that holds a packed collection, and its place.
struct Packed {
    offset: u64,
    bytes: Vec<u8>,
}

impl Packed {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        let offset = input.offset();
        Ok(Self { offset, bytes: input.string()? })
    }

    /// What `decode` makes of it.
    fn decode<'a, T>(&'a self, decode: impl FnOnce(&'a [u8]) -> packed::Result<T>) -> Result<T> {
        decode(&self.bytes).map_err(|reason| malformed(self.offset, reason))
    }

    /// Its items two by two: fields with values, members with scores.
    fn pairs<'a>(
        &'a self,
        decode: impl FnOnce(&'a [u8]) -> packed::Result<Vec<packed::Item<'a>>>,
    ) -> Result<Vec<[packed::Item<'a>; 2]>> {
        let items = self.decode(decode)?;
        let (pairs, rest) = items.as_chunks();
        if rest.is_empty() { Ok(pairs.to_vec()) } else { Err(malformed(self.offset, "an item is alone")) }
    }
}
