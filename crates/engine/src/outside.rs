//! What the engine's owner asks of a session, or tells it, beside its commands.

use windlass_resp::Value;

use crate::engine::{Delivery, Engine};
use crate::error::Error;
use crate::session::{Session, SessionId};

impl Engine {
    /// Makes the transaction of a session fail, if it is in one: a command that belongs to it never reached the engine.
    pub fn fail_transaction(&mut self, id: SessionId) {
        if let Some(Some(session)) = self.state.sessions.get_mut(&id)
            && let Some(transaction) = &mut session.transaction
        {
            transaction.has_failed = true;
        }
    }

    /// Tells how long a [`tick`](Self::tick) took, for INFO.
    pub fn note_tick(&mut self, took_us: u64) {
        let longest = &mut self.state.stats.tick_max_us;
        *longest = took_us.max(*longest);
    }

    /// Answers who waits for a snapshot: it is there, or it failed.
    pub fn end_save(&mut self, is_saved: bool) -> Vec<Delivery> {
        for id in std::mem::take(&mut self.state.savers) {
            if self.state.waits.remove(id).is_some() {
                let reply = if is_saved {
                    Value::OK
                } else {
                    Error::new("ERR the snapshot could not be saved").into()
                };
                self.answer_waiting(id, Some(reply));
            }
        }
        std::mem::take(&mut self.state.deliveries)
    }

    /// Ends a session's transaction, as when its EXEC was refused elsewhere: nothing of it runs, and nothing is watched.
    pub fn drop_transaction(&mut self, id: SessionId) {
        if let Some(mut session) = self.state.sessions.get_mut(&id).and_then(Option::take) {
            session.transaction = None;
            self.state.unwatch(&mut session);
            self.state.sessions.insert(id, Some(session));
        }
    }

    /// True for a session that may receive messages of channels.
    pub fn is_subscribed(&self, id: SessionId) -> bool {
        self.session(id).is_some_and(Session::is_subscribed)
    }
}
