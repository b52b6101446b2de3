//! The engine behind its one lock: runs calls on the caller's thread, collects their effects for the log, and routes
//! what they deliver.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use windlass_engine::{Delivery, Engine, Message, SessionId, Time};
use windlass_resp::{Protocol, Value};

use crate::clock::{Clock, Tick};
use crate::config::Config;
use crate::error::Result;
use crate::mailbox::Mailbox;
use crate::progress::{Position, Progress};
use crate::session::Called;
use crate::timer::Timer;

/// What a database can tell of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// About the bytes of memory that the data takes.
    pub data_bytes: usize,
    /// The open sessions.
    pub sessions: usize,
    /// Why the log failed, if it did.
    pub failure: Option<String>,
}

/// Everything of a database but its threads.
pub(crate) struct Store {
    pub core: Mutex<Core>,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub progress: Progress,
    pub timer: Timer,
}

/// What the lock guards.
pub(crate) struct Core {
    pub engine: Engine,
    pub mailboxes: HashMap<SessionId, Arc<Mailbox>>,
    pub is_stopped: bool,
}

impl Store {
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        let engine = Engine::new(config.engine.clone());
        Self {
            core: Mutex::new(Core { engine, mailboxes: HashMap::new(), is_stopped: false }),
            clock,
            config,
            progress: Progress::default(),
            timer: Timer::default(),
        }
    }

    pub fn open_session(&self, address: &str) -> (SessionId, Arc<Mailbox>) {
        let mut core = self.core.lock();
        let id = core.engine.open_session(address, self.clock.now());
        let mailbox = Arc::new(Mailbox::default());
        core.mailboxes.insert(id, mailbox.clone());
        if core.is_stopped {
            mailbox.put(Message::Close, Position::START, self.config.mailbox_bytes_max);
        }
        (id, mailbox)
    }

    pub fn close_session(&self, id: SessionId) {
        let mut core = self.core.lock();
        core.engine.close_session(id);
        core.mailboxes.remove(&id);
    }

    /// Runs one command of a session.
    pub fn call(&self, id: SessionId, args: &[&[u8]]) -> Called {
        let mut core = self.core.lock();
        if let Some(refusal) = core.refuse(id) {
            return Called::Reply(Value::Error(refusal.into()), Position::START);
        }
        let outcome = core.engine.execute(id, args, self.clock.now());
        let position = self.collect(&mut core);
        let is_answered_later =
            outcome.deliveries.iter().any(|d| d.session == id && matches!(d.message, Message::Reply(_)));
        let called = match outcome.reply {
            Some(reply) => Called::Reply(reply, position),
            None if is_answered_later || core.engine.is_waiting(id) => Called::Waiting,
            None => Called::Delivered,
        };
        let awake = self.route(&core, outcome.deliveries, position);
        let is_sooner = self.timer.plan(core.engine.next_due());
        drop(core);
        if is_sooner {
            self.timer.wake();
        }
        awake.into_iter().for_each(Waker::wake);
        called
    }

    pub fn stop_waiting(&self, id: SessionId) -> bool {
        self.core.lock().engine.stop_waiting(id)
    }

    pub fn protocol(&self, id: SessionId) -> Protocol {
        self.core.lock().engine.protocol(id)
    }

    pub fn is_authenticated(&self, id: SessionId) -> bool {
        self.core.lock().engine.is_authenticated(id)
    }

    pub fn facts(&self) -> Facts {
        let core = self.core.lock();
        Facts {
            data_bytes: core.engine.bytes(),
            sessions: core.mailboxes.len(),
            failure: self.progress.failure(),
        }
    }

    /// Says what is known of `position`, or sees to it that `waker` is woken when it is known.
    pub fn poll_durable(
        &self,
        position: Position,
        key: &mut Option<u64>,
        waker: &Waker,
    ) -> Option<Result<()>> {
        self.progress.outcome(position).or_else(|| self.progress.register(position, key, waker))
    }

    /// Waits until `position` is safe.
    pub fn wait_durable(&self, position: Position) -> Result<()> {
        self.progress.outcome(position).unwrap_or(Ok(()))
    }

    /// Refuses every later call, and tells every session to close.
    pub fn stop(&self) {
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

    /// Moves the effects of the calls to the log; answers the position that a reply given now could have seen.
    fn collect(&self, _core: &mut Core) -> Position {
        Position::START
    }

    fn route(&self, core: &Core, deliveries: Vec<Delivery>, position: Position) -> Vec<Waker> {
        let bytes_max = self.config.mailbox_bytes_max;
        deliveries
            .into_iter()
            .filter_map(|d| core.mailboxes.get(&d.session)?.put(d.message, position, bytes_max))
            .collect()
    }
}

impl Core {
    /// Why a session cannot call now.
    fn refuse(&self, id: SessionId) -> Option<&'static str> {
        if self.is_stopped {
            Some("ERR the database is stopped")
        } else if self.engine.is_waiting(id) {
            Some("ERR this session waits for the reply of a blocking command")
        } else {
            None
        }
    }
}

impl Tick for Store {
    fn tick(&self) {
        loop {
            let mut core = self.core.lock();
            if core.is_stopped {
                return;
            }
            let now = self.clock.now();
            let before = core.engine.next_due();
            if before.is_none_or(|due| due > now) {
                self.timer.replan(before);
                return;
            }
            let deliveries = core.engine.tick(now, self.config.tick_budget);
            let position = self.collect(&mut core);
            let awake = self.route(&core, deliveries, position);
            drop(core);
            awake.into_iter().for_each(Waker::wake);
        }
    }

    fn next_due(&self) -> Option<Time> {
        self.core.lock().engine.next_due()
    }
}
