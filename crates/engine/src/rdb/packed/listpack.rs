//! The listpack, the packed form of Redis 7: its bytes and its count, then items, each followed by its own length so
//! that it can be read from the end, and 255 at the end.

use super::{Cursor, Item, Result};
use crate::number::parse_integer;

/// Bytes before the first item.
const HEADER_BYTES: usize = 6;
/// A count that stands for this many or more.
const COUNT_MAX: u16 = u16::MAX;
const END: u8 = 255;
/// The longest length of an item.
const BACK_BYTES_MAX: usize = 5;

/// The items.
pub fn decode(bytes: &[u8]) -> Result<Vec<Item<'_>>> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u32()? as usize != bytes.len() {
        return Err("a listpack does not have its length");
    }
    let count = cursor.u16()?;
    let mut items = Vec::new();
    while cursor.rest.first() != Some(&END) {
        let before = cursor.rest.len();
        items.push(item(&mut cursor)?);
        let mut back = [0; BACK_BYTES_MAX];
        let back = back_length(before - cursor.rest.len(), &mut back);
        if cursor.bytes(back.len())? != back {
            return Err("an item of a listpack does not have the length that it says");
        }
    }
    if cursor.rest.len() > 1 || (count != COUNT_MAX && usize::from(count) != items.len()) {
        return Err("a listpack does not have its count of items");
    }
    Ok(items)
}

fn item<'a>(cursor: &mut Cursor<'a>) -> Result<Item<'a>> {
    let form = cursor.byte()?;
    let length = match form {
        0x00..=0x7f => return Ok(Item::Integer(form.into())),
        0x80..=0xbf => usize::from(form & 0x3f),
        0xc0..=0xdf => {
            // Thirteen bits with a sign.
            let wide = i64::from(form & 0x1f) << 8 | i64::from(cursor.byte()?);
            return Ok(Item::Integer(wide << 51 >> 51));
        }
        0xe0..=0xef => usize::from(form & 0x0f) << 8 | usize::from(cursor.byte()?),
        0xf0 => cursor.u32()? as usize,
        0xf1 => return cursor.integer(2).map(Item::Integer),
        0xf2 => return cursor.integer(3).map(Item::Integer),
        0xf3 => return cursor.integer(4).map(Item::Integer),
        0xf4 => return cursor.integer(8).map(Item::Integer),
        _ => return Err("an item of a listpack has no known form"),
    };
    cursor.bytes(length).map(Item::Text)
}

/// Makes a listpack.
pub struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }

    /// Adds a text; one that is an integer takes the form of one, as Redis expects it.
    pub fn text(&mut self, text: &[u8]) {
        if let Some(integer) = parse_integer(text) {
            return self.integer(integer);
        }
        let start = self.bytes.len();
        match text.len() {
            length @ 0..=0x3f => self.bytes.push(0x80 | length as u8),
            length @ 0x40..=0xfff => {
                self.bytes.extend_from_slice(&[0xe0 | (length >> 8) as u8, length as u8])
            }
            length => {
                let length = u32::try_from(length).expect("a listpack's items are bounded");
                self.bytes.push(0xf0);
                self.bytes.extend_from_slice(&length.to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
        self.end_item(start);
    }

    pub fn integer(&mut self, integer: i64) {
        let start = self.bytes.len();
        let bytes = integer.to_le_bytes();
        match integer {
            0..=0x7f => self.bytes.push(integer as u8),
            -0x1000..=0xfff => self.bytes.extend_from_slice(&[0xc0 | (bytes[1] & 0x1f), bytes[0]]),
            -0x8000..=0x7fff => self.wide(0xf1, &bytes[..2]),
            -0x80_0000..=0x7f_ffff => self.wide(0xf2, &bytes[..3]),
            -0x8000_0000..=0x7fff_ffff => self.wide(0xf3, &bytes[..4]),
            _ => self.wide(0xf4, &bytes),
        }
        self.end_item(start);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let length = u32::try_from(self.bytes.len()).expect("a listpack's items are bounded");
        let count = u16::try_from(self.count).unwrap_or(COUNT_MAX);
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }

    fn wide(&mut self, form: u8, bytes: &[u8]) {
        self.bytes.push(form);
        self.bytes.extend_from_slice(bytes);
    }

    fn end_item(&mut self, start: usize) {
        let mut back = [0; BACK_BYTES_MAX];
        let back = back_length(self.bytes.len() - start, &mut back);
        self.bytes.extend_from_slice(back);
        self.count += 1;
    }
}

/// The length of an item as it stands behind it: seven bits to a byte, the highest first; the top bit is set in all
/// but the first.
fn back_length(length: usize, room: &mut [u8; BACK_BYTES_MAX]) -> &[u8] {
    // Redis changes to the next size one below where it must.
    let size = match length {
        0..=0x7f => 1,
        0x80..0x3fff => 2,
        0x3fff..0x1f_ffff => 3,
        0x1f_ffff..0xfff_ffff => 4,
        _ => BACK_BYTES_MAX,
    };
    for (at, byte) in room[..size].iter_mut().enumerate() {
        let bits = (length >> (7 * (size - 1 - at)) & 0x7f) as u8;
        *byte = if at == 0 { bits } else { bits | 0x80 };
    }
    &room[..size]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let edges = [0, 1, 127, 128, 4095, 4096, 32767, 32768, 8_388_607, 8_388_608, i64::from(i32::MAX)];
        let mut integers: Vec<i64> = edges.iter().flat_map(|edge| [*edge, -edge, -edge - 1]).collect();
        integers.extend([i64::from(i32::MAX) + 1, i64::MAX, i64::MIN]);
        let texts: Vec<Vec<u8>> = [0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16377, 16378, 16379, 2_097_150]
            .into_iter()
            .map(|length| vec![b'x'; length])
            .collect();
        let mut writer = Writer::new();
        integers.iter().for_each(|integer| writer.integer(*integer));
        texts.iter().for_each(|text| writer.text(text));
        writer.text(b"-12");
        writer.text(b"012");
        let bytes = writer.finish();
        let expected: Vec<Item<'_>> = integers
            .iter()
            .map(|integer| Item::Integer(*integer))
            .chain(texts.iter().map(|text| Item::Text(text)))
            .chain([Item::Integer(-12), Item::Text(b"012")])
            .collect();
        assert_eq!(decode(&bytes).unwrap(), expected);
        for end in (0..bytes.len()).step_by(997) {
            assert!(decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn more_items_than_can_be_counted_are_read() {
        let mut writer = Writer::new();
        (0..70_000).for_each(|number| writer.integer(number % 100));
        assert_eq!(decode(&writer.finish()).unwrap().len(), 70_000);
    }
}
