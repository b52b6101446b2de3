//! Ids as arguments.

use crate::error::{Error, Result};
use crate::types::{Id, NewId};

const INVALID: &str = "ERR Invalid stream ID specified as stream command argument";
/// The longest id that Redis reads.
const TEXT_MAX: usize = 127;

/// An id; a missing sequence number is 0.
pub fn parse(text: &[u8]) -> Result<Id> {
    parse_with(text, 0)
}

/// As [`parse`], and `-` is the least id, `+` the greatest.
pub fn parse_loose(text: &[u8], missing_seq: u64) -> Result<Id> {
    match text {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        _ => parse_with(text, missing_seq),
    }
}

/// The id that XADD is to give: `ms-*` lets it choose the sequence number.
pub fn parse_new(text: &[u8]) -> Result<NewId> {
    match text.strip_suffix(b"-*").filter(|ms| !ms.contains(&b'-')) {
        Some(ms) => number(ms).map(NewId::InMillisecond).ok_or_else(invalid),
        None => parse(text).map(NewId::Exact),
    }
}

/// The start of an interval; `(` before it leaves it out.
pub fn parse_start(text: &[u8]) -> Result<Id> {
    match exclusive(text) {
        Some(id) => parse(id)?.next().ok_or_else(|| Error::new("ERR invalid start ID for the interval")),
        None => parse_loose(text, 0),
    }
}

/// The end of an interval; `(` before it leaves it out.
pub fn parse_end(text: &[u8]) -> Result<Id> {
    match exclusive(text) {
        Some(id) => parse_with(id, u64::MAX)?
            .previous()
            .ok_or_else(|| Error::new("ERR invalid end ID for the interval")),
        None => parse_loose(text, u64::MAX),
    }
}

fn exclusive(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|id| !id.is_empty())
}

fn parse_with(text: &[u8], missing_seq: u64) -> Result<Id> {
    if text.len() > TEXT_MAX {
        return Err(invalid());
    }
    let parts = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => number(&text[..at]).zip(number(&text[at + 1..])),
        None => number(text).zip(Some(missing_seq)),
    };
    parts.map(|(ms, seq)| Id::new(ms, seq)).ok_or_else(invalid)
}

/// An unsigned number as `strtoull` reads it: leading zeros and a plus are allowed.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    // Nineteen digits always fit: no need to look for an overflow at each.
    let (safe, rest) = digits.split_at(digits.len().min(19));
    let mut number = 0;
    for digit in safe {
        number = number * 10 + u64::from(decimal(*digit)?);
    }
    rest.iter().try_fold(number, |number: u64, digit| {
        number.checked_mul(10)?.checked_add(u64::from(decimal(*digit)?))
    })
}

fn decimal(digit: u8) -> Option<u8> {
    digit.is_ascii_digit().then(|| digit - b'0')
}

fn invalid() -> Error {
    Error::new(INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, id) in [
            ("5", Some(Id::new(5, 0))),
            ("5-3", Some(Id::new(5, 3))),
            ("007-+1", Some(Id::new(7, 1))),
            ("18446744073709551615-18446744073709551615", Some(Id::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            ("+", None),
            ("", None),
            ("5-", None),
            ("-5", None),
            ("5--1", None),
            ("5-*", None),
            ("a", None),
        ] {
            assert_eq!(parse(text.as_bytes()).ok(), id, "{text}");
        }
        assert_eq!(parse_new(b"5-*"), Ok(NewId::InMillisecond(5)));
        assert!(parse_new(b"5-1-*").is_err());
        assert_eq!(parse_end(b"(5"), Ok(Id::new(5, u64::MAX - 1)));
        assert!(parse_start(b"(-").is_err());
    }
}
