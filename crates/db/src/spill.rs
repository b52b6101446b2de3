//! Bounds the memory that a snapshot costs: beyond the bound the rest of it goes to a file beside, at once.
//!
//! A snapshot of the log or of BGSAVE is written from a frozen copy, whose blocks the engine copies before it writes to
//! them. [`Preimages`] counts those copies. At half of the bound the snapshot no longer waits for anybody: what is left
//! of it goes to a temporary file, without a sync and whatever the rate, and each block is let go of on the way. When all
//! of it is there, the file is appended to the snapshot's own by the rate and with its syncs. Until then a call that
//! copied more than the progress allows waits a little: memory is taken in step with what is given back, so that about
//! the bound is what is held when the end is reached.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use windlass_engine::Frozen;

use crate::core::Core;
use crate::disk::{Disk, DiskFile};
use crate::log::Log;
use crate::store::Store;

/// The name of the file, in the log's folder; an opening removes what begins so.
const SPILL_NAME: &str = "temp-spill";
/// The bound is at least this share of the data.
const DATA_SHARE: u64 = 10;
/// So long a call waits at most for the snapshot to go on.
const WAIT_MAX: Duration = Duration::from_millis(2);
/// So much is read back at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// What the snapshot of the moment has cost in memory. There is one at a time.
#[derive(Default)]
pub struct Preimages {
    is_held: AtomicBool,
    /// What was copied since the content was frozen: at least what the snapshot alone holds now.
    bytes: AtomicU64,
    peak: AtomicU64,
    bytes_max: AtomicU64,
    /// Who copies beyond this waits.
    allowed: AtomicU64,
    /// The snapshots that went beyond half of the bound.
    spills: AtomicU64,
    moving: Mutex<()>,
    moved: Condvar,
}

/// What of it others may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub bytes: u64,
    pub peak: u64,
    pub bytes_max: u64,
    pub spills: u64,
}

impl Preimages {
    /// Begins to count. Call it under the lock under which the content of so many bytes is frozen.
    pub fn hold(&self, data_bytes: u64, bytes_max: u64) -> Held<'_> {
        let bytes_max = bytes_max.max(data_bytes / DATA_SHARE);
        self.bytes.store(0, Ordering::Relaxed);
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.allowed.store(bytes_max / 2, Ordering::Relaxed);
        self.is_held.store(true, Ordering::Release);
        Held { preimages: self, data_bytes: data_bytes.max(1) }
    }

    /// Counts what a call copied; true when the bound is half reached by it.
    pub fn note(&self, copied: u64) -> bool {
        if !self.is_held.load(Ordering::Acquire) {
            return false;
        }
        let before = self.bytes.fetch_add(copied, Ordering::Relaxed);
        self.peak.fetch_max(before + copied, Ordering::Relaxed);
        let limit = self.bytes_max.load(Ordering::Relaxed) / 2;
        before <= limit && before + copied > limit
    }

    /// True when the rest of the snapshot is to be let go of as soon as can be.
    pub fn is_pressing(&self) -> bool {
        let limit = self.bytes_max.load(Ordering::Relaxed) / 2;
        self.is_held.load(Ordering::Acquire) && self.bytes.load(Ordering::Relaxed) > limit
    }

    fn is_ahead(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
            && self.bytes.load(Ordering::Relaxed) > self.allowed.load(Ordering::Relaxed)
    }

    /// Has who copied wait a little while more is copied than the snapshot's progress allows.
    pub fn wait(&self) {
        if !self.is_ahead() {
            return;
        }
        let until = Instant::now() + WAIT_MAX;
        let mut moving = self.moving.lock();
        while self.is_ahead() && !self.moved.wait_until(&mut moving, until).timed_out() {}
    }

    pub fn cost(&self) -> Cost {
        let is_held = self.is_held.load(Ordering::Acquire);
        Cost {
            bytes: if is_held { self.bytes.load(Ordering::Relaxed) } else { 0 },
            peak: self.peak.load(Ordering::Relaxed),
            bytes_max: self.bytes_max.load(Ordering::Relaxed),
            spills: self.spills.load(Ordering::Relaxed),
        }
    }

    fn tell(&self) {
        drop(self.moving.lock());
        self.moved.notify_all();
    }
}

/// A frozen copy exists. To be dropped after it.
pub struct Held<'a> {
    preimages: &'a Preimages,
    data_bytes: u64,
}

impl Held<'_> {
    /// Allows more copies: as large a part of what is left of the bound as `written` is of the data. What is written is
    /// mostly shorter than what is held in memory, so that less is allowed than could be.
    fn advance(&self, written: u64) {
        let half = self.preimages.bytes_max.load(Ordering::Relaxed) / 2;
        let share = written.min(self.data_bytes) as f64 / self.data_bytes as f64;
        self.preimages.allowed.store(half + (half as f64 * share) as u64, Ordering::Relaxed);
        self.preimages.tell();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.preimages.is_held.store(false, Ordering::Release);
        self.preimages.tell();
    }
}

/// The content at one moment, and the count of what it costs.
pub struct Snapshot<'a> {
    pub content: Frozen,
    pub held: Held<'a>,
}

impl Store {
    /// Freezes the content and begins to count what it costs.
    pub fn freeze<'a>(&self, log: &'a Log, core: &Core) -> Snapshot<'a> {
        let content = core.engine.freeze();
        let held = log.rewrites.preimages.hold(content.bytes() as u64, self.config.preimage_bytes_max);
        Snapshot { content, held }
    }

    /// Counts what a call has copied for the snapshot of the moment. Call it without the lock.
    pub fn pay_for(&self, copied: usize) {
        if copied > 0
            && let Some(log) = self.log.get()
        {
            if log.rewrites.preimages.note(copied as u64) {
                log.rewrites.hurry();
            }
            log.rewrites.preimages.wait();
        }
    }
}

/// Where a snapshot is written to: its file, and the one beside when it is to let go of its content at once.
pub struct Output<'a> {
    file: &'a dyn DiskFile,
    /// It is synced each time so many bytes were written, and at the end.
    sync_bytes: u64,
    /// None where nothing is written meanwhile.
    source: Option<Source<'a>>,
    spill: Option<Spill<'a>>,
    /// The bytes of the file and the one beside.
    bytes: u64,
    unsynced: u64,
}

/// What the snapshot is of, and where it may go.
pub struct Source<'a> {
    held: Held<'a>,
    disk: &'a dyn Disk,
    spill_path: PathBuf,
}

impl<'a> Source<'a> {
    /// A snapshot that may go to a file in the log's folder.
    pub fn new(held: Held<'a>, disk: &'a dyn Disk, folder: &Path) -> Self {
        Self { held, disk, spill_path: folder.join(SPILL_NAME) }
    }
}

/// The file beside. It goes with this, and with the next opening after a crash.
struct Spill<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: u64,
}

impl Drop for Spill<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a temporary file could not be removed");
        }
    }
}

impl<'a> Output<'a> {
    pub fn new(file: &'a dyn DiskFile, sync_bytes: u64, source: Option<Source<'a>>) -> Self {
        Self { file, sync_bytes, source, spill: None, bytes: 0, unsynced: 0 }
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// The system's, and then there is no snapshot.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.spill.is_none()
            && let Some(source) = self.source.as_ref().filter(|source| source.held.preimages.is_pressing())
        {
            let file = source.disk.create(&source.spill_path)?;
            let (disk, path) = (source.disk, source.spill_path.clone());
            self.spill = Some(Spill { disk, path, file, bytes: 0 });
            source.held.preimages.spills.fetch_add(1, Ordering::Relaxed);
        }
        match &mut self.spill {
            Some(spill) => {
                spill.file.write(bytes)?;
                spill.bytes += bytes.len() as u64;
            }
            None => self.append(bytes)?,
        }
        self.bytes += bytes.len() as u64;
        if let Some(source) = &self.source {
            source.held.advance(self.bytes);
        }
        Ok(())
    }

    /// The bytes of the snapshot so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts all in the snapshot's file and syncs that. The frozen copy is gone by now. `may_go_on` is told the bytes that
    /// are there, and none is answered when it says no.
    ///
    /// # Errors
    /// The system's, and then there is no snapshot.
    pub fn finish(mut self, mut may_go_on: impl FnMut(u64) -> bool) -> io::Result<Option<u64>> {
        self.source = None;
        if let Some(spill) = self.spill.take() {
            let mut chunks = File::open(&spill.path)?;
            let (mut chunk, mut left) = (Vec::new(), spill.bytes);
            while left > 0 {
                chunk.resize(left.min(CHUNK_BYTES) as usize, 0);
                chunks.read_exact(&mut chunk)?;
                self.append(&chunk)?;
                left -= chunk.len() as u64;
                if !may_go_on(self.bytes - left) {
                    return Ok(None);
                }
            }
        }
        self.file.sync()?;
        Ok(Some(self.bytes))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= self.sync_bytes {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
