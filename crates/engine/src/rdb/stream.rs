//! A file record by record, for whoever carries keys and libraries from one store to another without holding them all.

use std::io::{self, BufRead, Write};

use super::error::{Error, Result};
use super::library::Library;
use super::output::Output;
use super::payload::{self, Payload};
use super::{read, write};

/// The seed of values that live only from their reading to their writing.
const SEED: u64 = 0;

/// A key as a file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The number of its database.
    pub db: u64,
    /// Its name.
    pub key: Vec<u8>,
    /// When it ends, in milliseconds since the epoch.
    pub expires_ms: Option<u64>,
    /// The value as DUMP gives it and RESTORE takes it.
    pub payload: Vec<u8>,
}

/// What a file consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A library of functions. Redis writes them before the keys, and reads them wherever they are.
    Library(Library),
    /// A key.
    Key(Saved),
}

/// Reads a file record by record.
///
/// ```
/// use windlass_engine::rdb::{Reader, Record, Saved, Writer};
/// use windlass_engine::{Config, Engine, Time};
/// use windlass_resp::Value;
///
/// let mut engine = Engine::new(Config::default());
/// let session = engine.open_session("test", Time::default());
/// engine.execute(session, &[b"SET", b"greeting", b"hello"], Time::default());
/// let outcome = engine.execute(session, &[b"DUMP", b"greeting"], Time::default());
/// let Some(Value::Bulk(payload)) = outcome.reply else { unreachable!() };
///
/// let mut file = Vec::new();
/// let mut writer = Writer::new(&mut file);
/// let saved = Saved { key: b"greeting".to_vec(), payload, ..Saved::default() };
/// writer.write(&saved)?;
/// writer.finish()?;
///
/// let mut input = &file[..];
/// let mut reader = Reader::open(&mut input)?;
/// assert_eq!(reader.next_record()?, Some(Record::Key(saved)));
/// assert_eq!(reader.next_record()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<'a> {
    entries: read::Entries<'a>,
}

impl<'a> Reader<'a> {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// [`Error::Version`] for a version that is not read, [`Error::Malformed`] when it is no RDB file.
    pub fn open(input: &'a mut dyn BufRead) -> Result<Self> {
        read::Entries::open(input, SEED, u64::MAX).map(|entries| Self { entries })
    }

    /// The next library or key; none after the last, when the file is whole and matches its checksum.
    ///
    /// # Errors
    /// When the file is not whole, not sound, or holds something that is not read.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        let Some(item) = self.entries.next_item()? else { return Ok(None) };
        Ok(Some(match item {
            read::Item::Library(offset, source) => {
                let library = Library::new(source.to_vec());
                Record::Library(library.map_err(|error| read::library_fails(offset, &error))?)
            }
            read::Item::Key(entry) => {
                let payload = payload::encode(&entry.value);
                let (key, expires_ms) = (entry.key.to_vec(), entry.expires_ms);
                Record::Key(Saved { db: entry.db, key, expires_ms, payload })
            }
        }))
    }

    /// The bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.entries.bytes()
    }
}

/// Writes a file record by record: libraries first, where Redis has them, then the keys, of which those of one database
/// follow each other.
pub struct Writer<'a> {
    output: Output<'a>,
    db: Option<u64>,
}

impl<'a> Writer<'a> {
    /// Writes the head of a file.
    pub fn new(sink: &'a mut dyn Write) -> Self {
        let mut output = Output::new(sink);
        write::begin(&mut output);
        Self { output, db: None }
    }

    /// Writes a library of functions. What the sink refuses is told by [`finish`](Self::finish).
    pub fn write_library(&mut self, library: &Library) {
        write::library(&mut self.output, library.source());
    }

    /// Writes a key. What the sink refuses is told by [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the payload is not one that is understood; nothing of it is written then.
    pub fn write(&mut self, saved: &Saved) -> Result<()> {
        let foreign = || Error::Malformed { offset: 0, reason: "the payload is not understood".into() };
        let payload = Payload::parse(&saved.payload).ok_or_else(foreign)?;
        let fresh = match payload.is_written_version() {
            true => None,
            false => Some(payload::encode(&payload.decode(SEED).ok_or_else(foreign)?)),
        };
        let payload = fresh.as_deref().and_then(Payload::parse).unwrap_or(payload);
        let Some((kind, value)) = payload.body().split_first() else { return Err(foreign()) };
        if self.db != Some(saved.db) {
            write::select(&mut self.output, saved.db);
            self.db = Some(saved.db);
        }
        write::expiry(&mut self.output, saved.expires_ms);
        self.output.bytes(&[*kind]);
        self.output.string(&saved.key);
        self.output.bytes(value);
        Ok(())
    }

    /// Writes the end; answers the file's bytes.
    ///
    /// # Errors
    /// The first that the sink gave.
    pub fn finish(self) -> io::Result<u64> {
        write::end(self.output)
    }
}
