//! The sparse form: runs of equal registers, one code for each.
//!
//! `00llllll` is up to 64 zeros, `01llllll llllllll` up to 16,384 zeros, `1vvvvvll` up to four registers of a value up
//! to 32; lengths and values are stored less one. Which codes stand for given registers depends on the order in which
//! they grew, and is kept as Redis does it, since the bytes are seen by clients.

use super::{Corrupt, HEADER_BYTES, REGISTERS, Registers};

/// The codes of registers that are all zero.
pub const EMPTY: [u8; 2] = [0x7f, 0xff];

/// The largest register that a code can hold.
const VALUE_MAX: u8 = 32;
/// The longest run of a value.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of zeros in one byte.
const ZERO_RUN_MAX: usize = 64;
/// How many codes are looked at for neighbours of the same value, after a change.
const MERGE_SCAN: usize = 5;

/// A run of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Code {
    value: u8,
    run: usize,
    bytes: usize,
}

impl Code {
    fn read(content: &[u8]) -> Option<Self> {
        let first = *content.first()?;
        Some(match first >> 6 {
            0 => Self { value: 0, run: usize::from(first) + 1, bytes: 1 },
            1 => {
                let low = usize::from(*content.get(1)?);
                Self { value: 0, run: (usize::from(first & 0x3f) << 8 | low) + 1, bytes: 2 }
            }
            _ => Self { value: (first >> 2 & 0x1f) + 1, run: usize::from(first & 3) + 1, bytes: 1 },
        })
    }
}

fn push_zeros(out: &mut Vec<u8>, run: usize) {
    let length = run - 1;
    if run > ZERO_RUN_MAX {
        out.push(0x40 | (length >> 8) as u8);
    }
    out.push(length as u8);
}

fn value_code(value: u8, run: usize) -> u8 {
    0x80 | (value - 1) << 2 | (run - 1) as u8
}

pub fn decode(mut content: &[u8]) -> Result<Box<Registers>, Corrupt> {
    let mut registers = Box::new([0; REGISTERS]);
    let mut at = 0;
    while let Some(code) = Code::read(content) {
        registers.get_mut(at..at + code.run).ok_or(Corrupt)?.fill(code.value);
        at += code.run;
        content = &content[code.bytes..];
    }
    // A byte that is left is half a code.
    if at == REGISTERS && content.is_empty() { Ok(registers) } else { Err(Corrupt) }
}

/// A word for each code: `z` and `Z` for zeros in one byte and in two, `v` for a value and its run.
pub fn describe(mut content: &[u8]) -> String {
    let mut words = Vec::new();
    while let Some(code) = Code::read(content) {
        words.push(match (code.value, code.bytes) {
            (0, 1) => format!("z:{}", code.run),
            (0, _) => format!("Z:{}", code.run),
            (value, _) => format!("v:{value},{}", code.run),
        });
        content = &content[code.bytes..];
    }
    words.join(" ")
}

/// What became of a register that was to grow.
pub enum Raised {
    /// It is as it should be; true when it grew.
    Done(bool),
    /// The form cannot hold it.
    NoRoom,
}

/// Makes a register at least `run`.
pub fn raise(bytes: &mut Vec<u8>, index: usize, run: u8, sparse_max: usize) -> Result<Raised, Corrupt> {
    if run > VALUE_MAX {
        return Ok(Raised::NoRoom);
    }
    let (mut first, mut at, mut previous) = (0, HEADER_BYTES, None);
    let code = loop {
        let code = Code::read(&bytes[at..]).ok_or(Corrupt)?;
        if index < first + code.run {
            break code;
        }
        previous = Some(at);
        first += code.run;
        at += code.bytes;
    };
    if code.value >= run {
        return Ok(Raised::Done(false));
    }
    let mut codes = Vec::with_capacity(5);
    let around = |codes: &mut Vec<u8>, length: usize| match (code.value, length) {
        (_, 0) => {}
        (0, length) => push_zeros(codes, length),
        (value, length) => codes.push(value_code(value, length)),
    };
    around(&mut codes, index - first);
    codes.push(value_code(run, 1));
    around(&mut codes, first + code.run - 1 - index);
    if codes.len() > code.bytes && bytes.len() + codes.len() - code.bytes > sparse_max {
        return Ok(Raised::NoRoom);
    }
    bytes.splice(at..at + code.bytes, codes);
    merge(bytes, previous.unwrap_or(HEADER_BYTES));
    Ok(Raised::Done(true))
}

/// Joins neighbours of the same value, as long as one code can hold them.
fn merge(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGE_SCAN {
        let Some(code) = Code::read(&bytes[at.min(bytes.len())..]) else { return };
        if code.value > 0
            && let Some(next) = Code::read(&bytes[at + 1..])
            && next.value == code.value
            && next.run + code.run <= VALUE_RUN_MAX
        {
            bytes[at + 1] = value_code(code.value, code.run + next.run);
            bytes.remove(at);
        } else {
            at += code.bytes;
        }
    }
}
