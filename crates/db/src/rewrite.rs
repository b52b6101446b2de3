//! When the log is rewritten, on which thread, and what of it others may see. `compact` has the steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::log::{Log, Writer};
use crate::save::Saves;
use crate::spill::Preimages;
use crate::store::Store;

/// The rewrites of a log, of which there is one at a time.
#[derive(Default)]
pub struct Rewrites {
    /// Held by who rewrites, on whatever thread. It is locked before all other locks.
    pub running: Mutex<()>,
    /// Who rewrites, or waits to.
    busy: AtomicUsize,
    /// True from when a thread was started for it until that has done its work.
    is_started: AtomicBool,
    /// Set by who asks for one; the log's thread sees to it.
    is_wanted: AtomicBool,
    has_failed: AtomicBool,
    /// When a failed log is next tried to be replaced; none while it is sound.
    retry_at: Mutex<Option<Instant>>,
    pub saves: Saves,
    /// What the content that is being written costs in memory.
    pub preimages: Preimages,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    is_stopped: Mutex<bool>,
    stopped: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What of a rewrite can be seen while it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub is_running: bool,
    /// True when one was asked for that has not begun.
    pub is_scheduled: bool,
    pub has_failed: bool,
    pub bytes_done: u64,
    pub bytes_total: u64,
}

impl Rewrites {
    pub fn seen(&self) -> Seen {
        Seen {
            is_running: self.is_busy(),
            is_scheduled: self.is_wanted.load(Ordering::Acquire),
            has_failed: self.has_failed.load(Ordering::Relaxed),
            bytes_done: self.bytes_done.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
        }
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
            || self.is_started.load(Ordering::Relaxed) && !self.saves.is_alone()
    }

    /// Shows how far the base is: bytes written, and about as many as the data has in memory.
    pub fn show(&self, bytes_done: u64, bytes_total: u64) {
        self.bytes_done.store(bytes_done, Ordering::Relaxed);
        self.bytes_total.store(bytes_total, Ordering::Relaxed);
    }

    /// Makes every rewrite give up soon, for good.
    pub fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.stopped.notify_all();
    }

    /// Waits until nobody rewrites any more, after [`stop`](Self::stop) and after the log's thread has ended.
    pub fn join(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            thread.join().expect("a thread of the database does not panic");
        }
        drop(self.running.lock());
    }

    pub fn is_stopped(&self) -> bool {
        *self.is_stopped.lock()
    }

    /// Has who rewrites rest no longer.
    pub fn hurry(&self) {
        drop(self.is_stopped.lock());
        self.stopped.notify_all();
    }

    /// Waits so long, or until the database stops, or the content is to be let go of.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut is_stopped = self.is_stopped.lock();
        while !*is_stopped
            && !self.preimages.is_pressing()
            && !self.stopped.wait_until(&mut is_stopped, until).timed_out()
        {}
    }
}

impl Store {
    /// True when the log has grown enough.
    pub fn needs_rewrite(&self, writer: &Writer) -> bool {
        let bytes = writer.incremental_bytes;
        !writer.has_failed
            && bytes > writer.compact_bytes_next
            && self.limits.get().rewrite.is_reached(bytes, writer.base_bytes)
    }

    /// Rewrites the log on this thread, after whoever is at it.
    ///
    /// # Errors
    /// [`Error::Io`] when the new files could not be written, [`Error::OutcomeUnknown`] when the log failed meanwhile,
    /// [`Error::Stopped`] when the database was stopped.
    pub fn rewrite(&self, log: &Log) -> Result<()> {
        log.rewrites.busy.fetch_add(1, Ordering::Relaxed);
        let running = log.rewrites.running.lock();
        let done = if log.rewrites.is_stopped() { Err(Error::Stopped) } else { self.compact(log) };
        log.rewrites.has_failed.store(done.is_err(), Ordering::Relaxed);
        log.rewrites.busy.fetch_sub(1, Ordering::Relaxed);
        drop(running);
        done
    }

    /// As [`rewrite`](Self::rewrite), when nobody waits for it: a failure puts the next try off.
    pub fn rewrite_or_put_off(&self, log: &Log) {
        match self.rewrite(log) {
            Ok(()) | Err(Error::Stopped) => {}
            Err(error) => {
                self.with_writer(log, |writer| {
                    writer.compact_bytes_next = writer.incremental_bytes.saturating_mul(2);
                });
                tracing::warn!(%error, "the log could not be rewritten");
            }
        }
    }

    /// Asks for a rewrite soon.
    pub fn want_rewrite(&self) {
        if let Some(log) = self.log.get() {
            log.rewrites.is_wanted.store(true, Ordering::Release);
            log.thread.want();
        }
    }

    /// Starts what is asked for on a thread of its own, a snapshot or a rewrite, or a rewrite when it `is_due` and the
    /// log has grown enough. For the log's thread alone.
    pub fn start_rewrite(self: &Arc<Self>, log: &Log, is_due: bool) {
        let rewrites = &log.rewrites;
        let is_asked_for = || rewrites.is_wanted.load(Ordering::Acquire);
        let has_grown = || is_due && self.with_writer(log, |writer| self.needs_rewrite(writer));
        let is_started = rewrites.is_started.load(Ordering::Relaxed);
        if is_started || rewrites.is_busy() || rewrites.is_stopped() {
            return;
        }
        let is_to_save = rewrites.saves.begin();
        let is_to_rewrite = !is_to_save && (is_asked_for() || has_grown());
        if !is_to_save && !is_to_rewrite {
            return;
        }
        if is_to_rewrite {
            rewrites.is_wanted.store(false, Ordering::Release);
        }
        self.spawn_rewrite(log, move |store, log| {
            if is_to_save {
                store.save_or_warn(log);
            } else {
                store.rewrite_or_put_off(log);
            }
        });
    }

    /// Starts to replace a log that failed, on a thread of its own, if it is time for another try; answers when to look
    /// again. For the log's thread alone.
    pub fn start_retry(self: &Arc<Self>, log: &Log) -> Option<Duration> {
        let pause = Duration::from_millis(self.config.log_retry_ms);
        let rewrites = &log.rewrites;
        if pause.is_zero() || self.progress.failure().is_none() {
            *rewrites.retry_at.lock() = None;
            return None;
        }
        let now = Instant::now();
        let at = *rewrites.retry_at.lock().get_or_insert(now + pause);
        if now < at || rewrites.is_busy() || rewrites.is_stopped() {
            return Some(at.saturating_duration_since(now).max(pause / 8));
        }
        self.spawn_rewrite(log, move |store, log| {
            let started = Instant::now();
            match store.rewrite(log) {
                Ok(()) => {
                    tracing::warn!("the log that failed was replaced by a fresh one: writes are let in again")
                }
                Err(error) => tracing::debug!(%error, "the log that failed could not be replaced yet"),
            }
            // A disk that is full for long is not to be kept busy with what does not fit.
            *log.rewrites.retry_at.lock() = Some(Instant::now() + pause.max(started.elapsed()));
        });
        Some(pause)
    }

    fn spawn_rewrite(self: &Arc<Self>, log: &Log, act: impl FnOnce(&Self, &Log) + Send + 'static) {
        let rewrites = &log.rewrites;
        rewrites.is_started.store(true, Ordering::Relaxed);
        let store = self.clone();
        let started = std::thread::Builder::new().name("windlass-rewrite".into()).spawn(move || {
            let log = store.log.get().expect("only a store with a log rewrites it");
            act(&store, log);
            log.rewrites.is_started.store(false, Ordering::Relaxed);
            // What was asked for meanwhile is still to do.
            log.thread.want();
        });
        match started {
            Ok(thread) => {
                if let Some(before) = rewrites.thread.lock().replace(thread) {
                    // It has done its work and is about to end.
                    before.join().expect("a thread of the database does not panic");
                }
            }
            Err(error) => {
                rewrites.is_started.store(false, Ordering::Relaxed);
                rewrites.saves.end(None);
                self.answer_savers(false);
                tracing::warn!(%error, "no thread could be started to rewrite the log");
            }
        }
    }

    /// Called after each group of a base: keeps to the rate, shows how far it is, and says whether to go on.
    pub fn pace(&self, log: &Log, started: Instant, bytes: u64, bytes_total: u64) -> bool {
        log.rewrites.show(bytes, bytes_total);
        self.keep_rate(log, started, bytes)
    }

    /// Called while a file of the content is written: keeps to the rate, and says whether to go on.
    pub fn keep_rate(&self, log: &Log, started: Instant, bytes: u64) -> bool {
        let rate = self.config.rewrite_bytes_per_s;
        if rate > 0 {
            let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
            log.rewrites.rest(due.saturating_sub(started.elapsed()));
        }
        !log.rewrites.is_stopped()
    }
}
