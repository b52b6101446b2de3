//! The thread that ticks a database when something falls due by the system's clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use windlass_engine::Time;

use crate::clock::Tick;
use crate::store::Store;

/// The longest sleep: a wall clock that is set forward is noticed after so long, and a look at the clock every so often
/// is what shows a gap.
const SLEEP_MAX: Duration = Duration::from_secs(1);
const NEVER: u64 = u64::MAX;

/// When the timer thread next wakes by itself.
pub(crate) struct Timer {
    /// Microseconds since the epoch; changed only under the store's lock.
    planned: AtomicU64,
    is_stopped: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Default for Timer {
    fn default() -> Self {
        Self { planned: AtomicU64::new(NEVER), is_stopped: AtomicBool::new(false), thread: OnceLock::new() }
    }
}

impl Timer {
    /// Plans a wake-up at `due` if that is sooner than planned; true when the thread is to be told.
    pub fn plan(&self, due: Option<Time>) -> bool {
        let due = due.map_or(NEVER, Time::micros);
        let is_sooner = due < self.planned.load(Ordering::Relaxed);
        if is_sooner {
            self.planned.store(due, Ordering::Relaxed);
        }
        is_sooner
    }

    /// Plans anew after a tick.
    pub fn replan(&self, due: Option<Time>) {
        self.planned.store(due.map_or(NEVER, Time::micros), Ordering::Relaxed);
    }

    /// Tells the thread to look at the plan.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Ends the thread after its present tick.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.wake();
    }
}

/// Starts the timer thread of a store.
pub(crate) fn start(store: Arc<Store>) -> std::io::Result<JoinHandle<()>> {
    let started = store.clone();
    let handle = std::thread::Builder::new().name("windlass-timer".into()).spawn(move || run(&store))?;
    // A wake-up from before this line is made up for by the first sleep's end.
    let _ = started.timer.thread.set(handle.thread().clone());
    started.timer.wake();
    Ok(handle)
}

fn run(store: &Store) {
    while !store.timer.is_stopped.load(Ordering::Acquire) {
        store.tick();
        let planned = store.timer.planned.load(Ordering::Relaxed);
        let wait = Duration::from_micros(planned.saturating_sub(store.clock.now().micros()));
        std::thread::park_timeout(wait.min(SLEEP_MAX));
    }
}
