//! The line before each group of records: `#WL <sequence> <length> <crc32c>`, CR LF.
//!
//! Redis's loader and its checker skip lines that begin with `#`. Sequence and length are decimal, the checksum of the
//! group's bytes is eight hexadecimal digits. The form is canonical, so that no changed bit of it goes unnoticed, and
//! sequences count from 1 in each file without a gap.

/// How an annotation begins.
pub const MARK: &[u8] = b"#WL ";
/// The longest annotation, line end included.
pub const LENGTH_MAX: usize = MARK.len() + 20 + 1 + 20 + 1 + 8 + 2;
/// The shortest group with its annotation; bounds how many groups fit in so many bytes.
pub const GROUP_BYTES_MIN: u64 = 20;

/// What an annotation says of the group that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The group's number in its file.
    pub sequence: u64,
    /// The group's bytes, the annotation not counted.
    pub length: u64,
    /// CRC-32C of the group's bytes.
    pub checksum: u32,
}

impl Annotation {
    /// The annotation of `group`.
    pub fn of(sequence: u64, group: &[u8]) -> Self {
        Self { sequence, length: group.len() as u64, checksum: crc32c::crc32c(group) }
    }

    /// The line.
    pub fn encode(&self) -> String {
        format!("#WL {} {} {:08x}\r\n", self.sequence, self.length, self.checksum)
    }

    /// Reads a line, its end included; none if it is not one that [`encode`](Self::encode) makes.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line.strip_prefix(MARK)?.strip_suffix(b"\r\n")?).ok()?;
        let mut words = text.split(' ');
        let annotation = Self {
            sequence: words.next()?.parse().ok()?,
            length: words.next()?.parse().ok()?,
            checksum: u32::from_str_radix(words.next()?, 16).ok()?,
        };
        (annotation.encode().as_bytes() == line).then_some(annotation)
    }

    /// True when `group` is what the annotation was made of.
    pub fn covers(&self, group: &[u8]) -> bool {
        group.len() as u64 == self.length && crc32c::crc32c(group) == self.checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_reads_back_and_no_changed_bit_does() {
        let annotation = Annotation::of(42, b"*1\r\n$4\r\nPING\r\n");
        let line = annotation.encode().into_bytes();
        assert_eq!(Annotation::decode(&line), Some(annotation));
        for bit in 0..line.len() * 8 {
            let mut changed = line.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Annotation::decode(&changed), Some(annotation));
        }
    }

    #[test]
    fn the_longest_annotation_is_within_its_bound() {
        let longest = Annotation { sequence: u64::MAX, length: u64::MAX, checksum: u32::MAX };
        assert_eq!(longest.encode().len(), LENGTH_MAX);
        let shortest = Annotation { sequence: 1, length: 1, checksum: 0 };
        assert!(shortest.encode().len() as u64 + 1 >= GROUP_BYTES_MIN - 1);
    }
}
