//! A window on a file of the log, so that no file has to fit into memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much is read at once, at the least.
pub const READ_BYTES: usize = 1 << 20;

/// A file that is read from front to back, with a window on its next bytes.
pub struct Source {
    file: File,
    bytes: Vec<u8>,
    /// Where in `bytes` the next byte is.
    start: usize,
    /// Where in the file the next byte is.
    offset: u64,
    is_at_end: bool,
}

impl Source {
    /// Opens the file at `path` to read it from `offset` on.
    pub fn open(path: &Path, offset: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file, bytes: Vec::new(), start: 0, offset, is_at_end: false })
    }

    /// The file's length.
    pub fn length(&self) -> std::io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// Where in the file the window begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// True when the window reaches to the end of the file.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The window.
    pub fn available(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Moves on by `count` bytes of the window.
    pub fn skip(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
        assert!(self.start <= self.bytes.len(), "only bytes that are there are skipped");
    }

    /// Reads until `count` bytes are available or the file ends.
    pub fn fill(&mut self, count: usize) -> std::io::Result<()> {
        if self.available().len() >= count || self.is_at_end {
            return Ok(());
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        let missing = (count - self.bytes.len()).max(READ_BYTES) as u64;
        let read = self.file.by_ref().take(missing).read_to_end(&mut self.bytes)?;
        self.is_at_end = (read as u64) < missing;
        Ok(())
    }
}
