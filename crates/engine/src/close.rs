//! The end of a session, by its owner or by a command of another one.

use crate::engine::Message;
use crate::session::{Session, SessionId};
use crate::state::{Call, State};

impl State {
    /// Ends what a session expects: it no longer waits or listens.
    pub fn disturb(&mut self, session: &mut Session) {
        self.waits.remove(session.id);
        self.monitors.retain(|other| *other != session.id);
        self.pubsub.unsubscribe_all(session);
    }
}

impl Call<'_> {
    /// Ends a session, that of the caller once it has its reply: from here on nothing reaches it, and it does nothing.
    /// One of the process itself has no connection that could be opened again: it only waits and listens no longer.
    pub fn close(&mut self, id: SessionId) {
        let mut other = None;
        let session = if id == self.session.id {
            &mut *self.session
        } else {
            other = self.state.sessions.get_mut(&id).and_then(Option::take);
            let Some(session) = &mut other else { return };
            session
        };
        self.state.disturb(session);
        if !session.is_of_process() {
            session.is_closing = true;
            self.state.unwatch(session);
        }
        self.state.deliver(id, Message::Close);
        if let Some(session) = other {
            self.state.sessions.insert(id, Some(session));
        }
    }
}
