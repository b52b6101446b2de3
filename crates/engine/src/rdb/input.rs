//! The bytes of a file from front to back, with their place and checksum.

use std::io::{BufRead, ErrorKind};

use super::crc64;
use super::error::{Error, Result};
use super::format::STRING_BYTES_MAX;

/// Memory taken for a string before any of it was seen.
const AHEAD_BYTES_MAX: u64 = 4096;

/// What is being read.
pub struct Input<'a> {
    source: &'a mut dyn BufRead,
    offset: u64,
    checksum: u64,
}

impl<'a> Input<'a> {
    pub fn new(source: &'a mut dyn BufRead) -> Self {
        Self { source, offset: 0, checksum: 0 }
    }

    /// Where the next byte is.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of all that was read.
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    pub fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// So many bytes, of which there are few.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        let mut filled = 0;
        self.take(N as u64, |bytes| {
            array[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
        })?;
        Ok(array)
    }

    /// So many bytes. No memory is taken ahead of those that come.
    pub fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        if count > STRING_BYTES_MAX {
            return Err(self.malformed(format!("a string has {count} bytes, which are too many")));
        }
        let mut all = Vec::with_capacity(count.min(AHEAD_BYTES_MAX) as usize);
        self.take(count, |bytes| all.extend_from_slice(bytes))?;
        Ok(all)
    }

    /// An error at the present place.
    pub fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { offset: self.offset, reason: reason.into() }
    }

    fn take(&mut self, count: u64, mut sink: impl FnMut(&[u8])) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let window = match self.source.fill_buf() {
                Ok(window) => window,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Input(error)),
            };
            if window.is_empty() {
                return Err(self.malformed("it ends early"));
            }
            let taken = window.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.checksum = crc64::update(self.checksum, &window[..taken]);
            sink(&window[..taken]);
            self.source.consume(taken);
            self.offset += taken as u64;
            left -= taken as u64;
        }
        Ok(())
    }
}
