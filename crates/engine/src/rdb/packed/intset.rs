//! The intset: how wide the integers are, how many, and then they, in order. All lowest byte first.

use super::{Cursor, Result};

/// The integers of an intset.
pub fn decode(bytes: &[u8]) -> Result<Vec<i64>> {
    let mut cursor = Cursor::new(bytes);
    let width = match cursor.u32()? {
        width @ (2 | 4 | 8) => width as usize,
        _ => return Err("an intset has integers of no known width"),
    };
    if cursor.u32()? as usize != cursor.rest.len() / width || !cursor.rest.len().is_multiple_of(width) {
        return Err("an intset does not have its length");
    }
    let mut integers: Vec<i64> = Vec::with_capacity(cursor.rest.len() / width);
    while !cursor.rest.is_empty() {
        let integer = cursor.integer(width)?;
        if integers.last().is_some_and(|last| *last >= integer) {
            return Err("an intset is not in order");
        }
        integers.push(integer);
    }
    Ok(integers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_each_width_are_read() {
        assert_eq!(decode(b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0"), Ok(vec![-1, 5]));
        assert_eq!(decode(b"\x04\0\0\0\x01\0\0\0\0\0\x01\0"), Ok(vec![65536]));
        assert_eq!(decode(b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80"), Ok(vec![i64::MIN]));
        for bad in [
            b"\x03\0\0\0\0\0\0\0".as_slice(),
            b"\x02\0\0\0\x02\0\0\0\x05\0",
            b"\x02\0\0\0\x01\0\0\0\x05\0\0",
            b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0",
            b"\x02\0\0",
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
