//! What the engine's owner asks of a session, or tells it, beside its commands.

use crate::engine::Engine;
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
