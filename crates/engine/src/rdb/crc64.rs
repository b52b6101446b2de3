//! CRC-64 with the polynomial of Jones as Redis uses it: reflected, from 0, nothing added at the end.

/// `0xad93d23594c935a9` with its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
/// How many bytes are taken in one step; each has a table of its own.
const STEP: usize = 8;

static TABLES: [[u64; 256]; STEP] = tables();

/// The checksum of what `checksum` covers followed by `bytes`; it is 0 of nothing.
pub fn update(mut checksum: u64, bytes: &[u8]) -> u64 {
    let mut steps = bytes.chunks_exact(STEP);
    for step in &mut steps {
        let word = checksum ^ u64::from_le_bytes(step.try_into().expect("a step is eight bytes"));
        let places = word.to_le_bytes().into_iter().enumerate();
        checksum = places.fold(0, |sum, (at, byte)| sum ^ TABLES[STEP - 1 - at][usize::from(byte)]);
    }
    for byte in steps.remainder() {
        checksum = TABLES[0][usize::from(checksum as u8 ^ byte)] ^ (checksum >> 8);
    }
    checksum
}

const fn tables() -> [[u64; 256]; STEP] {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < STEP {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let text = b"This is a test of the emergency broadcast system.";
        for cut in 0..text.len() {
            assert_eq!(update(update(0, &text[..cut]), &text[cut..]), update(0, text));
        }
    }
}
