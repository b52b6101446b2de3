//! Lengths, and the strings that begin with one.
//!
//! The upper two bits of a length's first byte say how it goes on: 0, the other six are the number; 1, they are the
//! upper six of fourteen; 2, the number is in the next 4 bytes, or in 8 where the byte is 0x81, the highest first; 3,
//! it is no length but a form of a string: an integer of 1, 2 or 4 bytes, the lowest first, or a compressed text.

use super::error::Result;
use super::input::Input;
use super::lzf;
use super::output::Output;
use crate::blob::Blob;
use crate::number::parse_integer;

const LENGTH_32: u8 = 0x80;
const LENGTH_64: u8 = 0x81;
const INTEGER_8: u8 = 0;
const INTEGER_16: u8 = 1;
const INTEGER_32: u8 = 2;
const COMPRESSED: u8 = 3;
/// The longest text that may be an integer of 4 bytes: a sign and ten digits.
const INTEGER_TEXT_MAX: usize = 11;

/// The shortest text that is worth a try of compression; Redis's limit.
const COMPRESSED_LENGTH_MIN: usize = 21;

/// What the first bytes of a string say.
enum Head {
    Length(u64),
    Form(u8),
}

impl Input<'_> {
    /// A number in the form of a length.
    pub fn length(&mut self) -> Result<u64> {
        match self.head()? {
            Head::Length(length) => Ok(length),
            Head::Form(_) => Err(self.malformed("a string is where a length belongs")),
        }
    }

    /// A string. What it is made of does not show in it.
    pub fn string(&mut self) -> Result<Vec<u8>> {
        let length = match self.head()? {
            Head::Length(length) => length,
            Head::Form(INTEGER_8) => return Ok(decimal(i8::from_le_bytes(self.array()?).into())),
            Head::Form(INTEGER_16) => return Ok(decimal(i16::from_le_bytes(self.array()?).into())),
            Head::Form(INTEGER_32) => return Ok(decimal(i32::from_le_bytes(self.array()?).into())),
            Head::Form(COMPRESSED) => {
                let (compressed_length, length) = (self.length()?, self.length()?);
                let compressed = self.bytes(compressed_length)?;
                return lzf::decode(&compressed, length).map_err(|reason| self.malformed(reason));
            }
            Head::Form(form) => return Err(self.malformed(format!("there is no form {form} of a string"))),
        };
        self.bytes(length)
    }

    /// A string as the keyspace stores it.
    pub fn blob(&mut self) -> Result<Blob> {
        self.string().map(Blob::from)
    }

    fn head(&mut self) -> Result<Head> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Head::Length(low.into()),
            1 => Head::Length(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 if first == LENGTH_32 => Head::Length(u32::from_be_bytes(self.array()?).into()),
            2 if first == LENGTH_64 => Head::Length(u64::from_be_bytes(self.array()?)),
            3 => Head::Form(low),
            _ => return Err(self.malformed(format!("no length begins with {first:#04x}"))),
        })
    }
}

impl Output<'_> {
    /// A number in the form of a length.
    pub fn length(&mut self, length: u64) {
        match length {
            0..=0x3f => self.bytes(&[length as u8]),
            0x40..=0x3fff => self.bytes(&[0x40 | (length >> 8) as u8, length as u8]),
            0x4000..=0xffff_ffff => {
                self.bytes(&[LENGTH_32]);
                self.bytes(&(length as u32).to_be_bytes());
            }
            _ => {
                self.bytes(&[LENGTH_64]);
                self.bytes(&length.to_be_bytes());
            }
        }
    }

    /// A string; one that is a small integer takes the form of one, and one that can be is compressed.
    pub fn string(&mut self, text: &[u8]) {
        let integer = if text.len() <= INTEGER_TEXT_MAX { parse_integer(text) } else { None };
        let form = |form: u8| 0xc0 | form;
        match integer.and_then(|integer| i32::try_from(integer).ok()) {
            Some(integer) => {
                if let Ok(integer) = i8::try_from(integer) {
                    self.bytes(&[form(INTEGER_8)]);
                    self.bytes(&integer.to_le_bytes());
                } else if let Ok(integer) = i16::try_from(integer) {
                    self.bytes(&[form(INTEGER_16)]);
                    self.bytes(&integer.to_le_bytes());
                } else {
                    self.bytes(&[form(INTEGER_32)]);
                    self.bytes(&integer.to_le_bytes());
                }
            }
            None => match self.compress(text) {
                Some(compressed) => {
                    self.bytes(&[form(COMPRESSED)]);
                    self.length(compressed.len() as u64);
                    self.length(text.len() as u64);
                    self.bytes(&compressed);
                }
                None => {
                    self.length(text.len() as u64);
                    self.bytes(text);
                }
            },
        }
    }

    fn compress(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        if text.len() < COMPRESSED_LENGTH_MIN {
            return None;
        }
        lzf::encode(text, self.table.get_or_insert_with(lzf::Table::new))
    }
}

/// An integer as text.
pub fn decimal(integer: i64) -> Vec<u8> {
    itoa::Buffer::new().format(integer).as_bytes().to_vec()
}
