//! The engine behind its one lock: runs calls on the caller's thread, collects their effects for the log, and routes
//! what they deliver.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use windlass_engine::{Delivery, Engine, Message, Outcome, SessionId, Setting, Time};
use windlass_resp::{Protocol, Value};

use crate::busy::Busy;
use crate::clock::{Clock, Tick};
use crate::concern::Concern;
use crate::config::{Config, Durability};
use crate::core::Core;
use crate::disk::Disk;
use crate::limits::SharedLimits;
use crate::loading::Loading;
use crate::log::{Log, Pending};
use crate::mailbox::Mailbox;
use crate::progress::{Position, Progress};
use crate::quick::QuickScripts;
use crate::refused::{Missed, Refusal};
use crate::session::Called;
use crate::timer::Timer;

/// The answer to a writing command while the log is too far behind. OOM is what clients take for "not executed, try
/// later", and memory it is: that of the records which wait for the disk.
const TOO_MUCH_PENDING: &str = "OOM command not allowed while too many bytes wait to be written to the log";

/// Who waits for the lock looks so often whether a slow script has it.
const BUSY_LOOK: Duration = Duration::from_millis(50);
/// Everything of a database but its threads.
pub(crate) struct Store {
    pub core: Mutex<Core>,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub progress: Progress,
    pub timer: Timer,
    pub disk: Arc<dyn Disk>,
    /// None for a database that lives in memory only, and until the log was replayed.
    pub log: OnceLock<Log>,
    /// What is told of the replay while it goes on.
    pub loading: Loading,
    pub busy: Arc<Busy>,
    pub quick: QuickScripts,
    /// Sessions that ended while a slow script had the lock.
    closed: Mutex<Vec<SessionId>>,
    has_closed: AtomicBool,
    pub limits: SharedLimits,
    /// Clients for which there was no place and of whom the engine was not told yet.
    pub rejected: AtomicU64,
    /// Keeps settings for the next start, where somebody can.
    pub keep_settings: OnceLock<KeepSettings>,
    /// Where it is to be found.
    pub place: crate::facts::Place,
    /// True once a client has asked for the end of the process; whoever can end it listens.
    pub shutdown: watch::Sender<bool>,
}

/// Keeps settings for the next start; the error says why it cannot, in words.
pub(crate) type KeepSettings = Box<dyn Fn(&[Setting]) -> Result<(), String> + Send + Sync>;

/// A session's own part of its calls.
pub(crate) struct Caller<'a> {
    pub id: SessionId,
    pub missed: &'a Missed,
}

/// A call that ran.
pub(crate) struct Ran {
    called: Called,
    /// When it ended.
    pub ended: Time,
    /// What is to be done for it without the lock.
    pub rest: Option<Box<Rest>>,
}

/// What is to be done for a call once the lock is free.
pub(crate) struct Rest {
    awake: Vec<Waker>,
    is_sooner: bool,
    settings: Option<Vec<Setting>>,
    wants_shutdown: bool,
    wants_rewrite: bool,
    wants_save: bool,
    /// The bytes that it copied because a frozen copy shares them.
    copied: usize,
    /// Where the log has to be synced for a reply that is let out once its own records are written.
    promised: Option<Position>,
}

impl Ran {
    fn refused(reply: Value, now: Time) -> Self {
        Self { called: Called::Reply(reply, Position::START), ended: now, rest: None }
    }
}

impl Rest {
    fn is_nothing(&self) -> bool {
        self.awake.is_empty()
            && !(self.is_sooner || self.wants_shutdown || self.wants_rewrite || self.wants_save)
            && self.settings.is_none()
            && self.copied == 0
            && self.promised.is_none()
    }
}

impl Store {
    /// A store around an engine that holds what `log` holds.
    pub fn new(config: Config, clock: Arc<dyn Clock>, disk: Arc<dyn Disk>, mut engine: Engine) -> Self {
        engine.effects().set_recording(false);
        let mut core = Core {
            engine,
            mailboxes: HashMap::new(),
            pending: Pending::default(),
            has_failed: false,
            is_renewing: false,
            is_stopped: false,
            seen_at: clock.now(),
        };
        let (progress, timer) = (Progress::default(), Timer::default());
        let busy = Arc::new(Busy::new(clock.clone(), config.engine.script_time_max_ms));
        core.engine.guard_scripts(busy.clone());
        let limits = SharedLimits::new(core.engine.config(), core.engine.needs_password());
        Self {
            core: Mutex::new(core),
            clock,
            config,
            progress,
            timer,
            disk,
            log: OnceLock::new(),
            loading: Loading::default(),
            busy,
            quick: QuickScripts::default(),
            closed: Mutex::default(),
            has_closed: AtomicBool::new(false),
            limits,
            rejected: AtomicU64::new(0),
            keep_settings: OnceLock::new(),
            place: crate::facts::Place::default(),
            shutdown: watch::Sender::new(false),
        }
    }

    /// The lock, unless a slow script has it.
    pub fn lock(&self) -> Option<MutexGuard<'_, Core>> {
        let mut core = self.core.try_lock();
        while core.is_none() && !self.busy.is_slow() {
            core = self.core.try_lock_for(BUSY_LOOK);
        }
        let mut core = core?;
        if self.has_closed.load(Ordering::Acquire) {
            self.has_closed.store(false, Ordering::Relaxed);
            self.closed.lock().drain(..).for_each(|id| core.close_session(id));
        }
        Some(core)
    }

    /// Takes the place of an empty store's data and goes on in the log that it was read from.
    pub fn adopt(&self, loaded: Engine, log: Log) {
        let mut core = self.core.lock();
        core.engine.adopt(loaded);
        core.seen_at = self.clock.now();
        if self.config.forgives_absence {
            core.forgive_absence();
        }
        core.engine.effects().set_recording(true);
        core.engine.effects().forget_selection();
        assert!(self.log.set(log).is_ok(), "a store has one log");
    }

    /// Refuses what concerns data from now on, as Redis does while it reads its own, or lets it in.
    pub fn set_loading(&self, is_loading: bool) {
        self.loading.set_running(is_loading);
        let mut core = self.core.lock();
        core.engine.set_loading(is_loading);
        let is_sooner = self.timer.plan(core.engine.next_due());
        drop(core);
        if is_sooner {
            self.timer.wake();
        }
    }

    /// Opens the session of a mailbox.
    pub fn open_session(&self, core: &mut Core, address: &str, mailbox: &Arc<Mailbox>) -> SessionId {
        let now = core.look(&*self.clock);
        let id = core.engine.open_session(address, now);
        core.mailboxes.insert(id, mailbox.clone());
        if core.is_stopped {
            mailbox.put(Message::Close, Position::START, usize::MAX);
        }
        id
    }

    pub fn close_session(&self, id: SessionId) {
        match self.lock() {
            Some(mut core) => core.close_session(id),
            None => {
                self.closed.lock().push(id);
                self.has_closed.store(true, Ordering::Release);
            }
        }
    }

    /// True when a reply waits for a sync, and not for a write alone.
    pub fn waits_for_sync(&self) -> bool {
        self.config.durability == Durability::Always
    }

    /// Takes over what CONFIG may have changed.
    pub fn learn_config(&self, core: &Core) {
        let config = core.engine.config();
        self.busy.set_limit(config.script_time_max_ms);
        self.limits.learn(config, core.engine.needs_password());
    }

    /// Answers a command while a slow script has the lock.
    pub fn refuse(&self, args: &[&[u8]], missed: &Missed, is_authenticated: bool) -> Called {
        match missed.refuse(args, &self.busy, is_authenticated) {
            Refusal::Reply(reply) => Called::Reply(reply, Position::START),
            Refusal::Shutdown => {
                self.shutdown.send_replace(true);
                Called::Delivered
            }
        }
    }

    /// Runs one command of a session that has the lock; [`finish`](Self::finish) does the rest without it.
    pub fn run(&self, core: &mut Core, caller: &Caller<'_>, args: &[&[u8]], now: Time) -> Ran {
        let id = caller.id;
        if let Some(refusal) = core.refuse(id) {
            return Ran::refused(Value::Error(refusal.into()), now);
        }
        if let Some(reply) = caller.missed.after_multi(args, &self.busy) {
            return Ran::refused(reply, now);
        }
        if caller.missed.take_exec() {
            core.engine.drop_transaction(id);
        }
        if caller.missed.take_command() {
            core.engine.fail_transaction(id);
        }
        let concern = Concern::of(args);
        if concern != Concern::Nothing {
            self.prepare(core, concern, args);
        }
        let outcome = core.engine.execute(id, args, now);
        let ended = self.clock.now();
        core.engine.note_duration(id, args, ended.micros().saturating_sub(now.micros()), now);
        if matches!(concern, Concern::Config | Concern::Users | Concern::Transaction) {
            self.learn_config(core);
        }
        let (promised, position) = self.collect(core, outcome.is_exchange);
        let is_sooner = self.timer.plan(core.engine.next_due());
        let copied = core.engine.take_copied();
        // Nearly every call is done when it has its reply.
        let is_done = is_plain(&outcome) && !is_sooner && copied == 0;
        if is_done && let Some(reply) = outcome.reply {
            return Ran { called: Called::Reply(reply, position), ended, rest: None };
        }
        let is_answered_later = outcome
            .deliveries
            .iter()
            .any(|d| d.session == id && matches!(d.message, Message::Reply(_) | Message::Silent));
        let rest = Rest {
            awake: self.route(core, outcome.deliveries, position),
            is_sooner,
            settings: outcome.wants_settings_kept.then(|| core.engine.settings()),
            wants_shutdown: outcome.wants_shutdown,
            wants_rewrite: outcome.wants_rewrite,
            wants_save: outcome.wants_save,
            copied,
            promised: (outcome.is_exchange && outcome.reply.is_some()).then_some(promised),
        };
        let called = match outcome.reply {
            Some(reply) => Called::Reply(reply, position),
            None if is_answered_later || core.engine.is_waiting(id) => Called::Waiting,
            None => Called::Delivered,
        };
        Ran { called, ended, rest: (!rest.is_nothing()).then(|| Box::new(rest)) }
    }

    /// Does what a call brings about beside its reply, once the lock is free.
    pub fn finish(&self, ran: Ran, args: &[&[u8]]) -> Called {
        let Ran { called, rest, .. } = ran;
        let Some(rest) = rest else { return called };
        if rest.is_sooner {
            self.timer.wake();
        }
        rest.awake.into_iter().for_each(Waker::wake);
        if let Some(why) = rest.settings.and_then(|settings| self.keep_settings.get()?(&settings).err()) {
            tracing::warn!(%why, "the settings could not be kept");
            // In a transaction it is one reply of several.
            if let Called::Reply(_, position) = called
                && Concern::of(args) != Concern::Transaction
            {
                let text = format!("ERR Rewriting config file: {why}");
                return Called::Reply(Value::Error(text.replace(['\r', '\n'], " ").into()), position);
            }
        }
        if rest.wants_shutdown {
            self.shutdown.send_replace(true);
        }
        if rest.wants_rewrite {
            self.want_rewrite();
        }
        if rest.wants_save {
            self.want_save();
        }
        self.pay_for(rest.copied);
        match (called, rest.promised) {
            (Called::Reply(reply, position), Some(promised)) if self.write_through(position) => {
                Called::Reply(reply, promised)
            }
            (called, _) => called,
        }
    }

    /// Tells the engine what only the store knows and a command asks for.
    fn prepare(&self, core: &mut Core, concern: Concern, args: &[&[u8]]) {
        if matches!(concern, Concern::Facts | Concern::Config) {
            self.tell(core);
        }
        let is_list = |arg: &&[u8]| arg.eq_ignore_ascii_case(b"LIST") || arg.eq_ignore_ascii_case(b"INFO");
        if concern == Concern::Clients && args.get(1).is_some_and(is_list) {
            let Core { engine, mailboxes, .. } = core;
            mailboxes.iter().for_each(|(id, mailbox)| engine.note_unread(*id, mailbox.unread()));
        }
        if concern == Concern::Users {
            give_entropy(&mut core.engine);
        }
    }

    /// While a slow script runs nobody can be taken from the list of those who wait; who ends is taken from it later.
    pub fn stop_waiting(&self, id: SessionId) -> bool {
        self.lock().is_some_and(|mut core| core.engine.stop_waiting(id))
    }

    pub fn protocol(&self, id: SessionId) -> Protocol {
        self.core.lock().engine.protocol(id)
    }

    pub fn is_authenticated(&self, id: SessionId) -> bool {
        self.core.lock().engine.is_authenticated(id)
    }

    /// Refuses every later call, and tells every session to close.
    pub fn stop(&self) {
        self.busy.stop();
        let mut core = self.core.lock();
        core.is_stopped = true;
        let awake: Vec<Waker> = core
            .mailboxes
            .values()
            .filter_map(|mailbox| mailbox.put(Message::Close, Position::START, usize::MAX))
            .collect();
        drop(core);
        awake.into_iter().for_each(Waker::wake);
    }

    /// Moves the effects of the calls to the log. Answers the position that a reply given now could have seen of what
    /// is promised to somebody, and of everything.
    fn collect(&self, core: &mut Core, is_exchange: bool) -> (Position, Position) {
        let Some(log) = self.log.get().filter(|_| !core.has_failed || core.is_renewing) else {
            return (Position::START, Position::START);
        };
        let Core { engine, pending, .. } = core;
        if !engine.effects().is_empty() {
            pending.add(|buffer| engine.effects().append_to(buffer));
            if !is_exchange {
                pending.promised_end = pending.end;
            }
            log.thread.note_records();
            if pending.buffer.len() > self.config.log_pending_bytes_max && !pending.is_full {
                pending.is_full = true;
                engine.refuse_writes(Some(windlass_engine::Error::new(TOO_MUCH_PENDING)));
                log.thread.want();
            }
        }
        // Nobody can be made to wait for a log that failed, and nobody need: only expiry writes to it.
        let has_failed = core.has_failed;
        let position = |end| if has_failed { Position::START } else { Position(end) };
        (position(core.pending.promised_end), position(core.pending.end))
    }

    pub(crate) fn route(&self, core: &Core, deliveries: Vec<Delivery>, position: Position) -> Vec<Waker> {
        let bytes_max = core.engine.config().clients.messages.hard;
        let bytes_max = if bytes_max == 0 { usize::MAX } else { bytes_max };
        deliveries
            .into_iter()
            .filter_map(|d| core.mailboxes.get(&d.session)?.put(d.message, position, bytes_max))
            .collect()
    }
}

/// True for a call that brought nothing about but its reply and its effects.
fn is_plain(outcome: &Outcome) -> bool {
    let asks =
        outcome.wants_settings_kept || outcome.wants_shutdown || outcome.wants_rewrite || outcome.wants_save;
    outcome.deliveries.is_empty() && !outcome.is_exchange && !asks
}

/// Gives the engine the system's random bytes. Without any, the command that needs them says so.
fn give_entropy(engine: &mut Engine) {
    let mut bytes = [0; 32];
    if File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).is_ok() {
        engine.give_entropy(bytes);
    }
}

impl Tick for Store {
    fn tick(&self) {
        loop {
            let mut core = self.core.lock();
            if core.is_stopped {
                return;
            }
            let now = core.look(&*self.clock);
            let before = core.engine.next_due();
            if before.is_none_or(|due| due > now) {
                self.timer.replan(before);
                return;
            }
            let started = Instant::now();
            let deliveries = core.engine.tick(now, self.config.tick_budget);
            core.engine.note_tick(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX), now);
            let (_, position) = self.collect(&mut core, false);
            let awake = self.route(&core, deliveries, position);
            let copied = core.engine.take_copied();
            drop(core);
            awake.into_iter().for_each(Waker::wake);
            self.pay_for(copied);
        }
    }

    fn next_due(&self) -> Option<Time> {
        self.core.lock().engine.next_due()
    }
}
