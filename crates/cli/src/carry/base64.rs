//! Base64 with its padding, for bytes that are no text (RFC 4648, section 4).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place) & 0x3f) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// The bytes of `text`; none if it is not what [`encode`] makes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.as_bytes().chunks(4) {
        let filled = chunk.iter().position(|byte| *byte == b'=').unwrap_or(chunk.len());
        let mut group = 0_u32;
        for digit in &chunk[..filled] {
            group = group << 6 | ALPHABET.iter().position(|other| other == digit)? as u32;
        }
        let group = group.checked_shl(6 * (4 - u32::try_from(filled).ok()?))?;
        bytes.extend(&group.to_be_bytes()[1..filled.max(1)]);
    }
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_reads_back() {
        for length in 0..20 {
            let bytes: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37).wrapping_add(200)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        assert_eq!(encode(b"foobar"), "Zm9vYmFy");
        assert_eq!(encode(b"fooba"), "Zm9vYmE=");
        assert_eq!(encode(b"foob"), "Zm9vYg==");
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for text in ["A", "AB", "ABC", "A===", "====", "AB=C", "AB==AB==", "Zm9vYh==", "Zm9v ", "ä"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
