//! One client of a database.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use parking_lot::{Mutex, MutexGuard};
use windlass_engine::{Head, Message, SessionId, Time};
use windlass_resp::{Protocol, Value};

use crate::core::Core;
use crate::database::Database;
use crate::error::Result;
use crate::mailbox::{Mailbox, Taken};
use crate::progress::{Durable, Position};
use crate::refused::Missed;
use crate::store::{Caller, Store};

/// The most calls that take the lock together...
const TURN_CALLS_MAX: usize = 16;
/// ...and for how many microseconds they keep it before they let others go first.
const TURN_US_MAX: u64 = 50;

/// How a call was answered.
#[derive(Debug, PartialEq)]
pub enum Called {
    /// The reply, and the position of the log that it could have seen: it may be let out once
    /// [`Database::durable`] says that this is safe.
    Reply(Value, Position),
    /// The command waits; its reply is a [`Message::Reply`] among the deliveries.
    Waiting,
    /// Messages among the deliveries are the whole answer, as for SUBSCRIBE.
    Delivered,
}

/// Where a client comes from, as CLIENT LIST shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its address, or what stands for one.
    pub address: String,
    /// The server's end of the connection and the handle of the socket, where there is one.
    pub socket: Option<(String, i32)>,
}

/// One client of a database: its selected database, transaction, subscriptions and waits. Dropping it closes it.
///
/// A session keeps its database open. Its calls are to come one after the other; while it waits, calls are answered
/// with an error.
pub struct Session {
    database: Database,
    /// Given when the engine is first free: a session may begin while a slow script has it.
    id: OnceLock<SessionId>,
    /// Kept until then.
    origin: Mutex<Option<Origin>>,
    mailbox: Arc<Mailbox>,
    missed: Missed,
    /// What was last seen of [`is_authenticated`](Self::is_authenticated).
    was_authenticated: AtomicBool,
}

impl Session {
    pub(crate) fn new(database: Database, origin: Origin) -> Self {
        let session = Self {
            id: OnceLock::new(),
            origin: Mutex::new(Some(origin)),
            mailbox: Arc::default(),
            missed: Missed::default(),
            was_authenticated: AtomicBool::new(!database.store().limits.get().needs_password),
            database,
        };
        if let Some(mut core) = session.store().lock() {
            session.open(&mut core);
        }
        session
    }

    fn store(&self) -> &Store {
        self.database.store()
    }

    /// The number of the session, which is opened if it is not yet.
    fn open(&self, core: &mut Core) -> SessionId {
        *self.id.get_or_init(|| {
            let origin = self.origin.lock().take().unwrap_or_default();
            let id = self.store().open_session(core, &origin.address, &self.mailbox);
            if let Some((local_address, descriptor)) = &origin.socket {
                core.engine.note_socket(id, local_address, *descriptor);
            }
            id
        })
    }

    /// Executes one command, whose name is the first of `args`, on the caller's thread. While a script runs for too
    /// long, the answer is an error that begins with BUSY, and nothing was executed.
    pub fn call(&self, args: &[&[u8]]) -> Called {
        self.call_in(&mut Turn::default(), args)
    }

    /// As [`call`](Self::call), in a turn that may go on to the next call with the lock that this one took.
    pub(crate) fn call_in<'a>(&'a self, turn: &mut Turn<'a>, args: &[&[u8]]) -> Called {
        let store = self.store();
        let Some((mut core, now)) = turn.hold(store) else {
            let was_authenticated = self.was_authenticated.load(Ordering::Relaxed);
            return store.refuse(args, &self.missed, was_authenticated);
        };
        let caller = Caller { id: self.open(&mut core), missed: &self.missed };
        let ran = store.run(&mut core, &caller, args, now);
        if ran.rest.is_none() {
            turn.go_on(core, ran.ended);
        } else {
            drop(core);
        }
        store.finish(ran, args)
    }

    /// Has the memory fetched that calls are about to look at, which begin with these arguments; the turn then has the
    /// lock for the first of them.
    pub(crate) fn look_ahead<'a>(&'a self, turn: &mut Turn<'a>, heads: &[Head<'_>]) {
        if let Some((mut core, now)) = turn.hold(self.store()) {
            let id = self.open(&mut core);
            core.engine.warm(id, heads);
            turn.held = Some((core, now));
        }
    }

    /// The next message, once the log is safe up to the position at which it arose. Dropping the future loses
    /// nothing. One task at a time may wait for it.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) when the log failed before that; the session is then
    /// to be closed.
    pub fn next_delivery(&self) -> NextDelivery<'_> {
        NextDelivery { session: self, durable: None }
    }

    /// The next message that is there by now, whether or not the log is safe up to its position: it may be let out
    /// once [`Database::durable`] says so. For a loop that sends replies and messages in the order in which they
    /// arose.
    pub fn take_delivery(&self) -> Option<(Message, Position)> {
        // After nearly every call there is nothing, and a lock is dear for that.
        if !self.has_delivery() {
            return None;
        }
        match self.mailbox.take(Position(u64::MAX), None) {
            Taken::Message(message, position) => Some((message, position)),
            Taken::Held(_) | Taken::Nothing => None,
        }
    }

    /// True when a message is there, be the log safe up to its position or not. One that comes at this moment may be
    /// missed.
    pub(crate) fn has_delivery(&self) -> bool {
        !self.mailbox.is_empty()
    }

    /// Notes how many bytes that were sent to the client lie unread, for CLIENT LIST.
    pub(crate) fn note_unread(&self, bytes: usize) {
        self.mailbox.note_unread(bytes);
    }

    /// True once the session was told to close because it left too many messages unread.
    pub(crate) fn is_overrun(&self) -> bool {
        self.mailbox.is_overrun()
    }

    /// Gives up the wait of a blocking command; true if it waited. When it is false although a command waited, its
    /// reply is among the deliveries.
    pub fn stop_waiting(&self) -> bool {
        self.id.get().is_some_and(|id| self.store().stop_waiting(*id))
    }

    /// The protocol that the session has chosen.
    pub fn protocol(&self) -> Protocol {
        self.id.get().map_or_else(Protocol::default, |id| self.store().protocol(*id))
    }

    /// True when the session has given the password, or when none is needed.
    pub fn is_authenticated(&self) -> bool {
        if let Some(id) = self.id.get() {
            self.was_authenticated.store(self.store().is_authenticated(*id), Ordering::Relaxed);
        }
        self.was_authenticated.load(Ordering::Relaxed)
    }

    /// True when it may receive messages of channels.
    pub(crate) fn is_subscribed(&self) -> bool {
        let core = self.store().lock();
        core.zip(self.id.get()).is_some_and(|(core, id)| core.engine.is_subscribed(*id))
    }

    /// Its number, which no other session of this database has or will have while it is open.
    pub fn id(&self) -> SessionId {
        self.id.get().copied().unwrap_or_else(|| self.open(&mut self.store().core.lock()))
    }

    /// The database that it belongs to.
    pub fn database(&self) -> &Database {
        &self.database
    }
}

/// Calls of one session, one right after the other, that take the lock once: what a client sent in one piece. To take it
/// for each made the threads that serve clients hand it to and fro.
#[derive(Default)]
pub(crate) struct Turn<'a> {
    /// The lock, and when the last call ended, which is when the next one begins.
    held: Option<(MutexGuard<'a, Core>, Time)>,
    began: Time,
    calls: usize,
}

impl<'a> Turn<'a> {
    /// The lock, and when the call begins; none while a slow script has it.
    fn hold(&mut self, store: &'a Store) -> Option<(MutexGuard<'a, Core>, Time)> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        let mut core = store.lock()?;
        let now = core.look(&*store.clock);
        *self = Self { held: None, began: now, calls: 0 };
        Some((core, now))
    }

    /// Keeps the lock for another call, unless others have waited for long enough.
    fn go_on(&mut self, core: MutexGuard<'a, Core>, now: Time) {
        self.calls += 1;
        if self.calls < TURN_CALLS_MAX && now.micros().saturating_sub(self.began.micros()) < TURN_US_MAX {
            self.held = Some((core, now));
        }
    }

    /// Lets go of the lock. Whatever takes it otherwise must come after this.
    pub fn end(&mut self) {
        self.held = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(id) = self.id.get() {
            self.store().close_session(*id);
        }
    }
}

/// The future of [`Session::next_delivery`].
#[must_use = "a future does nothing until it is awaited"]
pub struct NextDelivery<'a> {
    session: &'a Session,
    durable: Option<(Position, Durable)>,
}

impl Future for NextDelivery<'_> {
    type Output = Result<Message>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let session = self.session;
        loop {
            let reached = session.database.store().progress.reached();
            let position = match session.mailbox.take(reached, Some(context.waker())) {
                Taken::Message(message, _) => return Poll::Ready(Ok(message)),
                Taken::Nothing => return Poll::Pending,
                Taken::Held(position) => position,
            };
            if self.durable.as_ref().is_none_or(|(of, _)| *of != position) {
                self.durable = Some((position, session.database.durable(position)));
            }
            let (_, durable) = self.durable.as_mut().expect("just set");
            match Pin::new(durable).poll(context) {
                Poll::Ready(Ok(())) => self.durable = None,
                Poll::Ready(Err(error)) => {
                    self.durable = None;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
