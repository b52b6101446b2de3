//! Bytes as the keyspace stores them.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::types::{Budget, copied};

/// The longest byte string that is stored without an allocation of its own.
const INLINE_MAX: usize = 22;
/// From this length on the bytes can grow in place, at the cost of one more step to reach them.
const LARGE_MIN: usize = 4096;

/// Bytes in 24 bytes of memory; up to 22 of them are stored in place. A clone copies no more than those: what is longer
/// is shared until one of the two is written.
///
/// ```
/// use windlass_engine::Blob;
///
/// assert_eq!(&*Blob::from(b"short"), b"short");
/// assert_eq!(std::mem::size_of::<Blob>(), 24);
/// ```
#[derive(Clone)]
pub struct Blob(Form);

#[derive(Clone)]
enum Form {
    Inline(u8, [u8; INLINE_MAX]),
    Heap(Arc<[u8]>),
    Large(Arc<Vec<u8>>),
}

impl Blob {
    /// Bytes allocated outside of the 24 of the value itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Inline(..) => 0,
            Form::Heap(bytes) => bytes.len(),
            Form::Large(bytes) => bytes.len(),
        }
    }
}

impl Blob {
    /// Counts the bytes that stay with who shares them when this is written, replaced or dropped.
    pub(crate) fn note_shared(&self) {
        match &self.0 {
            Form::Inline(..) => {}
            Form::Heap(bytes) => copied::note(bytes, |bytes| bytes.len()),
            Form::Large(bytes) => copied::note(bytes, |bytes| bytes.len()),
        }
    }

    /// As [`edit`](Self::edit), leaving the form that can grow in place, however short the bytes are.
    pub(crate) fn edit_in_place(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        self.edit(edit);
        if !self.is_growable() {
            self.0 = Form::Large(Arc::new(self.to_vec()));
        }
    }

    /// True for the form that can grow in place.
    pub(crate) fn is_growable(&self) -> bool {
        matches!(self.0, Form::Large(_))
    }

    /// Changes the bytes with `edit`, which may make them longer or shorter.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        self.note_shared();
        let mut bytes = match std::mem::take(self).0 {
            Form::Inline(length, bytes) => bytes[..usize::from(length)].to_vec(),
            Form::Heap(bytes) => bytes.to_vec(),
            Form::Large(bytes) => Arc::unwrap_or_clone(bytes),
        };
        edit(&mut bytes);
        *self = Self::from(bytes);
    }

    /// Cuts off some of the bytes of a blob that nobody uses any more; true when little is left, and at once when
    /// somebody shares it.
    pub(crate) fn free_some(&mut self, budget: &mut Budget) -> bool {
        let Form::Large(bytes) = &mut self.0 else { return true };
        let Some(bytes) = Arc::get_mut(bytes) else { return true };
        // Allocators shorten memory of this size where it is: the pages behind the cut go back.
        bytes.truncate(bytes.capacity().saturating_sub(budget.bytes_left()));
        let before = bytes.capacity();
        bytes.shrink_to_fit();
        budget.spend(1, before - bytes.capacity());
        bytes.is_empty()
    }
}

impl DerefMut for Blob {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.note_shared();
        match &mut self.0 {
            Form::Inline(length, bytes) => &mut bytes[..usize::from(*length)],
            Form::Heap(bytes) => Arc::make_mut(bytes),
            Form::Large(bytes) => &mut *Arc::make_mut(bytes),
        }
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Form::Heap(bytes) => bytes,
            Form::Large(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() >= LARGE_MIN {
            return Self(Form::Large(Arc::new(bytes.to_vec())));
        }
        if bytes.len() > INLINE_MAX {
            return Self(Form::Heap(bytes.into()));
        }
        let mut inline = [0; INLINE_MAX];
        inline[..bytes.len()].copy_from_slice(bytes);
        Self(Form::Inline(bytes.len() as u8, inline))
    }
}

impl<const N: usize> From<&[u8; N]> for Blob {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() >= LARGE_MIN { Self(Form::Large(Arc::new(bytes))) } else { Self::from(&bytes[..]) }
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self(Form::Inline(0, [0; INLINE_MAX]))
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Blob {}

impl PartialOrd for Blob {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Blob {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Blob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Borrow<[u8]> for Blob {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_stays_what_it_was_in_every_form() {
        for length in [0, INLINE_MAX, INLINE_MAX + 1, LARGE_MIN - 1, LARGE_MIN, 3 * LARGE_MIN] {
            let mut blob = Blob::from(vec![b'a'; length]);
            let clone = blob.clone();
            blob.edit(|bytes| bytes.extend_from_slice(&[b'b'; LARGE_MIN]));
            blob[0] = b'c';
            assert_eq!(blob.len(), length + LARGE_MIN);
            assert_eq!(clone, Blob::from(&vec![b'a'; length][..]));
            blob.edit(|bytes| bytes.truncate(length));
            let inline = if length > INLINE_MAX { length } else { 0 };
            assert_eq!((blob.len(), blob.heap_bytes()), (length, inline));
        }
    }
}
