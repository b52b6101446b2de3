//! How far a job is, and what it logged: bounded, and there to be read while the job runs.

use crate::broker::{pairs, text};
use crate::error::{Error, Result};

/// How many notes of a job are kept: lines of its log and changes of its progress together.
pub const PROGRESS_NOTES_MAX: usize = 100;

/// Longest message of a progress, in bytes; longer ones are cut.
pub const PROGRESS_MESSAGE_MAX: usize = 256;

/// Longest line of a log, in bytes; longer ones are cut.
pub const LOG_LINE_MAX: usize = 1024;

/// How long progress and log are kept after the last note.
pub const PROGRESS_TTL: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// How far a job is, and the last lines of its log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Percent of the work that is done.
    pub percent: u8,
    /// What the job said with it.
    pub message: String,
    /// When the job last told something, in milliseconds since 1970 by the store's clock.
    pub at_ms: u64,
    /// The last lines of its log, the newest last.
    pub log: Vec<LogLine>,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When, in milliseconds since 1970 by the store's clock.
    pub at_ms: u64,
    /// What the job said.
    pub text: String,
}

impl Progress {
    /// Reads the notes of a job, the oldest first; none is no progress.
    pub(crate) fn read(notes: Vec<redis::Value>) -> Result<Option<Self>> {
        let wrong = || Error::Answer("a note of a job's progress was expected");
        let mut progress = None;
        for note in notes {
            let [id, fields] = <[_; 2]>::try_from(crate::broker::array(note)?).map_err(|_| wrong())?;
            let at_ms = text(id)?.split_once('-').and_then(|(ms, _)| ms.parse().ok()).ok_or_else(wrong)?;
            let now: &mut Self = progress.get_or_insert_default();
            now.at_ms = at_ms;
            for (name, value) in pairs(fields)? {
                let value = String::from_utf8_lossy(&value).into_owned();
                match name.as_slice() {
                    b"p" => now.percent = value.parse().unwrap_or_default(),
                    b"m" => now.message = value,
                    b"l" => now.log.push(LogLine { at_ms, text: value }),
                    _ => {}
                }
            }
        }
        Ok(progress)
    }
}

/// Cuts a text to `max` bytes at a character's boundary.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
