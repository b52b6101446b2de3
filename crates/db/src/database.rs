//! The handle of a database: opens it, gives sessions, stops it.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::clock::{Clock, SystemClock, Tick};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::progress::{Durable, Position};
use crate::session::Session;
use crate::store::{Facts, Store};
use crate::timer;

/// A database in this process. A clone is the same database; the last handle or session that goes stops it.
#[derive(Clone)]
pub struct Database {
    owner: Arc<Owner>,
}

/// Stops the threads when the last handle goes.
struct Owner {
    store: Arc<Store>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Database {
    /// A database that lives in memory only, by the system's clock.
    ///
    /// # Errors
    /// When the configuration is not valid or no thread can be started.
    pub fn memory(config: Config) -> Result<Self> {
        Self::memory_with(config, SystemClock)
    }

    /// A database that lives in memory only, by a clock of yours: a [`ManualClock`](crate::ManualClock), say.
    ///
    /// # Errors
    /// As [`Database::memory`].
    pub fn memory_with(config: Config, clock: impl Clock) -> Result<Self> {
        config.validate()?;
        Self::start(Arc::new(Store::new(config, Arc::new(clock))))
    }

    /// Opens a session; `address` is what CLIENT LIST shows of the client.
    pub fn session(&self, address: &str) -> Session {
        Session::new(self.clone(), address)
    }

    /// Becomes ready when the log is safe up to `position`; at once if nothing is pending.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log failed before that.
    pub fn durable(&self, position: Position) -> Durable {
        Durable::new(self.owner.store.clone(), position)
    }

    /// True when the log is safe up to `position`; a single atomic load.
    pub fn is_durable(&self, position: Position) -> bool {
        position <= self.owner.store.progress.reached()
    }

    /// Blocks the thread until the log is safe up to `position`. It may write and sync on this thread, which costs
    /// no wake-up of another; not for async code.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log failed before that.
    pub fn wait_durable(&self, position: Position) -> Result<()> {
        self.owner.store.wait_durable(position)
    }

    /// What the database can tell of itself.
    pub fn facts(&self) -> Facts {
        self.owner.store.facts()
    }

    /// Stops the database: later calls are refused, sessions are told to close, the log is written and synced, and
    /// the threads have ended when it returns. Stopping twice is harmless.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the rest of the log could not be made safe.
    pub fn stop(&self) -> Result<()> {
        self.owner.stop()
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.owner.store
    }

    fn start(store: Arc<Store>) -> Result<Self> {
        let ticked: Arc<dyn Tick> = store.clone();
        let ticked: Weak<dyn Tick> = Arc::downgrade(&ticked);
        let mut threads = Vec::new();
        if !store.clock.attach(ticked) {
            threads.push(timer::start(store.clone()).map_err(Error::io("start a thread for", "the clock"))?);
        }
        Ok(Self { owner: Arc::new(Owner { store, threads: Mutex::new(threads) }) })
    }
}

impl Owner {
    fn stop(&self) -> Result<()> {
        self.store.stop();
        self.store.timer.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A task that is dropped on one of our threads may hold the last handle.
            if thread.thread().id() != std::thread::current().id() {
                thread.join().expect("a thread of the database does not panic");
            }
        }
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Who wants to know whether the end of the log is safe calls `stop`.
        let _ = self.stop();
    }
}
