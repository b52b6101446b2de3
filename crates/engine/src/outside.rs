//! What the engine's owner asks of a session, or tells it, beside its commands; and the settings, which it may keep.

use windlass_resp::Value;

use crate::args::Args;
use crate::command;
use crate::config::Setting;
use crate::engine::{Delivery, Engine};
use crate::error::Error;
use crate::session::{Session, SessionId};
use crate::time::Time;

impl Engine {
    /// Makes the transaction of a session fail, if it is in one: a command that belongs to it never reached the engine.
    pub fn fail_transaction(&mut self, id: SessionId) {
        if let Some(Some(session)) = self.state.sessions.get_mut(&id)
            && let Some(transaction) = &mut session.transaction
        {
            transaction.has_failed = true;
        }
    }

    /// Tells CLIENT LIST of the socket of a session: the server's end and the handle.
    pub fn note_socket(&mut self, id: SessionId, local_address: &str, descriptor: i32) {
        if let Some(session) = self.state.sessions.get_mut(&id).and_then(Option::as_deref_mut) {
            local_address.clone_into(&mut session.local_address);
            session.descriptor = Some(descriptor);
        }
    }

    /// Tells CLIENT LIST how many bytes were sent to a session that it has not taken yet.
    pub fn note_unread(&mut self, id: SessionId, bytes: usize) {
        if let Some(session) = self.state.sessions.get_mut(&id).and_then(Option::as_deref_mut) {
            session.unread = bytes;
        }
    }

    /// Gives random bytes that nobody can guess, for one ACL GENPASS.
    pub fn give_entropy(&mut self, bytes: [u8; 32]) {
        self.state.entropy = Some(bytes);
    }

    /// Tells INFO what only the engine's owner knows, as lines of one section.
    pub fn set_facts(&mut self, section: &str, lines: Vec<(String, String)>) {
        self.state.facts.insert(section.to_owned(), lines);
    }

    /// Lets CONFIG REWRITE ask for the settings to be kept: the owner of the engine has a place for them.
    pub fn allow_keeping_settings(&mut self) {
        self.state.can_keep_settings = true;
    }

    /// Changes a setting as CONFIG SET does.
    ///
    /// # Errors
    /// Those of the command.
    pub fn configure(&mut self, name: &str, value: &str) -> Result<(), Error> {
        command::configure(&mut self.state, &[name.as_bytes(), value.as_bytes()])
    }

    /// What CONFIG SET can change, as it is now.
    pub fn settings(&self) -> Vec<Setting> {
        command::settings(&self.state)
    }

    /// Tells how long the last call of a session took, for whoever has a clock: SLOWLOG, LATENCY and INFO show it.
    pub fn note_duration(&mut self, id: SessionId, args: &[&[u8]], took_us: u64, now: Time) {
        let Some(command) = self.ran.take() else { return };
        let state = &mut *self.state;
        state.stats.call_max_us = state.stats.call_max_us.max(took_us);
        state.stats.tally.took(command, took_us);
        if state.slow.concerns(&state.settings, took_us)
            && let Some(session) = state.sessions.get(&id).and_then(Option::as_deref)
        {
            state.slow.note(&state.settings, (session, command, Args(args)), took_us, now);
        }
    }

    /// Tells how long a [`tick`](Self::tick) took, for INFO.
    pub fn note_tick(&mut self, took_us: u64, now: Time) {
        let state = &mut *self.state;
        state.stats.tick_max_us = state.stats.tick_max_us.max(took_us);
        state.slow.note_tick(&state.settings, took_us, now);
    }

    /// Counts clients for which there was no place, for INFO.
    pub fn note_rejected(&mut self, clients: u64) {
        self.state.stats.rejected_connections += clients;
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
