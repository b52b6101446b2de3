//! The handle of a database: opens it, gives sessions, stops it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use windlass_engine::{ClientLimits, Engine};

use crate::clock::{Clock, SystemClock, Tick};
use crate::config::Config;
use crate::directory::Directory;
use crate::disk::{Disk, SystemDisk};
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::log::{self, Log};
use crate::progress::{Durable, Position};
use crate::recovery::{Recovery, recover};
use crate::registry::{self, Entered};
use crate::session::Session;
use crate::store::Store;
use crate::timer;

/// A database in this process. A clone is the same database; the last handle or session that goes stops it.
#[derive(Clone)]
pub struct Database {
    owner: Arc<Owner>,
}

/// Stops the threads when the last handle goes.
pub(crate) struct Owner {
    store: Arc<Store>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    is_stopping: AtomicBool,
    recovery: Recovery,
    socket: Option<PathBuf>,
    /// In the order in which they are to be given back.
    holdings: Mutex<Option<(Directory, registry::Entry)>>,
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
        let engine = Engine::new(config.engine.clone());
        let store = Store::new(config, Arc::new(clock), Arc::new(SystemDisk), engine, None);
        Self::start(store, Recovery::default(), None)
    }

    /// Opens the database in a directory, which is made if there is none, and says what was found there. A directory
    /// that this process has open already is the same database; `config` then has no effect.
    ///
    /// # Errors
    /// [`Error::Owned`] when another process has it open, [`Error::Foreign`] when it holds something else,
    /// [`Error::Damaged`] and [`Error::Unsupported`] when its log cannot be replayed as a whole.
    pub fn open(directory: impl AsRef<Path>, config: Config) -> Result<(Self, Recovery)> {
        Self::open_with(directory, config, SystemClock, SystemDisk)
    }

    /// As [`Database::open`], by a clock and on a disk of yours.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_with(
        directory: impl AsRef<Path>,
        config: Config,
        clock: impl Clock,
        disk: impl Disk,
    ) -> Result<(Self, Recovery)> {
        config.validate()?;
        let path = std::path::absolute(directory.as_ref())
            .map_err(Error::io("find the absolute path of", directory.as_ref()))?;
        let entry = match registry::enter(Directory::prepare(&path)?) {
            Entered::Open(owner) => {
                let recovery = owner.recovery.clone();
                return Ok((Self { owner }, recovery));
            }
            Entered::Reserved(entry) => entry,
        };
        let directory = Directory::own(&path)?;
        let mut engine = Engine::new(config.engine.clone());
        let (writer, recovery) = recover(&mut engine, &directory.log_folder(), &disk)?;
        let is_scattered = writer.manifest.live().count() > config.compact_files_max;
        let log = Log::new(writer);
        let store = Store::new(config, Arc::new(clock), Arc::new(disk), engine, Some(log));
        if let Some(log) = &store.log {
            let is_due = store.with_writer(log, |writer| is_scattered || store.needs_rewrite(writer));
            if is_due {
                store.rewrite_or_put_off(log);
            }
        }
        let database = Self::start(store, recovery.clone(), Some((directory, entry)))?;
        Ok((database, recovery))
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

    /// Replaces the log by the present content. It happens by itself when the log has grown; called by hand, it is
    /// the way back after the log failed. Other calls go on meanwhile; after a failure, those that write are refused
    /// until it is done. Nothing is done in memory.
    ///
    /// # Errors
    /// [`Error::Io`] when the new files could not be written, [`Error::OutcomeUnknown`] when the log failed meanwhile,
    /// [`Error::Stopped`] after [`stop`](Self::stop).
    pub fn compact(&self) -> Result<()> {
        let store = &self.owner.store;
        let Some(log) = &store.log else { return Ok(()) };
        store.rewrite(log)
    }

    /// Where the owner of the directory is to serve other processes; none in memory.
    pub fn socket_path(&self) -> Option<&Path> {
        self.owner.socket.as_deref()
    }

    /// How whoever serves clients is to treat them; CONFIG SET may change it.
    pub fn client_limits(&self) -> ClientLimits {
        self.store().limits.get().clients
    }

    /// True when a session has to give a password before anything else; CONFIG SET may change it.
    pub fn needs_password(&self) -> bool {
        self.store().limits.get().needs_password
    }

    /// Has `run` called when a script turns slow, on the thread that runs it and goes on running it afterwards. For who
    /// serves other sessions on that thread and can hand them to another. The first who says so counts.
    pub fn on_slow_script(&self, run: fn()) {
        self.store().busy.on_slow(run);
    }

    /// True while a script runs that is slow: calls are answered that the database is busy.
    pub fn is_busy(&self) -> bool {
        self.store().busy.is_slow()
    }

    /// True once a client has asked that the process end.
    pub fn is_shutdown_asked(&self) -> bool {
        *self.store().shutdown.borrow()
    }

    /// Becomes ready when a client asks that the process end; it is for the owner of the process to do that.
    pub async fn shutdown_asked(&self) {
        let mut shutdown = self.store().shutdown.subscribe();
        // The sender lives as long as this database.
        let _ = shutdown.wait_for(|is_asked| *is_asked).await;
    }

    /// What the database can tell of itself.
    pub fn facts(&self) -> Facts {
        self.owner.store.facts()
    }

    /// Stops the database: later calls are refused, sessions are told to close, the log is written and synced, the
    /// threads have ended and the directory is free when it returns. Stopping twice is harmless.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log has failed.
    pub fn stop(&self) -> Result<()> {
        self.owner.stop()
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.owner.store
    }

    fn start(
        store: Store,
        recovery: Recovery,
        holdings: Option<(Directory, registry::Entry)>,
    ) -> Result<Self> {
        let store = Arc::new(store);
        let owner = Arc::new(Owner {
            store: store.clone(),
            threads: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            recovery,
            socket: holdings.as_ref().map(|(directory, _)| directory.socket().to_owned()),
            holdings: Mutex::new(holdings),
        });
        // From here on the owner's end stops what was started.
        let ticked: Arc<dyn Tick> = store.clone();
        let ticked: Weak<dyn Tick> = Arc::downgrade(&ticked);
        if !store.clock.attach(ticked) {
            let thread = timer::start(store.clone()).map_err(Error::io("start a thread for", "the clock"))?;
            owner.threads.lock().push(thread);
        }
        if store.log.is_some() {
            let thread = log::start(store).map_err(Error::io("start a thread for", "the log"))?;
            owner.threads.lock().push(thread);
        }
        if let Some((_, entry)) = &*owner.holdings.lock() {
            entry.fill(&owner);
        }
        Ok(Self { owner })
    }
}

impl Owner {
    /// True once the stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn stop(&self) -> Result<()> {
        self.is_stopping.store(true, Ordering::Release);
        self.store.stop();
        self.store.timer.stop();
        if let Some(log) = &self.store.log {
            log.rewrites.stop();
            log.thread.stop();
        }
        for thread in self.threads.lock().drain(..) {
            // A task that is dropped on one of our threads may hold the last handle.
            if thread.thread().id() != std::thread::current().id() {
                thread.join().expect("a thread of the database does not panic");
            }
        }
        if let Some(log) = &self.store.log {
            log.rewrites.join();
        }
        drop(self.holdings.lock().take());
        match self.store.progress.failure() {
            Some(reason) => Err(Error::OutcomeUnknown { reason }),
            None => Ok(()),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Who wants to know whether the end of the log is safe calls `stop`.
        let _ = self.stop();
    }
}
