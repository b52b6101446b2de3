//! BGSAVE: a snapshot `dump.rdb` in the directory, in the form that Redis reads, of the data at one moment.
//!
//! It is written from a frozen copy on the thread that rewrites the log, one after the other. The log has all that is
//! in it: the file is for other programs, and no start of ours looks at it while there is a log.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use crate::directory::SNAPSHOT_NAME;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::progress::Position;
use crate::spill::{Output, Snapshot, Source};
use crate::store::Store;

/// A snapshot until it is whole.
pub const TEMPORARY_NAME: &str = "temp-windlass.rdb";

/// The snapshots of a database, of which there is one at a time.
#[derive(Default)]
pub struct Saves {
    /// Set by who asks for one; the log's thread sees to it.
    is_wanted: AtomicBool,
    is_running: AtomicBool,
    has_failed: AtomicBool,
    /// When the last was there, in seconds since the epoch; 0 for never.
    last_s: AtomicU64,
}

impl Saves {
    /// True when one is asked for, which is begun by that.
    pub fn begin(&self) -> bool {
        let is_wanted = self.is_wanted.swap(false, Ordering::AcqRel);
        if is_wanted {
            self.is_running.store(true, Ordering::Release);
        }
        is_wanted
    }

    /// Ends what was begun: when it was saved, or none when it failed.
    pub fn end(&self, saved_s: Option<u64>) {
        if self.is_running.swap(false, Ordering::AcqRel) {
            self.has_failed.store(saved_s.is_none(), Ordering::Relaxed);
            self.last_s.fetch_max(saved_s.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// True while the thread for rewrites is at a snapshot.
    pub fn is_alone(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    /// The lines of INFO.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let is_busy = self.is_wanted.load(Ordering::Acquire) || self.is_alone();
        let status = if self.has_failed.load(Ordering::Relaxed) { "err" } else { "ok" };
        let mut lines = vec![
            ("rdb_bgsave_in_progress", u8::from(is_busy).to_string()),
            ("rdb_last_bgsave_status", status.into()),
        ];
        let last_s = self.last_s.load(Ordering::Relaxed);
        if last_s > 0 {
            lines.push(("rdb_last_save_time", last_s.to_string()));
        }
        lines
    }
}

impl Store {
    /// Asks for a snapshot soon.
    pub fn want_save(&self) {
        if let Some(log) = self.log.get() {
            log.rewrites.saves.is_wanted.store(true, Ordering::Release);
            log.thread.want();
        }
    }

    /// Writes a snapshot on this thread.
    pub fn save_or_warn(&self, log: &Log) {
        let saved = self.save(log);
        if let Err(error) = &saved
            && !matches!(error, Error::Stopped)
        {
            tracing::warn!(%error, "the snapshot could not be saved");
        }
        let is_saved = saved.is_ok();
        log.rewrites.saves.end(saved.ok());
        self.answer_savers(is_saved);
    }

    /// Answers who waits for a snapshot that has ended.
    pub fn answer_savers(&self, is_saved: bool) {
        let mut core = self.core.lock();
        let deliveries = core.engine.end_save(is_saved);
        let awake = self.route(&core, deliveries, Position::START);
        drop(core);
        awake.into_iter().for_each(Waker::wake);
    }

    /// Answers when it is of.
    fn save(&self, log: &Log) -> Result<u64> {
        let folder = self.with_writer(log, |writer| writer.folder.clone());
        let directory = folder.parent().expect("the log's folder is in the directory");
        // A rewrite by hand is on another thread, and what two snapshots cost cannot be told apart.
        let _running = log.rewrites.running.lock();
        let (Snapshot { content, held }, now) = {
            let core = self.core.lock();
            (self.freeze(log, &core), self.clock.now())
        };
        let (path, temporary) = (directory.join(SNAPSHOT_NAME), directory.join(TEMPORARY_NAME));
        let started = Instant::now();
        let may_go_on = |bytes| self.keep_rate(log, started, bytes);
        let write = || -> io::Result<bool> {
            let file = self.disk.create(&temporary)?;
            let source = Source::new(held, &*self.disk, &folder);
            let mut output = Output::new(&*file, u64::MAX, Some(source));
            let is_whole = content.save_rdb(&mut output, may_go_on)?.is_some();
            Ok(is_whole && output.finish(may_go_on)?.is_some())
        };
        match write() {
            Ok(true) => {}
            Ok(false) => {
                self.remove_snapshot(&temporary);
                return Err(Error::Stopped);
            }
            Err(error) => {
                self.remove_snapshot(&temporary);
                return Err(Error::io("write", &temporary)(error));
            }
        }
        self.disk.rename(&temporary, &path).map_err(Error::io("put a new file in place of", &path))?;
        self.disk.sync_folder(directory).map_err(Error::io("sync", directory))?;
        Ok(now.seconds())
    }

    /// Removes a snapshot that did not become whole; one that stays is overwritten by the next.
    fn remove_snapshot(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path) {
            tracing::warn!(%error, path = %path.display(), "an unfinished file could not be removed");
        }
    }
}
