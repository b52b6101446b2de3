//! LZF, the compression of strings: runs of bytes as they are, and references to what was written before.
//!
//! A control byte below 32 announces so many bytes and one more. Above, its upper three bits are a reference's length
//! less 2, where 7 says that the next byte adds to it; its lower five and the byte after are the distance less 1.

/// A reference of three bytes gives the most bytes: 7 + 255 + 2.
const REFERENCE_BYTES_MAX: usize = 264;
const REFERENCE_BYTES: usize = 3;
/// The most bytes of a run as they are.
const RUN_BYTES_MAX: usize = 32;
/// The greatest distance of a reference.
const DISTANCE_MAX: usize = 1 << 13;
/// The fewest bytes that are worth a reference.
const MATCH_MIN: usize = 3;
/// A string must become so much shorter, or it stays as it is; Redis's limit.
const SAVED_MIN: usize = 4;
const TABLE_BITS: u32 = 12;

/// Where three bytes were last seen, by their hash; 0 is nowhere.
pub struct Table(Vec<u32>);

impl Table {
    pub fn new() -> Self {
        Self(vec![0; 1 << TABLE_BITS])
    }

    /// Puts down that `bytes` are at `at`; answers where bytes of their hash were before.
    fn note(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let hash = word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - TABLE_BITS);
        // Beyond 4 GB a place is forgotten, and no reference is made.
        let next = u32::try_from(at + 1).unwrap_or(0);
        (std::mem::replace(&mut self.0[hash as usize], next) as usize).checked_sub(1)
    }
}

/// The compressed bytes; none when they would not be shorter.
pub fn encode(bytes: &[u8], table: &mut Table) -> Option<Vec<u8>> {
    let length_max = bytes.len().checked_sub(SAVED_MIN)?;
    table.0.fill(0);
    let mut out = Vec::new();
    let (mut at, mut run) = (0, 0);
    while at + MATCH_MIN <= bytes.len() {
        let seen = table.note(&bytes[at..], at).filter(|seen| at - seen <= DISTANCE_MAX);
        let ahead = &bytes[at..bytes.len().min(at + REFERENCE_BYTES_MAX)];
        let count =
            seen.map_or(0, |seen| bytes[seen..].iter().zip(ahead).take_while(|(a, b)| a == b).count());
        match seen {
            Some(seen) if count >= MATCH_MIN => {
                put_run(&bytes[run..at], &mut out);
                put_reference(at - seen, count, &mut out);
                at += count;
                run = at;
            }
            _ => at += 1,
        }
        if out.len() > length_max {
            return None;
        }
    }
    put_run(&bytes[run..], &mut out);
    (out.len() <= length_max).then_some(out)
}

fn put_run(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(RUN_BYTES_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn put_reference(distance: usize, count: usize, out: &mut Vec<u8>) {
    let (distance, count) = (distance - 1, count - 2);
    let high = (distance >> 8) as u8;
    match u8::try_from(count) {
        Ok(short @ 0..7) => out.push(short << 5 | high),
        _ => out.extend_from_slice(&[7 << 5 | high, (count - 7) as u8]),
    }
    out.push(distance as u8);
}

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
        if control < RUN_BYTES_MAX {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_and_references_are_read() {
        assert_eq!(decode(b"\x02abc", 3).unwrap(), b"abc");
        // Nine of `a`: one as it is, then a reference of eight to the byte before.
        assert_eq!(decode(b"\x00a\xc0\x00", 9).unwrap(), b"aaaaaaaaa");
        assert_eq!(decode(b"\x01ab\xe0\x05\x01", 16).unwrap(), b"abababababababab");
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_read(
            parts in prop::collection::vec((prop::collection::vec(0..4_u8, 0..40), 1..300_usize), 0..20),
            noise in prop::collection::vec(any::<u8>(), 0..9000),
        ) {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            bytes.extend(&noise);
            bytes.extend_from_within(..bytes.len() / 2);
            if let Some(compressed) = encode(&bytes, &mut Table::new()) {
                prop_assert!(compressed.len() + SAVED_MIN <= bytes.len());
                prop_assert_eq!(decode(&compressed, bytes.len() as u64), Ok(bytes));
            }
        }
    }

    #[test]
    fn only_what_becomes_shorter_is_compressed() {
        let mut table = Table::new();
        assert_eq!(encode(b"", &mut table), None);
        assert_eq!(encode(b"no three of these letters return", &mut table), None);
        assert_eq!(encode(&[b'a'; 300], &mut table).unwrap().len(), 8);
        let text = b"lorem ipsum dolor ".repeat(100);
        assert!(encode(&text, &mut table).unwrap().len() < 50);
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
