//! The zipmap, a hash of Redis 2: a count of one byte, then each field and value with its length; after a value's
//! length comes how many unused bytes follow it. A byte of 255 ends it.

use super::{Cursor, Item, Result};

/// A length that is in the next four bytes.
const LENGTH_32: u8 = 254;
const END: u8 = 255;

/// Fields and values in turn.
pub fn decode(bytes: &[u8]) -> Result<Vec<Item<'_>>> {
    let mut cursor = Cursor::new(bytes);
    // The count stops at 253; what is there counts.
    cursor.byte()?;
    let mut items = Vec::new();
    while let Some(field) = next_length(&mut cursor)? {
        items.push(Item::Text(cursor.bytes(field)?));
        let value = next_length(&mut cursor)?.ok_or("a zipmap ends after a field")?;
        let unused = cursor.byte()?;
        items.push(Item::Text(cursor.bytes(value)?));
        cursor.bytes(unused.into())?;
    }
    if cursor.rest.is_empty() { Ok(items) } else { Err("a zipmap ends early") }
}

/// The next length; none at the end.
fn next_length(cursor: &mut Cursor<'_>) -> Result<Option<usize>> {
    Ok(match cursor.byte()? {
        END => None,
        LENGTH_32 => Some(cursor.u32()? as usize),
        length => Some(length.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_values_are_read() {
        let items = decode(b"\x02\x03foo\x03\x00bar\x05hello\x05\x02worldxx\xff").unwrap();
        let texts: Vec<_> = items.iter().map(|item| item.text()).collect();
        assert_eq!(texts, [&b"foo"[..], b"bar", b"hello", b"world"]);
        for bad in [b"".as_slice(), b"\x01\x03foo\xff", b"\x01\x03fo", b"\x00\xff\x00", b"\x00"] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
