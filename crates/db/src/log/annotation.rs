//! The line before each group of records: `#WL <sequence> <length> <crc32c>`, CR LF; or with a fourth word, the
//! sequence of the last group that was known to be synced when this one was written.
//!
//! Redis's loader and its checker skip lines that begin with `#`. Sequences and length are decimal, the checksum of the
//! group's bytes and then of the fourth word's is eight hexadecimal digits. The form is canonical, so that no changed bit
//! of it goes unnoticed, and sequences count from 1 in each file without a gap.
//!
//! The fourth word is what tells a power cut from damage: of groups that were not synced a power cut may leave a later one
//! whole and an earlier one not, but never of those that were.

/// How an annotation begins.
pub const MARK: &[u8] = b"#WL ";
/// The longest annotation, line end included.
pub const LENGTH_MAX: usize = MARK.len() + 20 + 1 + 20 + 1 + 8 + 1 + 20 + 2;
/// The shortest group with its annotation; bounds how many groups fit in so many bytes.
pub const GROUP_BYTES_MIN: u64 = 20;

/// What an annotation says of the group that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The group's number in its file.
    pub sequence: u64,
    /// The group's bytes, the annotation not counted.
    pub length: u64,
    /// CRC-32C of the group's bytes, and of the word for `synced` if it is written.
    pub checksum: u32,
    /// The last group of the file that was known to be synced; 0, which is not written, for none.
    pub synced: u64,
}

impl Annotation {
    /// The annotation of `group`.
    pub fn of(sequence: u64, group: &[u8], synced: u64) -> Self {
        Self { sequence, length: group.len() as u64, checksum: checksum(group, synced), synced }
    }

    /// The line.
    pub fn encode(&self) -> String {
        let Self { sequence, length, checksum, synced } = self;
        match synced {
            0 => format!("#WL {sequence} {length} {checksum:08x}\r\n"),
            _ => format!("#WL {sequence} {length} {checksum:08x} {synced}\r\n"),
        }
    }

    /// Reads a line, its end included; none if it is not one that [`encode`](Self::encode) makes.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line.strip_prefix(MARK)?.strip_suffix(b"\r\n")?).ok()?;
        let mut words = text.split(' ');
        let annotation = Self {
            sequence: words.next()?.parse().ok()?,
            length: words.next()?.parse().ok()?,
            checksum: u32::from_str_radix(words.next()?, 16).ok()?,
            synced: words.next().map_or(Some(0), |word| word.parse().ok())?,
        };
        (annotation.encode().as_bytes() == line).then_some(annotation)
    }

    /// True when `group` is what the annotation was made of.
    pub fn covers(&self, group: &[u8]) -> bool {
        group.len() as u64 == self.length && checksum(group, self.synced) == self.checksum
    }
}

fn checksum(group: &[u8], synced: u64) -> u32 {
    let checksum = crc32c::crc32c(group);
    if synced == 0 { checksum } else { crc32c::crc32c_append(checksum, synced.to_string().as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_reads_back_and_no_changed_bit_does() {
        let group = b"*1\r\n$4\r\nPING\r\n";
        for synced in [0, 41] {
            let annotation = Annotation::of(42, group, synced);
            let line = annotation.encode().into_bytes();
            assert_eq!(Annotation::decode(&line), Some(annotation));
            for bit in 0..line.len() * 8 {
                let mut changed = line.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let decoded = Annotation::decode(&changed);
                assert_ne!(decoded, Some(annotation));
                // A line that reads as another covers nothing, but for its sequence, which is out of order.
                let passes = decoded.filter(|other| other.sequence == 42 && other.covers(group));
                assert_eq!(passes, None, "bit {bit}");
            }
        }
    }

    #[test]
    fn the_longest_annotation_is_within_its_bound() {
        let (sequence, length) = (u64::MAX, u64::MAX);
        let longest = Annotation { sequence, length, checksum: u32::MAX, synced: u64::MAX };
        assert_eq!(longest.encode().len(), LENGTH_MAX);
        let shortest = Annotation { sequence: 1, length: 1, checksum: 0, synced: 0 };
        assert!(shortest.encode().len() as u64 + 1 >= GROUP_BYTES_MIN - 1);
    }
}
