//! One value as DUMP gives it and RESTORE takes it: its type, the value (or all libraries, as FUNCTION DUMP gives them),
//! then the version in two bytes and the CRC-64
//! of all before it in eight, both lowest byte first.

use super::format::{VERSION_READ_MAX, VERSION_WRITTEN, opcode};
use super::input::Input;
use super::output::Output;
use super::{crc64, read, write};
use crate::blob::Blob;
use crate::error::Error;
use crate::object::Object;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// A payload whose footer is right.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    body: &'a [u8],
    version: u32,
}

impl<'a> Payload<'a> {
    /// Checks version and checksum; none when one of them is not right.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (body, version) = covered.split_last_chunk::<VERSION_BYTES>()?;
        let version = u32::from(u16::from_le_bytes(*version));
        let is_right = crc64::update(0, covered) == u64::from_le_bytes(*checksum);
        (is_right && version <= VERSION_READ_MAX).then_some(Self { body, version })
    }

    /// True when every Redis that we write for takes the payload as it is.
    pub fn is_written_version(self) -> bool {
        self.version <= VERSION_WRITTEN
    }

    /// The type and the value as they are.
    pub fn body(self) -> &'a [u8] {
        self.body
    }

    /// The sources of the libraries that FUNCTION DUMP gave.
    ///
    /// # Errors
    /// In Redis's words, when it holds something else.
    pub fn libraries(self) -> crate::error::Result<Vec<Blob>> {
        let mut bytes = self.body;
        let mut sources = Vec::new();
        while let Some((&kind, rest)) = bytes.split_first() {
            bytes = rest;
            match kind {
                opcode::FUNCTION => {}
                opcode::FUNCTION_PRE_GA => {
                    return Err(Error::new("ERR Pre-GA function format not supported"));
                }
                _ => return Err(Error::new("ERR given type is not a function")),
            }
            let source = Input::new(&mut bytes).blob();
            sources.push(source.map_err(|_| Error::new("ERR Failed loading library data"))?);
        }
        Ok(sources)
    }

    /// The value; none when it is not one, or one that cannot be.
    pub fn decode(self, seed: u64) -> Option<Object> {
        let mut bytes = self.body;
        let mut input = Input::new(&mut bytes);
        let kind = input.byte().ok()?;
        read::value(&mut input, kind, 0, seed).ok()?
    }
}

/// The payload of a value.
pub fn encode(value: &Object) -> Vec<u8> {
    footed(|output| write::value(output, value))
}

/// The payload of libraries, by their sources.
pub fn encode_libraries<'a>(sources: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    footed(|output| sources.for_each(|source| write::library(output, source)))
}

fn footed(write: impl FnOnce(&mut Output<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut output = Output::new(&mut bytes);
    write(&mut output);
    output.bytes(&(VERSION_WRITTEN as u16).to_le_bytes());
    let checksum = output.checksum();
    output.bytes(&checksum.to_le_bytes());
    output.finish().expect("memory takes what is written to it");
    bytes
}
