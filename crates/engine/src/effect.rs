//! What a command changed, as commands whose replay leads to the same state.
//!
//! Effects are deterministic: expiry is absolute, what was chosen at random or popped is named. They are encoded
//! once, here, in the form of the log.

use windlass_resp::encode_command;

/// The effects of the calls since they were last taken, encoded as requests.
///
/// One call's effects are one group: wrapped in MULTI and EXEC when there is more than one, so that no replay of a
/// prefix of the log shows half a move.
#[derive(Debug, Default)]
pub struct Effects {
    is_recording: bool,
    bytes: Vec<u8>,
    /// The database that the log's last record left selected; none at the start of a file.
    selected: Option<usize>,
    /// How many were made, recorded or not.
    count: u64,
    group_start: usize,
    group_records: usize,
}

impl Effects {
    /// Starts or stops recording; a store without a log need not pay for it. Off at first.
    pub fn set_recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording;
    }

    /// How many effects there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// True when there is nothing to log.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The effects so far, leaving none. A fresh log file must be preceded by [`Effects::forget_selection`].
    pub fn take(&mut self) -> Vec<u8> {
        self.group_start = 0;
        std::mem::take(&mut self.bytes)
    }

    /// Moves the effects so far to the end of `out`, keeping this buffer's capacity.
    pub fn append_to(&mut self, out: &mut Vec<u8>) {
        self.group_start = 0;
        out.append(&mut self.bytes);
    }

    /// Makes the next record begin with a SELECT, as each log file must.
    pub fn forget_selection(&mut self) {
        self.selected = None;
    }

    pub(crate) fn push(&mut self, db: usize, args: &[&[u8]]) {
        self.count += 1;
        if !self.is_recording {
            return;
        }
        if self.selected != Some(db) {
            let mut text = itoa::Buffer::new();
            encode_command(&[b"SELECT", text.format(db).as_bytes()], &mut self.bytes);
            self.selected = Some(db);
            // A SELECT alone before one record needs no transaction around the two.
            if self.group_records == 0 {
                self.group_start = self.bytes.len();
            }
        }
        encode_command(args, &mut self.bytes);
        self.group_records += 1;
    }

    /// Ends the group of one call.
    pub(crate) fn end_group(&mut self) {
        if self.group_records > 1 {
            const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
            self.bytes.splice(self.group_start..self.group_start, MULTI.iter().copied());
            self.bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        }
        self.group_records = 0;
        self.group_start = self.bytes.len();
    }
}
