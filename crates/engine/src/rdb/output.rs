//! The bytes of a file that is being written, with their checksum.

use std::io::{self, Write};

use super::{crc64, lzf};

/// So many bytes are gathered before they are passed on.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is being written. The first failure is kept until the end, and nothing is passed on after it.
pub struct Output<'a> {
    sink: &'a mut dyn Write,
    buffer: Vec<u8>,
    checksum: u64,
    length: u64,
    failure: Option<io::Error>,
    /// What compression remembers of a string; made for the first that is long enough.
    pub(super) table: Option<lzf::Table>,
}

impl<'a> Output<'a> {
    pub fn new(sink: &'a mut dyn Write) -> Self {
        Self { sink, buffer: Vec::new(), checksum: 0, length: 0, failure: None, table: None }
    }

    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The bytes that were passed on.
    pub fn passed(&self) -> u64 {
        self.length
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.pass_on();
        }
    }

    /// The checksum of all that was written.
    pub fn checksum(&mut self) -> u64 {
        self.pass_on();
        self.checksum
    }

    /// Passes on what is left; answers how many bytes it were in all.
    pub fn finish(mut self) -> io::Result<u64> {
        self.pass_on();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.length),
        }
    }

    fn pass_on(&mut self) {
        if self.failure.is_none() {
            self.checksum = crc64::update(self.checksum, &self.buffer);
            self.length += self.buffer.len() as u64;
            self.failure = self.sink.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }
}
