//! Finds the next whole group behind something that is not whole.

use std::path::Path;

use super::annotation::{Annotation, GROUP_BYTES_MIN, LENGTH_MAX, MARK};
use super::source::{READ_BYTES, Source};
use crate::error::{Error, Result};

/// Where in a file a group begins, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bytes before it.
    pub offset: u64,
    /// The sequence that its annotation has, or is to have.
    pub sequence: u64,
}

impl Place {
    /// The place of a file's first group, after so many bytes of something else.
    pub fn at(offset: u64) -> Self {
        Self { offset, sequence: 1 }
    }
}

/// The first whole group that begins at or after `from` and whose sequence comes after `sequence`, if there is one.
/// A sequence that no group of a file of this length can have is taken for data.
pub fn find_group(path: &Path, from: u64, sequence: u64) -> Result<Option<Place>> {
    find_group_after(path, from, sequence, 0)
}

/// The same of a group that was written when the group `synced_min` was known to be synced.
pub fn find_group_after(path: &Path, from: u64, sequence: u64, synced_min: u64) -> Result<Option<Place>> {
    let mut source = Source::open(path, from).map_err(Error::io("read", path))?;
    let length = source.length().map_err(Error::io("look at", path))?;
    let last = sequence.saturating_add(length.saturating_sub(from) / GROUP_BYTES_MIN + 1);
    loop {
        source.fill(READ_BYTES).map_err(Error::io("read", path))?;
        let bytes = source.available();
        let Some(at) = bytes.windows(MARK.len()).position(|window| window == MARK) else {
            if source.is_at_end() {
                return Ok(None);
            }
            let searched = bytes.len() - (MARK.len() - 1);
            source.skip(searched);
            continue;
        };
        source.skip(at);
        source.fill(LENGTH_MAX).map_err(Error::io("read", path))?;
        let line = source.available();
        let line = &line[..line.len().min(LENGTH_MAX)];
        let end = line.iter().position(|byte| *byte == b'\n');
        let annotation = end.and_then(|end| Annotation::decode(&line[..=end]));
        if let (Some(end), Some(annotation)) = (end, annotation)
            && annotation.sequence > sequence
            && annotation.sequence <= last
            && annotation.synced >= synced_min
            && annotation.length <= length
        {
            let whole = end + 1 + annotation.length as usize;
            source.fill(whole).map_err(Error::io("read", path))?;
            let group = source.available().get(end + 1..whole);
            if group.is_some_and(|group| annotation.covers(group)) {
                return Ok(Some(Place { offset: source.offset(), sequence: annotation.sequence }));
            }
        }
        source.skip(1);
    }
}
