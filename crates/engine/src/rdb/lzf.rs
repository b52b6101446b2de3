//! LZF, the compression of strings: runs of bytes as they are, and references to what was written before.
//!
//! A control byte below 32 announces so many bytes and one more. Above, its upper three bits are a reference's length
//! less 2, where 7 says that the next byte adds to it; its lower five and the byte after are the distance less 1.

/// A reference of three bytes gives the most bytes: 7 + 255 + 2.
const REFERENCE_BYTES_MAX: usize = 264;
const REFERENCE_BYTES: usize = 3;

/// The bytes that were compressed, which must be `length`.
pub fn decode(bytes: &[u8], length: u64) -> Result<Vec<u8>, &'static str> {
    const TOO_SHORT: &str = "a compressed string ends early";
    const WRONG_LENGTH: &str = "a compressed string does not have its length";
    // What nothing could become so long is refused before memory is taken for it.
    let length_max = bytes.len().div_ceil(REFERENCE_BYTES) as u64 * REFERENCE_BYTES_MAX as u64;
    let length = usize::try_from(length).ok().filter(|_| length <= length_max).ok_or(WRONG_LENGTH)?;
    let mut out = Vec::with_capacity(length);
    let mut rest = bytes;
    let mut next = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    while let Some(&[control]) = next(1) {
        let control = usize::from(control);
        if control < 32 {
            out.extend_from_slice(next(control + 1).ok_or(TOO_SHORT)?);
        } else {
            let mut count = control >> 5;
            if count == 7 {
                count += usize::from(next(1).ok_or(TOO_SHORT)?[0]);
            }
            let low = usize::from(next(1).ok_or(TOO_SHORT)?[0]);
            let distance = ((control & 31) << 8 | low) + 1;
            let start =
                out.len().checked_sub(distance).ok_or("a compressed string refers before its start")?;
            // The reference may reach into what it writes itself.
            for at in start..start + count + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > length {
            return Err(WRONG_LENGTH);
        }
    }
    if out.len() == length { Ok(out) } else { Err(WRONG_LENGTH) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_references_are_read() {
        assert_eq!(decode(b"\x02abc", 3).unwrap(), b"abc");
        // Nine of `a`: one as it is, then a reference of eight to the byte before.
        assert_eq!(decode(b"\x00a\xc0\x00", 9).unwrap(), b"aaaaaaaaa");
        assert_eq!(decode(b"\x01ab\xe0\x05\x01", 16).unwrap(), b"abababababababab");
    }

    #[test]
    fn what_is_not_compressed_text_is_refused() {
        for (bytes, length) in [
            (b"\x02ab".as_slice(), 3),
            (b"\x02abc", 4),
            (b"\x02abc", 2),
            (b"\x00a\x20\x05", 4),
            (b"\x00a\xe0", 9),
            (b"\x00a", u64::MAX),
            (b"", 1),
        ] {
            assert!(decode(bytes, length).is_err(), "{bytes:?}");
        }
    }
}
