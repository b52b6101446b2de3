//! Group commit: takes what is pending, makes it safe, and says so.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;

use parking_lot::MutexGuard;

use super::Writer;
use crate::config::Durability;
use crate::error::Result;
use crate::progress::Position;
use crate::store::Store;

impl Store {
    /// Says what is known of `position`, or sees to it that `waker` is woken when it is known.
    pub fn poll_durable(
        &self,
        position: Position,
        key: &mut Option<u64>,
        waker: &Waker,
    ) -> Option<Result<()>> {
        let outcome = self.progress.outcome(position);
        let Some(log) = self.log.as_ref().filter(|_| outcome.is_none()) else { return outcome };
        // A write to the page cache is brief enough for an async task, a sync is not.
        if self.config.durability != Durability::Always && self.try_flush() {
            let outcome = self.progress.outcome(position);
            if outcome.is_some() {
                return outcome;
            }
        }
        let outcome = self.progress.register(position, key, waker);
        if outcome.is_none() {
            log.thread.want();
        }
        outcome
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
            if self.try_flush() {
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

    /// Writes what is pending unless somebody is at it.
    fn try_flush(&self) -> bool {
        let Some(writer) = self.log.as_ref().and_then(|log| log.writer.try_lock()) else { return false };
        self.use_writer(writer, |writer| self.flush(writer));
        true
    }

    /// Acts with the writer and gives it back. Whoever finds the writer taken relies on its holder to see to it
    /// afterwards that what came meanwhile is written, so nobody may hold it in another way.
    pub fn use_writer<T>(&self, mut writer: MutexGuard<'_, Writer>, act: impl FnOnce(&mut Writer) -> T) -> T {
        let acted = act(&mut writer);
        let awake = std::mem::take(&mut writer.awake);
        drop(writer);
        awake.into_iter().for_each(Waker::wake);
        if self.progress.is_awaited()
            && let Some(log) = &self.log
        {
            log.thread.want();
        }
        acted
    }

    /// Writes what is pending as one group, syncs it under `always`, and wakes who waits for that.
    pub fn flush(&self, writer: &mut Writer) {
        if writer.has_failed {
            return;
        }
        let (mut buffer, end) = {
            let mut core = self.core.lock();
            if core.pending.buffer.is_empty() {
                return;
            }
            if core.pending.is_full {
                core.pending.is_full = false;
                core.engine.refuse_writes(None);
            }
            (std::mem::replace(&mut core.pending.buffer, writer.take_spare()), core.pending.end)
        };
        let mut done = writer.write(&mut buffer).map_err(|error| ("write to", error));
        if self.config.durability == Durability::Always {
            done = done.and_then(|()| writer.sync().map_err(|error| ("sync of", error)));
        }
        writer.keep_spare(buffer);
        match done {
            Ok(()) => {
                if let Some(log) = &self.log {
                    log.gauges.show(writer);
                    log.gauges.count_group();
                }
                writer.awake.extend(self.progress.reach(Position(end)));
            }
            Err((action, error)) => {
                let reason = format!("{action} {} failed: {error}", writer.name());
                self.fail(writer, &reason);
            }
        }
    }

    /// Syncs what was written, whatever the durability: at the end.
    pub fn sync_rest(&self, writer: &mut Writer) {
        if writer.is_unsynced
            && !writer.has_failed
            && let Err(error) = writer.sync()
        {
            let reason = format!("sync of {} failed: {error}", writer.name());
            self.fail(writer, &reason);
        }
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
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
