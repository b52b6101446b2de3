//! One client of a database.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use windlass_engine::{Message, SessionId};
use windlass_resp::{Protocol, Value};

use crate::database::Database;
use crate::error::Result;
use crate::mailbox::{Mailbox, Taken};
use crate::progress::{Durable, Position};

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

/// One client of a database: its selected database, transaction, subscriptions and waits. Dropping it closes it.
///
/// A session keeps its database open. Its calls are to come one after the other; while it waits, calls are answered
/// with an error.
pub struct Session {
    database: Database,
    id: SessionId,
    mailbox: Arc<Mailbox>,
}

impl Session {
    pub(crate) fn new(database: Database, address: &str) -> Self {
        let (id, mailbox) = database.store().open_session(address);
        Self { database, id, mailbox }
    }

    /// Executes one command, whose name is the first of `args`, on the caller's thread.
    pub fn call(&self, args: &[&[u8]]) -> Called {
        self.database.store().call(self.id, args)
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
        match self.mailbox.take(Position(u64::MAX), None) {
            Taken::Message(message, position) => Some((message, position)),
            Taken::Held(_) | Taken::Nothing => None,
        }
    }

    /// True once the session was told to close because it left too many messages unread.
    pub(crate) fn is_overrun(&self) -> bool {
        self.mailbox.is_overrun()
    }

    /// Gives up the wait of a blocking command; true if it waited. When it is false although a command waited, its
    /// reply is among the deliveries.
    pub fn stop_waiting(&self) -> bool {
        self.database.store().stop_waiting(self.id)
    }

    /// The protocol that the session has chosen.
    pub fn protocol(&self) -> Protocol {
        self.database.store().protocol(self.id)
    }

    /// True when the session has given the password, or when none is needed.
    pub fn is_authenticated(&self) -> bool {
        self.database.store().is_authenticated(self.id)
    }

    /// Its number, which no other session of this database has or will have while it is open.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The database that it belongs to.
    pub fn database(&self) -> &Database {
        &self.database
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.database.store().close_session(self.id);
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
