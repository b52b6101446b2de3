//! The thread that writes and syncs the log for who cannot do it themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::Durability;
use crate::store::Store;

/// How often a thread with something to look after wakes by itself: to write what nobody waits for, and to sync
/// under `everysec`.
const TICK: Duration = Duration::from_secs(1);

/// How others tell the thread what to do.
#[derive(Default)]
pub struct Thread {
    /// Set when somebody waits for the log.
    is_wanted: AtomicBool,
    /// True while the thread sleeps without a tick; the next record ends that.
    is_idle: AtomicBool,
    is_stopped: AtomicBool,
    handle: OnceLock<std::thread::Thread>,
}

impl Thread {
    /// Makes the thread write what is pending.
    pub fn want(&self) {
        if !self.is_wanted.swap(true, Ordering::AcqRel) {
            self.unpark();
        }
    }

    /// Tells a thread without a tick that there are records, under the store's lock.
    pub fn note_records(&self) {
        if self.is_idle.load(Ordering::Acquire) && self.is_idle.swap(false, Ordering::AcqRel) {
            self.unpark();
        }
    }

    /// Makes the thread write and sync what is left, and end.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(handle) = self.handle.get() {
            handle.unpark();
        }
    }
}

/// Starts the log's thread.
pub fn start(store: Arc<Store>) -> std::io::Result<JoinHandle<()>> {
    let started = store.clone();
    let handle = std::thread::Builder::new().name("windlass-log".into()).spawn(move || run(&store))?;
    let thread = &started.log.get().expect("only a store with a log has a log thread").thread;
    let _ = thread.handle.set(handle.thread().clone());
    // Who wanted something before the handle was there could not wake the thread.
    thread.unpark();
    Ok(handle)
}

fn run(store: &Arc<Store>) {
    let log = store.log.get().expect("only a store with a log has a log thread");
    let mut next_tick = Instant::now() + TICK;
    while !log.thread.is_stopped.load(Ordering::Acquire) {
        if log.thread.is_wanted.swap(false, Ordering::AcqRel) {
            store.commit(log);
        }
        let now = Instant::now();
        if now >= next_tick {
            next_tick = now + TICK;
            tick(store);
            rest(store);
        }
        // After a look at what is wanted, and never while the thread holds anything.
        store.start_rewrite(log, false);
        let retry = store.start_retry(log);
        if log.thread.is_wanted.load(Ordering::Acquire) {
            continue;
        }
        let is_idle = log.thread.is_idle.load(Ordering::Acquire);
        let tick = (!is_idle).then(|| next_tick.saturating_duration_since(now));
        match tick.into_iter().chain(retry).min() {
            Some(wait) => std::thread::park_timeout(wait),
            None => std::thread::park(),
        }
        if is_idle {
            next_tick = Instant::now() + TICK;
        }
    }
    store.commit(log);
    store.sync_rest(log);
}

/// Writes what nobody waited for, syncs under `everysec`, has a grown log rewritten.
fn tick(store: &Arc<Store>) {
    let log = store.log.get().expect("only a store with a log has a log thread");
    store.commit(log);
    if store.config.durability == Durability::Everysec {
        store.sync_rest(log);
    }
    store.start_rewrite(log, true);
}

/// Gives the tick up when there is nothing to look after.
fn rest(store: &Store) {
    let log = store.log.get().expect("only a store with a log has a log thread");
    log.thread.is_idle.store(true, Ordering::Release);
    // A record from before the flag was seen is found here, one from after it clears the flag.
    let writer = log.writer.lock();
    let is_to_sync =
        store.config.durability == Durability::Everysec && writer.is_unsynced && !writer.has_failed;
    if is_to_sync || !store.core.lock().pending.buffer.is_empty() {
        log.thread.is_idle.store(false, Ordering::Release);
    }
}
