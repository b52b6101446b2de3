//! Patterns of BY and GET: a key whose `*` stands for the element, or with `->` a field of the hash there.

use crate::blob::Blob;
use crate::object::Object;
use crate::state::Call;

/// A pattern as it was given.
pub struct Pattern<'a>(pub &'a [u8]);

impl Pattern<'_> {
    /// True when every element leads to the same: then there is nothing to sort by.
    pub fn is_constant(&self) -> bool {
        !self.0.contains(&b'*')
    }

    /// What the pattern leads to for an element; `#` is the element itself.
    pub fn look_up(&self, call: &mut Call<'_>, element: &Blob) -> Option<Blob> {
        if self.0 == b"#" {
            return Some(element.clone());
        }
        let star = self.0.iter().position(|byte| *byte == b'*')?;
        let (prefix, rest) = (&self.0[..star], &self.0[star + 1..]);
        // An arrow at the very end is part of the name.
        let arrow = rest.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < rest.len());
        let (suffix, field) = arrow.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 2..])));
        let key = [prefix, element, suffix].concat();
        match (&call.entry(&key)?.value, field) {
            (Object::String(text), None) => Some(text.clone()),
            (Object::Hash(hash), Some(field)) => hash.get(field).cloned(),
            _ => None,
        }
    }
}
