//! Group commit: takes what is pending, makes it safe, and says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use std::thread::Thread;

use parking_lot::MutexGuard;

use super::{Log, Writer};
use crate::core::Core;
use crate::disk::DiskFile;
use crate::error::Result;
use crate::progress::Position;
use crate::store::Store;

/// How often in a row one who writes goes on for others, who came meanwhile, before the log's thread does.
const TURNS_MAX: usize = 4;

impl Store {
    /// Says what is known of `position`, or sees to it that `waker` is woken when it is known.
    pub fn poll_durable(
        &self,
        position: Position,
        key: &mut Option<u64>,
        waker: &Waker,
    ) -> Option<Result<()>> {
        let outcome = self.progress.outcome(position);
        let Some(log) = self.log.get().filter(|_| outcome.is_none()) else { return outcome };
        // A write to the page cache is brief enough for an async task, a sync is not.
        if !self.waits_for_sync() && self.try_commit() {
            let outcome = self.progress.outcome(position);
            if outcome.is_some() {
                return outcome;
            }
        }
        let outcome = self.progress.register(position, key, waker);
        if outcome.is_some() {
            return outcome;
        }
        // Once more, so that a writer which did not see the registration is not waited for.
        if !self.waits_for_sync() && self.try_commit() {
            let outcome = self.progress.outcome(position);
            if outcome.is_some() {
                key.take().into_iter().for_each(|key| self.progress.forget(position, key));
                return outcome;
            }
        }
        log.thread.want();
        None
    }

    /// Blocks until `position` is safe or never will be.
    pub fn wait_durable(&self, position: Position) -> Result<()> {
        let mut key = None;
        loop {
            if let Some(outcome) = self.progress.outcome(position) {
                if let Some(key) = key {
                    self.progress.forget(position, key);
                }
                return outcome;
            }
            // Who finds nobody writing does it here: that is the shortest way. Who registered tries once more, so
            // that a writer which did not see the registration is not waited for; one which saw it tells the thread.
            if self.try_commit() {
                continue;
            }
            if key.is_none() {
                let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                if let Some(outcome) = self.progress.register(position, &mut key, &waker) {
                    return outcome;
                }
            } else {
                std::thread::park();
            }
        }
    }

    /// Commits what is pending unless somebody is at it.
    fn try_commit(&self) -> bool {
        let Some(log) = self.log.get() else { return false };
        if !self.waits_for_sync() {
            return self.try_write(log);
        }
        let Some(turn) = log.turn.try_lock() else { return false };
        self.commit_in_turn(log, turn);
        true
    }

    /// Writes what is pending unless somebody is at it. It needs no turn to commit: who has that may be in the sync of each
    /// second, which takes long on a busy disk, and nobody waits for that one.
    pub fn try_write(&self, log: &Log) -> bool {
        for turn in 0..TURNS_MAX {
            let Some(mut writer) = log.writer.try_lock() else { return turn > 0 };
            self.flush(&mut writer);
            let awake = std::mem::take(&mut writer.awake);
            drop(writer);
            awake.into_iter().for_each(Waker::wake);
            // Whoever found the writer taken relies on its holder.
            if !self.progress.is_awaited() {
                return true;
            }
        }
        log.thread.want();
        true
    }

    /// Commits what is pending, after whoever is at it.
    pub fn commit(&self, log: &Log) {
        self.commit_in_turn(log, log.turn.lock());
    }

    /// Writes what is pending as one group, syncs it under `always`, and wakes who waits for that.
    fn commit_in_turn(&self, log: &Log, turn: MutexGuard<'_, ()>) {
        let mut awake = Vec::new();
        let written = self.with_writer(log, |writer| {
            self.flush(writer);
            let is_due = self.waits_for_sync() && !writer.has_failed;
            (is_due && std::mem::take(&mut writer.is_unsynced))
                .then(|| (writer.file.clone(), writer.end, writer.sequence - 1))
        });
        if let Some((file, end, sequence)) = written {
            match file.sync() {
                Ok(()) => {
                    log.synced.store(sequence, Ordering::Relaxed);
                    awake.extend(self.progress.reach(end));
                }
                Err(error) => self.fail_sync(log, &file, &error),
            }
        }
        drop(turn);
        awake.into_iter().for_each(Waker::wake);
        // Whoever found the turn taken relies on its holder to see to it that what came meanwhile is committed.
        if self.progress.is_awaited() {
            log.thread.want();
        }
    }

    /// Writes what is pending without syncing it, for a worker's exchange: a process that is killed then loses nothing
    /// of it, and what a power cut takes with it only means that jobs run again. Answers whether the log has it.
    ///
    /// Only under `always`: the other durabilities have no sync to save, and their replies wait for the write anyway.
    pub fn write_through(&self, position: Position) -> bool {
        let Some(log) = self.log.get().filter(|_| self.waits_for_sync()) else {
            return false;
        };
        let is_written = self.with_writer(log, |writer| {
            if writer.end < position {
                self.flush(writer);
            }
            writer.end >= position
        });
        // The sync is not waited for, but it follows at once.
        log.thread.want();
        is_written
    }

    /// Acts with the writer; nobody holds it for longer than a write takes, but for the moment of a rewrite at which
    /// the log goes on in a new file.
    pub fn with_writer<T>(&self, log: &Log, act: impl FnOnce(&mut Writer) -> T) -> T {
        let mut writer = log.writer.lock();
        let acted = act(&mut writer);
        let awake = std::mem::take(&mut writer.awake);
        drop(writer);
        awake.into_iter().for_each(Waker::wake);
        acted
    }

    /// Writes what is pending as one group; without syncs that is all, and who waits for it is woken.
    fn flush(&self, writer: &mut Writer) {
        self.flush_with(writer, |_| ());
    }

    /// As [`flush`](Self::flush), with a look at the state right after the last record that is written, under the same
    /// holding of the store's lock.
    pub fn flush_with<T>(&self, writer: &mut Writer, look: impl FnOnce(&mut Core) -> T) -> T {
        let (seen, taken) = {
            let mut core = self.core.lock();
            let seen = look(&mut core);
            let is_due = !writer.has_failed && !core.pending.buffer.is_empty();
            if is_due && std::mem::take(&mut core.pending.is_full) {
                core.engine.refuse_writes(None);
            }
            let end = core.pending.end;
            (seen, is_due.then(|| (std::mem::replace(&mut core.pending.buffer, writer.take_spare()), end)))
        };
        if let Some((buffer, end)) = taken {
            self.write_group(writer, buffer, end);
        }
        seen
    }

    fn write_group(&self, writer: &mut Writer, mut buffer: Vec<u8>, end: u64) {
        let synced = self.log.get().map_or(0, |log| log.synced.load(Ordering::Relaxed));
        let written = writer.write(&mut buffer, synced);
        writer.keep_spare(buffer);
        match written {
            Ok(()) => {
                writer.end = Position(end);
                if let Some(log) = self.log.get() {
                    log.gauges.show(writer);
                    log.gauges.count_group();
                }
                if !self.waits_for_sync() {
                    writer.awake.extend(self.progress.reach(Position(end)));
                }
            }
            Err(error) => {
                let reason = format!("write to {} failed: {error}", writer.name());
                self.fail(writer, &reason);
            }
        }
    }

    /// Syncs what was written, whatever the durability: now and then under `everysec`, and at the end.
    pub fn sync_rest(&self, log: &Log) {
        let turn = log.turn.lock();
        let unsynced = self.with_writer(log, |writer| {
            let is_due = !writer.has_failed && std::mem::take(&mut writer.is_unsynced);
            is_due.then(|| (writer.file.clone(), writer.sequence - 1))
        });
        // Whoever just found the writer taken is not to wait for the sync.
        if !self.waits_for_sync() && self.progress.is_awaited() {
            self.try_write(log);
        }
        if let Some((file, sequence)) = unsynced {
            match file.sync() {
                Ok(()) => log.synced.store(sequence, Ordering::Relaxed),
                Err(error) => self.fail_sync(log, &file, &error),
            }
        }
        drop(turn);
    }

    /// A failed sync is final for its file. One that was replaced meanwhile, its content whole elsewhere, matters no
    /// more.
    fn fail_sync(&self, log: &Log, file: &Arc<dyn DiskFile>, error: &std::io::Error) {
        self.with_writer(log, |writer| {
            if Arc::ptr_eq(file, &writer.file) {
                let reason = format!("sync of {} failed: {error}", writer.name());
                self.fail(writer, &reason);
            }
        });
    }

    /// Gives the log up: what ran and is not safe has an unknown outcome, writing commands are refused before they
    /// run, reads go on.
    pub fn fail(&self, writer: &mut Writer, reason: &str) {
        writer.has_failed = true;
        let mut core = self.core.lock();
        core.has_failed = true;
        let text = format!("MISCONF Errors writing to the AOF file: {reason}");
        core.engine.refuse_writes(Some(windlass_engine::Error::new(text)));
        core.engine.effects().set_recording(false);
        core.pending.buffer = Vec::new();
        // Before the lock goes: a later read must not find the log whole but its position out of reach.
        writer.awake.extend(self.progress.fail(reason));
        if let Some(log) = self.log.get() {
            // To try a fresh one in time.
            log.thread.want();
        }
        drop(core);
        tracing::error!(%reason, "the log failed: writes are refused until a fresh one could be written, reads go on");
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
