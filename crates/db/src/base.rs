//! Writes a base: the whole content at one moment, as groups of records.

use std::ops::ControlFlow;

use windlass_engine::Frozen;

use crate::log::{HEAD_BYTES, put_annotation};
use crate::spill::Output;

/// How many bytes of records one group of a base holds, but for its last record.
const GROUP_BYTES: usize = 1 << 20;
/// A base is synced each time so many bytes were written: while it is, a write to the log may have to wait for the file
/// system's journal, for a hundred milliseconds at 32 MiB.
pub const SYNC_BYTES: u64 = 2 << 20;

/// Writes the content to `output` and syncs its file; answers its bytes. After each group `may_go_on` is told the bytes
/// so far; there is no base, and the answer is none, when it says no.
///
/// # Errors
/// The system's.
pub fn write(
    content: Frozen,
    output: Output<'_>,
    mut may_go_on: impl FnMut(u64) -> bool,
) -> std::io::Result<Option<u64>> {
    let mut base = Base { output, buffer: vec![0; HEAD_BYTES], sequence: 0 };
    let mut done = Ok(true);
    let is_whole = content.dump(|args| {
        windlass_resp::encode_command(args, &mut base.buffer);
        if base.buffer.len() > GROUP_BYTES {
            done = base.write_group().map(|()| may_go_on(base.output.bytes()));
        }
        if matches!(done, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if !done? {
        return Ok(None);
    }
    assert!(is_whole, "only what is given up or fails breaks it off");
    if base.sequence == 0 && base.buffer.len() == HEAD_BYTES {
        // No group is empty, and no base either: Redis takes an empty file for none at all.
        windlass_resp::encode_command(&[b"SELECT", b"0"], &mut base.buffer);
    }
    if base.buffer.len() > HEAD_BYTES {
        base.write_group()?;
    }
    if !may_go_on(base.output.bytes()) {
        return Ok(None);
    }
    base.output.finish(may_go_on)
}

/// A base that is being written.
struct Base<'a> {
    output: Output<'a>,
    /// Room for the annotation, then the records of the next group.
    buffer: Vec<u8>,
    /// The last group's number.
    sequence: u64,
}

impl Base<'_> {
    fn write_group(&mut self) -> std::io::Result<()> {
        self.sequence += 1;
        // A base counts as a whole or not at all: what of it was synced is nobody's concern.
        let start = put_annotation(&mut self.buffer, self.sequence, 0);
        self.output.put(&self.buffer[start..])?;
        self.buffer.truncate(HEAD_BYTES);
        Ok(())
    }
}
