//! The id of a stream's entry.

use std::ops::Deref;

/// When an entry was added, in milliseconds, and its number within that millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub ms: u64,
    pub seq: u64,
}

impl Id {
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after this one; none after the last.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id right before this one; none before the first.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The id as `ms-seq`, without an allocation.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; IdText::MAX], start: IdText::MAX as u8 };
        text.prepend(self.seq);
        text.start -= 1;
        text.bytes[usize::from(text.start)] = b'-';
        text.prepend(self.ms);
        text
    }
}

/// An id as text, at the end of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; Self::MAX],
    start: u8,
}

impl IdText {
    /// Two numbers of 20 digits and the dash between them.
    const MAX: usize = 41;

    /// Ids are written more often than anything else, several times for each job: digit by digit in place is half the
    /// work of formatting each part and copying it.
    fn prepend(&mut self, mut number: u64) {
        let mut start = usize::from(self.start);
        loop {
            start -= 1;
            self.bytes[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.start = start as u8;
    }
}

impl Deref for IdText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_through_both_parts() {
        assert_eq!(Id::new(1, u64::MAX).next(), Some(Id::new(2, 0)));
        assert_eq!(Id::new(2, 0).previous(), Some(Id::new(1, u64::MAX)));
        assert_eq!(Id::MAX.next(), None);
        assert_eq!(Id::MIN.previous(), None);
        assert_eq!(&*Id::MAX.text(), b"18446744073709551615-18446744073709551615");
    }
}
