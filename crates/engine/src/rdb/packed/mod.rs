//! Small collections in one string, each in a form of its own.
//!
//! All of them are read into a list of items, whose length their bytes bound.

mod intset;
mod listpack;
mod ziplist;
mod zipmap;

use std::borrow::Cow;

use super::length::decimal;
use crate::blob::Blob;
use crate::number::{parse_any_float, parse_integer};

pub use intset::decode as decode_intset;
pub use listpack::{Writer, decode as decode_listpack};
pub use ziplist::decode as decode_ziplist;
pub use zipmap::decode as decode_zipmap;

/// Result of reading a packed collection, or what is wrong with it.
pub type Result<T> = std::result::Result<T, &'static str>;

/// One item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Text(&'a [u8]),
    Integer(i64),
}

impl<'a> Item<'a> {
    /// The item as text.
    pub fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Integer(integer) => Cow::Owned(decimal(integer)),
        }
    }

    /// The item as the keyspace stores it.
    pub fn blob(self) -> Blob {
        Blob::from(&*self.text())
    }

    /// The item as an integer, if it is one.
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Text(text) => parse_integer(text),
            Self::Integer(integer) => Some(integer),
        }
    }

    /// The item as a score, if it is one.
    pub fn score(self) -> Option<f64> {
        match self {
            Self::Text(text) => parse_any_float(text),
            Self::Integer(integer) => Some(integer as f64),
        }
    }
}

/// Takes bytes from the front.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("a packed collection ends early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// An integer of so many bytes, at most 8, the lowest first.
    fn integer(&mut self, bytes: usize) -> Result<i64> {
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(self.bytes(bytes)?);
        let unused = 64 - 8 * bytes as u32;
        Ok(i64::from_le_bytes(wide) << unused >> unused)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes(N).map(|bytes| bytes.try_into().expect("so many were taken"))
    }
}
