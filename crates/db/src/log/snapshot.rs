//! A snapshot of Redis's, in the form RDB: a file of its own, or the start of a log file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use windlass_engine::{Engine, rdb};

use super::source::READ_BYTES;
use crate::error::{Error, Result};

/// After so many bytes it is told how far reading has come.
const PROGRESS_BYTES: u64 = 256 << 20;

/// What a file began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The keys that were taken.
    pub keys: u64,
    /// The bytes of the snapshot; what follows are records.
    pub bytes: u64,
}

/// Takes the snapshot with which the file at `path` begins, if it begins with one.
///
/// # Errors
/// [`Error::Damaged`] when the snapshot is not whole and sound, [`Error::Unsupported`] when it is and has something
/// that is not read.
pub fn read(path: &Path, engine: &mut Engine) -> Result<Snapshot> {
    let Some(mut source) = open(path)? else { return without(path) };
    let loaded = engine.load_rdb(&mut source).map_err(|error| fail(path, error))?;
    Ok(Snapshot { keys: loaded.keys, bytes: loaded.bytes })
}

/// As [`read`], and keeps nothing of it.
///
/// # Errors
/// As [`read`].
pub fn skip(path: &Path) -> Result<Snapshot> {
    let Some(mut source) = open(path)? else { return without(path) };
    let mut walk = || {
        let mut reader = rdb::Reader::open(&mut source)?;
        let mut keys = 0;
        while let Some(record) = reader.next_record()? {
            keys += u64::from(matches!(record, rdb::Record::Key(_)));
        }
        Ok(Snapshot { keys, bytes: reader.bytes() })
    };
    walk().map_err(|error| fail(path, error))
}

/// The file begins with no snapshot, which only a log may do.
fn without(path: &Path) -> Result<Snapshot> {
    if path.extension().is_some_and(|extension| extension == "rdb") {
        let reason = "it does not begin as an RDB file".into();
        Err(Error::Damaged { file: path.to_owned(), offset: 0, reason })
    } else {
        Ok(Snapshot::default())
    }
}

/// Refuses the file at `path` if it begins with a snapshot of a version that is not read; looks at nothing else.
///
/// # Errors
/// [`Error::Unsupported`].
pub fn check_version(path: &Path) -> Result<()> {
    let Some(mut source) = open(path)? else { return Ok(()) };
    match rdb::version(&mut source) {
        Err(error @ rdb::Error::Version { .. }) => Err(fail(path, error)),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> Result<Option<Source<'_>>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut file = BufReader::with_capacity(READ_BYTES, file);
    let start = file.fill_buf().map_err(Error::io("read", path))?;
    let is_snapshot = start.starts_with(rdb::MARK);
    Ok(is_snapshot.then_some(Source { file, path, offset: 0, next: PROGRESS_BYTES }))
}

fn fail(path: &Path, error: rdb::Error) -> Error {
    let file = path.to_owned();
    match error {
        rdb::Error::Input(error) => Error::io("read", file)(error),
        rdb::Error::Malformed { offset, reason } => Error::Damaged { file, offset, reason },
        other => Error::Unsupported { file, reason: other.to_string() },
    }
}

/// A file that tells how far it was read.
struct Source<'a> {
    file: BufReader<File>,
    path: &'a Path,
    offset: u64,
    next: u64,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.file.consume(count);
        self.offset += count as u64;
        if self.offset >= self.next {
            tracing::info!(file = %self.path.display(), offset = self.offset, "a snapshot is being read");
            self.next += PROGRESS_BYTES;
        }
    }
}
