//! CLIENT PAUSE: commands that come meanwhile are put off, in the order in which they came.

use std::collections::VecDeque;

use windlass_resp::Value;

use crate::args::Args;
use crate::blob::Blob;
use crate::command::{Command, Flags};
use crate::script::Scripts;
use crate::session::{Session, SessionId, Transaction};
use crate::state::State;
use crate::time::Time;
use crate::wait::Wait;

/// What is paused, until when, and who was put off.
#[derive(Debug, Default)]
pub struct Pause {
    until_ms: u64,
    is_for_all: bool,
    /// They wait without a key; the deadline of each is the end of the pause at which it was put off.
    put_off: VecDeque<SessionId>,
}

impl Pause {
    /// Pauses writes, or all commands, until a moment. A pause that is under way can only become longer and stricter.
    pub fn start(&mut self, now: Time, until_ms: u64, is_for_all: bool) {
        let is_under_way = self.until_ms > now.millis();
        self.until_ms = if is_under_way { self.until_ms.max(until_ms) } else { until_ms };
        self.is_for_all = is_for_all || is_under_way && self.is_for_all;
    }

    /// Ends the pause.
    pub fn stop(&mut self) {
        self.until_ms = 0;
    }

    /// The next session that was put off and may go on.
    pub fn next(&mut self, now: Time) -> Option<SessionId> {
        if self.until_ms > now.millis() { None } else { self.put_off.pop_front() }
    }

    /// When it ends.
    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// How many sessions were put off.
    pub fn len(&self) -> usize {
        self.put_off.len()
    }

    /// True when somebody may be put off at all.
    pub fn is_on(&self, now: Time) -> bool {
        self.until_ms > now.millis()
    }
}

impl State {
    /// Puts a command off if a pause is on that concerns it; true when it did.
    pub fn put_off(
        &mut self,
        scripts: &Scripts,
        session: &Session,
        command: &Command,
        args: Args<'_>,
        now: Time,
    ) -> bool {
        let is_concerned =
            || self.pause.is_for_all || self.is_write(scripts, session.transaction.as_ref(), command, args);
        if !self.pause.is_on(now) || !is_concerned() {
            return false;
        }
        let wait = Wait {
            db: session.db,
            keys: Vec::new(),
            deadline_ms: Some(self.pause.until_ms),
            args: args.0.iter().map(|arg| Blob::from(*arg)).collect(),
            timeout_reply: Value::Nil,
            is_put_off: true,
        };
        self.pause.put_off.push_back(session.id);
        self.waits.insert(session.id, wait);
        true
    }

    /// Whether a command, or a transaction that is to be executed, may have an effect beyond its reply.
    fn is_write(
        &self,
        scripts: &Scripts,
        transaction: Option<&Transaction>,
        command: &Command,
        args: Args<'_>,
    ) -> bool {
        match transaction {
            Some(transaction) if command.name == "exec" => transaction.queue.iter().any(|queued| {
                let args: Vec<&[u8]> = queued.iter().map(|arg| &**arg).collect();
                let args = Args(&args);
                self.commands.resolve(args).is_ok_and(|command| self.may_write(scripts, command, args))
            }),
            // What is queued has no effect yet, but Redis puts it off, too.
            _ => self.may_write(scripts, command, args),
        }
    }

    /// Whether a command may write, or tell others something. A script or a function that declares what it does is
    /// believed.
    fn may_write(&self, scripts: &Scripts, command: &Command, args: Args<'_>) -> bool {
        let declares_no_writes = match command.name {
            "fcall" | "fcall_ro" => {
                self.libraries.find(args[1]).map(|(library, place)| library.functions[place].is_read_only())
            }
            _ => {
                let declaration = scripts.declaration(command, args);
                declaration.filter(|it| it.is_explicit).map(|it| it.no_writes)
            }
        };
        declares_no_writes.map_or_else(
            || command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE),
            |is_read_only| !is_read_only,
        )
    }
}
