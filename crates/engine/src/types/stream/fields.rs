//! The fields and values of one entry in one run of bytes: their number, then each one's length and content. The last one
//! has no length: it goes to the end, which the block knows.

/// Fields and values in turn, as they were added.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Fields<'a> {
    /// Reads what [`encode`] wrote.
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut fields = Self { rest: bytes, left: 0 };
        fields.left = fields.number();
        fields
    }

    fn number(&mut self) -> usize {
        let mut number = 0;
        for (at, byte) in self.rest.iter().enumerate() {
            number |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return number;
            }
        }
        unreachable!("a number in an entry ends within the entry");
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        if self.left == 0 {
            return Some(self.rest);
        }
        let length = self.number();
        let (item, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Bytes that [`encode`] adds for `fields`.
pub fn encoded_len(fields: &[&[u8]]) -> usize {
    let items: usize = fields.iter().map(|item| number_len(item.len()) + item.len()).sum();
    number_len(fields.len()) + items - fields.last().map_or(0, |last| number_len(last.len()))
}

/// Appends `fields` to `out`.
pub fn encode(fields: &[&[u8]], out: &mut Vec<u8>) {
    encode_number(fields.len(), out);
    for (place, item) in fields.iter().enumerate() {
        if place + 1 < fields.len() {
            encode_number(item.len(), out);
        }
        out.extend_from_slice(item);
    }
}

/// Seven bits to a byte, the lowest first; the top bit says that more follow.
fn encode_number(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number_len(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).max(1).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let long = vec![b'x'; 20_000];
        for fields in [
            vec![],
            vec![b"".as_slice(), b"v"],
            vec![b"f", b""],
            vec![b"f", &long, &long[..127], &long[..128]],
        ] {
            let mut bytes = Vec::new();
            encode(&fields, &mut bytes);
            assert_eq!(bytes.len(), encoded_len(&fields));
            assert_eq!(Fields::decode(&bytes).collect::<Vec<_>>(), fields);
        }
    }
}
