//! The handle of a database: opens it, gives sessions, stops it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use windlass_engine::{ClientLimits, Engine, Setting};

use crate::clock::{Clock, SystemClock, Tick};
use crate::config::Config;
use crate::directory::Directory;
use crate::disk::{Disk, SystemDisk};
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::loading::Loaded;
use crate::log::{self, Log};
use crate::progress::{Durable, Position};
use crate::recovery::{Recovery, recover};
use crate::registry::{self, Entered};
use crate::session::{Origin, Session};
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
    recovery: OnceLock<Recovery>,
    /// Held by who replays the log: until then the directory is not given back.
    opening: Mutex<()>,
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
        let store = Store::new(config, Arc::new(clock), Arc::new(SystemDisk), engine);
        Self::start(store, None)
    }

    /// Opens the database in a directory, which is made if there is none, and says what was found there. A directory
    /// that this process has open already is the same database; `config` then has no effect.
    ///
    /// # Errors
    /// [`Error::Owned`] when another process has it open, [`Error::Foreign`] when it holds something else,
    /// [`Error::Damaged`], [`Error::Missing`] and [`Error::Unsupported`] when its log cannot be replayed as a whole,
    /// [`Error::NotWritable`] when the system lets nothing be written there.
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
        let (database, opening) = Self::begin_at(path, config, Arc::new(clock), Arc::new(disk))?;
        let recovery = opening.finish(|_| {})?;
        Ok((database, recovery))
    }

    /// Takes a directory and answers a database at once whose log is not replayed yet: commands that concern data are
    /// answered with LOADING until [`Opening::finish`] has done that. For a server, whose clients wait meanwhile.
    ///
    /// # Errors
    /// As [`Database::open`], but for what is wrong with the log.
    pub fn begin(directory: impl AsRef<Path>, config: Config) -> Result<(Self, Opening)> {
        config.validate()?;
        let path = std::path::absolute(directory.as_ref())
            .map_err(Error::io("find the absolute path of", directory.as_ref()))?;
        Self::begin_at(path, config, Arc::new(SystemClock), Arc::new(SystemDisk))
    }

    fn begin_at(
        path: PathBuf,
        config: Config,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Opening)> {
        Self::take(&path, config, clock, disk)
            .map(|(database, is_new)| (database.clone(), Opening { database, path: path.clone(), is_new }))
            .map_err(|error| error.at_opening(&path))
    }

    /// Takes the directory, if this process has it not open already; true when it is to be replayed.
    fn take(path: &Path, config: Config, clock: Arc<dyn Clock>, disk: Arc<dyn Disk>) -> Result<(Self, bool)> {
        let entry = match registry::enter(Directory::prepare(path, &*disk)?) {
            Entered::Open(owner) => return Ok((Self { owner }, false)),
            Entered::Reserved(entry) => entry,
        };
        let directory = Directory::own(path)?;
        let engine = Engine::new(config.engine.clone());
        let store = Store::new(config, clock, disk, engine);
        assert!(store.place.directory.set(path.to_owned()).is_ok(), "a store has one directory");
        store.loading.begin(store.clock.now().seconds());
        store.set_loading(true);
        Ok((Self::start(store, Some((directory, entry)))?, true))
    }

    /// Changes a setting as CONFIG SET does.
    ///
    /// # Errors
    /// Those of the command, in words.
    pub fn configure(&self, name: &str, value: &str) -> std::result::Result<(), String> {
        let store = &self.owner.store;
        let mut core = store.core.lock();
        core.engine.configure(name, value).map_err(|error| error.text().to_owned())?;
        store.learn_config(&core);
        Ok(())
    }

    /// Has CONFIG REWRITE keep the settings by `keep`, which gets all that CONFIG SET can change. Its error, in words, is
    /// the command's. The first call counts.
    pub fn on_config_rewrite(
        &self,
        keep: impl Fn(&[Setting]) -> std::result::Result<(), String> + Send + Sync + 'static,
    ) {
        if self.owner.store.keep_settings.set(Box::new(keep)).is_ok() {
            self.owner.store.core.lock().engine.allow_keeping_settings();
        }
    }

    /// Has INFO and CONFIG GET tell on which port clients are served.
    pub fn tell_port(&self, port: u16) {
        self.store().place.port.store(port, Ordering::Relaxed);
    }

    /// Opens a session; `address` is what CLIENT LIST shows of the client.
    pub fn session(&self, address: &str) -> Session {
        self.session_from(Origin { address: address.to_owned(), socket: None })
    }

    /// Opens a session for a client of whom more is known than an address.
    pub fn session_from(&self, origin: Origin) -> Session {
        Session::new(self.clone(), origin)
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

    /// True when a task that waits for the log may write it, because no sync is waited for.
    pub(crate) fn writes_on_tasks(&self) -> bool {
        !self.owner.store.waits_for_sync()
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
        let Some(log) = store.log.get() else { return Ok(()) };
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

    /// Counts a client for which whoever serves clients had no place, for INFO.
    pub fn note_rejected(&self) {
        self.store().rejected.fetch_add(1, Ordering::Relaxed);
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

    /// Becomes ready when a client asks for the end of the process with SHUTDOWN. Who calls it promises to bring that
    /// about: while nobody waits for it, SHUTDOWN is refused.
    pub fn shutdown_requested(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut requests = self.owner.store.shutdown.subscribe();
        async move {
            // Once the database is gone nobody can ask any more.
            if requests.wait_for(|is_requested| *is_requested).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
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

    fn start(store: Store, holdings: Option<(Directory, registry::Entry)>) -> Result<Self> {
        let store = Arc::new(store);
        let owner = Arc::new(Owner {
            store: store.clone(),
            threads: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            recovery: OnceLock::new(),
            opening: Mutex::new(()),
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
        Ok(Self { owner })
    }
}

/// The rest of an opening, which [`Database::begin`] has begun. Dropped, it leaves a database that is always loading.
#[must_use = "the log is not replayed before it is finished"]
pub struct Opening {
    database: Database,
    path: PathBuf,
    /// False when this process has the directory open already.
    is_new: bool,
}

impl Opening {
    /// Replays the log on this thread and lets commands in; `watch` is told now and then how far it is.
    ///
    /// # Errors
    /// As [`Database::open`], and [`Error::Stopped`] when the database was stopped meanwhile. It stays useless then.
    pub fn finish(mut self, watch: impl FnMut(Loaded)) -> Result<Recovery> {
        let done = self.replay(watch);
        if done.is_err() {
            // The directory is free at once, whoever still has a handle.
            let _ = self.database.owner.stop();
        }
        done
    }

    /// As [`finish`](Self::finish), but after an error the directory is kept until the database is stopped or dropped: for
    /// who has made something in it, such as the socket, that goes first.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn replay(&mut self, watch: impl FnMut(Loaded)) -> Result<Recovery> {
        let owner = &self.database.owner;
        let watch = RefCell::new(watch);
        let watch = |loaded| (watch.borrow_mut())(loaded);
        if std::mem::take(&mut self.is_new) {
            owner.replay(&watch).map_err(|error| error.at_opening(&self.path))?;
        }
        Ok(owner.recovery.get().cloned().unwrap_or_default())
    }
}

impl Owner {
    /// Replays the log into an engine of its own, whose data the store then takes.
    fn replay(self: &Arc<Self>, watch: &dyn Fn(Loaded)) -> Result<()> {
        let opening = self.opening.lock();
        let store = &self.store;
        let folder = match &*self.holdings.lock() {
            Some((directory, _)) => directory.log_folder(),
            None => return Err(Error::Stopped),
        };
        let mut engine = Engine::new(store.config.engine.clone());
        engine.effects().set_recording(false);
        let look = |loaded: Loaded| {
            store.loading.show(loaded);
            watch(loaded);
            !self.is_stopping()
        };
        let (writer, recovery) = recover(&mut engine, &folder, &*store.disk, &look)?;
        if let Some((directory, _)) = &mut *self.holdings.lock() {
            directory.sign()?;
        }
        let is_scattered = writer.manifest.live().count() > store.config.compact_files_max;
        store.adopt(engine, Log::new(writer));
        let log = store.log.get().expect("it was just given one");
        if is_scattered {
            store.rewrite_or_put_off(log);
        }
        let thread = log::start(store.clone()).map_err(Error::io("start a thread for", "the log"))?;
        self.threads.lock().push(thread);
        if store.with_writer(log, |writer| store.needs_rewrite(writer)) {
            // Beside the first calls: a log that has grown is a long one to write down.
            store.want_rewrite();
        }
        // It is set once: there is one opening.
        let _ = self.recovery.set(recovery);
        store.set_loading(false);
        drop(opening);
        if let Some((_, entry)) = &*self.holdings.lock() {
            entry.fill(self);
        }
        Ok(())
    }

    /// True once the stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn stop(&self) -> Result<()> {
        self.is_stopping.store(true, Ordering::Release);
        self.store.stop();
        self.store.timer.stop();
        // Who replays the log gives up soon; until then it may change files.
        drop(self.opening.lock());
        if let Some(log) = self.store.log.get() {
            log.rewrites.stop();
            log.thread.stop();
        }
        for thread in self.threads.lock().drain(..) {
            // A task that is dropped on one of our threads may hold the last handle.
            if thread.thread().id() != std::thread::current().id() {
                thread.join().expect("a thread of the database does not panic");
            }
        }
        if let Some(log) = self.store.log.get() {
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
