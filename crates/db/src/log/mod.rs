//! The log: groups of records under annotations, in the files that the manifest lists.
//!
//! Under the store's lock a call adds its effects to [`Pending`]. Whoever holds the [`Writer`] takes all that is
//! pending and writes it as one group. Whoever has the turn to commit then syncs, without the writer, so that others
//! write meanwhile: a caller that blocks and finds nobody at it, or else the log's thread, which is told when somebody
//! waits. What is written during a sync goes with the next one.

mod ahead;
mod annotation;
mod commit;
mod reader;
mod record;
mod search;
mod snapshot;
mod source;
mod thread;
mod writer;

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use crate::facts::Gauges;
use crate::rewrite::Rewrites;

pub use ahead::read_ahead;
pub use reader::{Content, read, read_part};
pub use search::{Place, find_group};
pub use snapshot::{check_version, read as read_snapshot, skip as skip_snapshot};
pub use thread::{Thread, start};
pub use writer::{HEAD_BYTES, Writer, put_annotation};

/// What is to be written.
#[derive(Default)]
pub struct Pending {
    /// Empty, or [`HEAD_BYTES`] of room and then the records.
    pub buffer: Vec<u8>,
    /// The bytes of records before the end of `buffer`, since the database was opened.
    pub end: u64,
    /// The same up to the last record that is more than a worker's exchange.
    pub promised_end: u64,
    /// True while writing commands are refused because too much is pending.
    pub is_full: bool,
}

impl Pending {
    /// Adds what `append` puts at the end of the buffer.
    pub fn add(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        if self.buffer.is_empty() {
            self.buffer.resize(HEAD_BYTES, 0);
        }
        let before = self.buffer.len();
        append(&mut self.buffer);
        self.end += (self.buffer.len() - before) as u64;
    }
}

/// The log of a store.
pub struct Log {
    /// Who holds it writes. It is locked before the store's lock, never after.
    pub writer: Mutex<Writer>,
    /// Whoever has it commits: a second sync beside a failing one might succeed. It is locked before the writer.
    pub turn: Mutex<()>,
    /// The last group of the writer's file that is known to be synced. It is changed by who has the turn.
    pub synced: AtomicU64,
    /// The thread that commits when nobody else does.
    pub thread: Thread,
    /// The writer's sizes.
    pub gauges: Gauges,
    /// What replaces the files by fresh ones.
    pub rewrites: Rewrites,
}

impl Log {
    /// A log that goes on where `writer` stands.
    pub fn new(writer: Writer) -> Self {
        let gauges = Gauges::default();
        gauges.show(&writer);
        let (turn, thread, rewrites) = Default::default();
        // An opening syncs what it found.
        let synced = AtomicU64::new(writer.sequence - 1);
        Self { writer: Mutex::new(writer), turn, synced, thread, gauges, rewrites }
    }
}
