//! The ziplist, the packed form before Redis 7: its bytes, the place of its last item and its count, then items, each
//! with the length of the one before it, and 255 at the end.

use super::{Cursor, Item, Result};

/// A count that stands for this many or more.
const COUNT_MAX: u16 = u16::MAX;
/// A length that is in the next four bytes.
const LENGTH_32: u8 = 254;
const END: u8 = 255;

/// The items.
pub fn decode(bytes: &[u8]) -> Result<Vec<Item<'_>>> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u32()? as usize != bytes.len() {
        return Err("a ziplist does not have its length");
    }
    let (tail, count) = (cursor.u32()? as usize, cursor.u16()?);
    let mut items = Vec::new();
    let (mut start, mut before) = (bytes.len() - cursor.rest.len(), 0);
    loop {
        let at = bytes.len() - cursor.rest.len();
        let previous = match cursor.byte()? {
            END => break,
            LENGTH_32 => cursor.u32()? as usize,
            length => length.into(),
        };
        if previous != before {
            return Err("an item of a ziplist does not have the length that the next says");
        }
        items.push(item(&mut cursor)?);
        start = at;
        before = bytes.len() - cursor.rest.len() - at;
    }
    if !cursor.rest.is_empty() || (count != COUNT_MAX && usize::from(count) != items.len()) {
        return Err("a ziplist does not have its count of items");
    }
    if tail != start {
        return Err("a ziplist does not end with its last item");
    }
    Ok(items)
}

fn item<'a>(cursor: &mut Cursor<'a>) -> Result<Item<'a>> {
    let form = cursor.byte()?;
    let length = match form {
        0x00..=0x3f => usize::from(form),
        0x40..=0x7f => usize::from(form & 0x3f) << 8 | usize::from(cursor.byte()?),
        0x80 => u32::from_be_bytes(cursor.array()?) as usize,
        0xc0 => return cursor.integer(2).map(Item::Integer),
        0xd0 => return cursor.integer(4).map(Item::Integer),
        0xe0 => return cursor.integer(8).map(Item::Integer),
        0xf0 => return cursor.integer(3).map(Item::Integer),
        0xf1..=0xfd => return Ok(Item::Integer(i64::from(form & 0x0f) - 1)),
        0xfe => return cursor.integer(1).map(Item::Integer),
        _ => return Err("an item of a ziplist has no known form"),
    };
    cursor.bytes(length).map(Item::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_each_form_are_read() {
        let mut bytes = vec![0; 10];
        let forms: [&[u8]; 8] = [
            b"\x02hi",
            b"\x40\x03abc",
            b"\x80\0\0\0\x01z",
            b"\xc0\xfe\xff",
            b"\xf0\xff\xff\x7f",
            b"\xf1",
            b"\xfd",
            b"\xfe\x80",
        ];
        let (mut before, mut tail) = (0, 0);
        for form in forms {
            tail = bytes.len();
            bytes.push(before);
            bytes.extend_from_slice(form);
            before = form.len() as u8 + 1;
        }
        bytes.push(END);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&8_u16.to_le_bytes());
        let expected = [
            Item::Text(b"hi"),
            Item::Text(b"abc"),
            Item::Text(b"z"),
            Item::Integer(-2),
            Item::Integer(0x7f_ffff),
            Item::Integer(0),
            Item::Integer(12),
            Item::Integer(-128),
        ];
        assert_eq!(decode(&bytes).unwrap(), expected);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err());
        }
        assert_eq!(decode(b"\x0b\0\0\0\x0a\0\0\0\0\0\xff"), Ok(vec![]));
    }
}
