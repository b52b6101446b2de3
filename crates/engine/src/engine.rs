//! Runs commands: looks them up, checks what may run, queues transactions, serves who waits.

use std::sync::Arc;

use windlass_resp::{Protocol, Value};

use crate::args::Args;
use crate::blob::Blob;
use crate::command::{self, Command, Flags, Run};
use crate::config::Config;
use crate::effect::Effects;
use crate::error::Error;
use crate::evict;
use crate::keyspace::Keyspace;
use crate::object::Kind;
use crate::script::{ScriptGuard, Scripts};
use crate::session::{Session, SessionId, Silence};
use crate::state::State;
use crate::time::Time;
use crate::types::{Budget, Stream};

/// What a call led to.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The answer to the session that called; none when it waits now, or when only messages answer it.
    pub reply: Option<Value>,
    /// What goes to sessions besides, in order; to the calling one as well when it subscribed.
    pub deliveries: Vec<Delivery>,
    /// True when the whole call was a worker's exchange of ended jobs for new ones. Its reply may be let out before its
    /// own effects are safe from a power cut: to lose them only means that jobs run again.
    pub is_exchange: bool,
    /// True when the call asks the owner of the engine to rewrite its log.
    pub wants_rewrite: bool,
    /// True when the call asks the owner of the engine to keep the settings of [`Engine::settings`].
    pub wants_settings_kept: bool,
    /// True when the call asks the owner of the engine to save the data as a snapshot.
    pub wants_save: bool,
    /// True when the call asks the owner of the engine to end its process; its client gets no reply.
    pub wants_shutdown: bool,
}

/// Something for a session that it did not just ask for.
#[derive(Debug, PartialEq)]
pub struct Delivery {
    /// Whom it is for.
    pub session: SessionId,
    /// What it is.
    pub message: Message,
}

/// The content of a [`Delivery`].
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The reply to a command that waited.
    Reply(Value),
    /// A message of a channel, or the confirmation of a subscription.
    Push(Value),
    /// A command that waited has ended without a reply: messages are its answer, or the client wants none.
    Silent,
    /// The session is to be closed.
    Close,
}

/// The databases, their sessions and their scripts.
pub struct Engine {
    pub(crate) state: Box<State>,
    pub(crate) scripts: Scripts,
    last_session: u64,
    /// The command of the last call, for [`note_duration`](Self::note_duration).
    pub(crate) ran: Option<&'static Command>,
}

impl Engine {
    /// An empty engine.
    pub fn new(config: Config) -> Self {
        let scripts = Scripts::new(config.seed);
        Self { state: Box::new(State::new(config)), scripts, last_session: 0, ran: None }
    }

    /// True when a session has to say who it is before it may run commands.
    pub fn needs_password(&self) -> bool {
        !self.state.users.is_default_free()
    }

    /// The settings as they are now.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// Has a guard look after the scripts that run from now on.
    pub fn guard_scripts(&mut self, guard: Arc<dyn ScriptGuard>) {
        self.scripts.set_guard(guard);
    }

    /// Opens a session; `address` is what CLIENT LIST shows of the client.
    pub fn open_session(&mut self, address: &str, now: Time) -> SessionId {
        self.last_session += 1;
        let id = SessionId(self.last_session);
        let is_authenticated = self.state.users.is_default_free();
        let session = Session::new(id, address, is_authenticated, now);
        self.state.sessions.insert(id, Some(Box::new(session)));
        self.state.stats.connections += 1;
        if self.state.started == Time::default() {
            self.state.started = now;
        }
        id
    }

    /// Ends a session: it no longer waits, watches or listens.
    pub fn close_session(&mut self, id: SessionId) {
        if let Some(mut session) = self.state.sessions.remove(&id).flatten() {
            self.state.disturb(&mut session);
            self.state.unwatch(&mut session);
        }
    }

    /// The protocol in which the session wants its replies.
    pub fn protocol(&self, id: SessionId) -> Protocol {
        self.session(id).map_or(Protocol::Resp2, |session| session.protocol)
    }

    /// True when the session may run any command, as far as the password goes.
    pub fn is_authenticated(&self, id: SessionId) -> bool {
        self.session(id).is_some_and(|session| session.is_authenticated)
    }

    /// Executes one command: `args` begins with its name. O(the command).
    ///
    /// # Panics
    /// When `id` was never opened, was closed, or waits: the caller keeps a session's commands in order.
    pub fn execute(&mut self, id: SessionId, args: &[&[u8]], now: Time) -> Outcome {
        assert!(self.state.waits.get(id).is_none(), "a session that waits cannot execute");
        let mut session =
            self.state.sessions.get_mut(&id).and_then(Option::take).expect("a command needs an open session");
        self.ran = None;
        let reply = self.answer(&mut session, Args(args), now);
        let ran = self.ran.take().filter(|_| session.transaction.is_none());
        *self.state.sessions.get_mut(&id).expect("no command ends its own session at once") = Some(session);
        self.state.effects.end_group();
        self.serve_ready(now);
        if self.state.pause.len() > 0 {
            self.resume(now);
        }
        self.ran = ran;
        Outcome {
            reply,
            deliveries: std::mem::take(&mut self.state.deliveries),
            is_exchange: std::mem::take(&mut self.state.is_exchange),
            wants_rewrite: std::mem::take(&mut self.state.wants_rewrite),
            wants_settings_kept: std::mem::take(&mut self.state.wants_settings_kept),
            wants_save: std::mem::take(&mut self.state.wants_save),
            wants_shutdown: std::mem::take(&mut self.state.wants_shutdown),
        }
    }

    /// Ends waits, removes keys whose time is over and frees what was deleted, at most `budget` of each. Call it when [`Engine::next_due`]
    /// says so.
    pub fn tick(&mut self, now: Time, budget: usize) -> Vec<Delivery> {
        for _ in 0..budget {
            let Some(id) = self.state.waits.due(now.millis()) else { break };
            if self.state.waits.get(id).is_some_and(|wait| wait.is_put_off) {
                if self.state.pause.is_on(now) {
                    self.state.waits.prolong(id, self.state.pause.until_ms());
                } else {
                    self.resume(now);
                }
                continue;
            }
            let wait = self.state.waits.remove(id).expect("a due wait exists");
            self.answer_waiting(id, Some(wait.timeout_reply));
        }
        let may_expire = self.state.settings.expires_actively && !self.state.pause.is_on(now);
        if may_expire {
            self.state.expire_some(now, budget);
        }
        if !self.state.pause.is_on(now) {
            self.state.evict_some(budget);
        }
        self.state.garbage.free_some(&mut Budget::new(budget));
        self.state.note_memory();
        self.serve_ready(now);
        std::mem::take(&mut self.state.deliveries)
    }

    /// When [`Engine::tick`] next has something to do.
    pub fn next_due(&self) -> Option<Time> {
        if !self.state.garbage.is_empty() {
            return Some(Time::default());
        }
        // Nothing goes by itself while clients are paused.
        let paused_until = self.state.pause.until_ms();
        let mut due = self.state.waits.next_deadline();
        // In most stores nothing ends, and their number tells that at once; this is asked after every call.
        let has_expiring = self.state.databases.iter().fold(0, |any, database| any | database.expiring()) > 0;
        if has_expiring && self.state.settings.expires_actively {
            let expiry = self.state.databases.iter().filter_map(Keyspace::next_expiry).min();
            due = due.into_iter().chain(expiry.map(|at| at.max(paused_until))).min();
        }
        if self.state.has_to_evict() {
            due = due.into_iter().chain([paused_until]).min();
        }
        due.map(Time::from_millis)
    }

    /// What calls changed, to be logged.
    pub fn effects(&mut self) -> &mut Effects {
        &mut self.state.effects
    }

    /// Gives up the wait of a session whose client went away or was interrupted; true if it waited.
    pub fn stop_waiting(&mut self, id: SessionId) -> bool {
        self.state.waits.remove(id).is_some()
    }

    /// Refuses commands that may write, with this reason, from now on; none lets them run again. For a log that takes
    /// no more. A transaction with such a command is refused as a whole.
    pub fn refuse_writes(&mut self, reason: Option<Error>) {
        self.state.write_refusal = reason;
    }

    /// Answers commands that concern data with LOADING from now on, or no more: the owner reads the data meanwhile.
    pub fn set_loading(&mut self, is_loading: bool) {
        self.state.is_loading = is_loading;
    }

    /// Takes the data of another engine in place of its own; its sessions stay. Who watches a key finds it changed.
    pub fn adopt(&mut self, other: Self) {
        self.state.databases = other.state.databases;
        self.state.libraries = other.state.libraries;
        self.scripts.forget_libraries();
        self.state.garbage = other.state.garbage;
        for session in self.state.sessions.values_mut().flatten() {
            session.is_watch_broken |= !session.watched.is_empty();
        }
    }

    /// True for a session whose command waits: it must not execute another.
    pub fn is_waiting(&self, id: SessionId) -> bool {
        self.state.waits.get(id).is_some()
    }

    /// Changes the time of delivery of every pending entry, in milliseconds since 1970: so that none has become older by
    /// a jump or a standstill of the clock. Nothing is logged; a replay gives the times as they were. O(keys and pending
    /// entries).
    pub fn map_deliveries(&mut self, change: impl Fn(u64) -> u64) {
        for database in &mut self.state.databases {
            let has_pending = |stream: &Stream| stream.groups().any(|(_, group)| group.pending_len() > 0);
            let pending = database.iter().filter(|entry| Stream::of(&entry.value).is_some_and(has_pending));
            let keys: Vec<Blob> = pending.map(|entry| entry.key.clone()).collect();
            for key in keys {
                let stream = database.value_mut::<Stream>(&key).expect("it is a stream");
                stream.expect("it is there").groups_mut().for_each(|group| group.map_deliveries(&change));
            }
        }
    }

    /// Approximate bytes of memory of the data.
    pub fn bytes(&self) -> usize {
        self.state.bytes()
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<&Session> {
        self.state.sessions.get(&id)?.as_deref()
    }

    /// Runs the commands that a pause put off, once it is over.
    fn resume(&mut self, now: Time) {
        while let Some(id) = self.state.pause.next(now) {
            if !self.state.waits.get(id).is_some_and(|wait| wait.is_put_off) {
                continue;
            }
            let wait = self.state.waits.remove(id).expect("just seen");
            let Some(mut session) = self.state.sessions.get_mut(&id).and_then(Option::take) else { continue };
            let args: Vec<&[u8]> = wait.args.iter().map(|arg| &**arg).collect();
            let reply = self.answer(&mut session, Args(&args), now);
            self.state.sessions.insert(id, Some(session));
            self.state.effects.end_group();
            if reply.is_some() || self.state.waits.get(id).is_none() {
                self.state.deliver(id, reply.map_or(Message::Silent, Message::Reply));
            }
            self.serve_ready(now);
        }
    }

    /// Answers a command that waited.
    pub(crate) fn answer_waiting(&mut self, id: SessionId, reply: Option<Value>) {
        let reply = match self.state.sessions.get_mut(&id) {
            Some(Some(session)) => session.let_through(reply),
            _ => reply,
        };
        let message = reply.map_or(Message::Silent, Message::Reply);
        self.state.deliver(id, message);
    }

    /// Executes a command; without a reply it waits, or messages answer it, or the client wants none.
    fn answer(&mut self, session: &mut Session, args: Args<'_>, now: Time) -> Option<Value> {
        if session.is_closing {
            return None;
        }
        let reply = self.dispatch(session, args, now);
        if let Some(Value::Error(text)) = &reply {
            self.state.stats.tally.error(text);
        }
        if session.silence == Silence::None && !session.skips_next
            || self.state.waits.get(session.id).is_some()
        {
            return reply;
        }
        session.let_through(reply)
    }

    fn dispatch(&mut self, session: &mut Session, args: Args<'_>, now: Time) -> Option<Value> {
        match self.admit(session, args, now) {
            Ok(command) => {
                self.ran = Some(command);
                session.last_command = Some(command);
                session.last_used = now;
                self.state.stats.rate.note(self.state.stats.commands, now);
                self.state.stats.commands += 1;
                if self.state.pause.is_on(now)
                    && self.state.put_off(&self.scripts, session, command, args, now)
                {
                    return None;
                }
                if let Some(transaction) = &mut session.transaction
                    && !command.flags.has(Flags::IMMEDIATE)
                {
                    transaction.queue.push(args.0.iter().map(|arg| Blob::from(*arg)).collect());
                    return Some(Value::QUEUED);
                }
                self.run(session, command, args, now, true)
            }
            // These are no commands: whoever sends them was made to speak HTTP to a database. The process itself was not.
            Err(_) if !session.is_of_process() && (args.is(0, "POST") || args.is(0, "HOST:")) => {
                session.is_closing = true;
                self.state.unwatch(session);
                self.state.deliver(session.id, Message::Close);
                None
            }
            // EXEC that may not run ends the transaction, for whatever reason.
            Err(error) if args.is(0, "EXEC") => {
                session.transaction = None;
                self.state.unwatch(session);
                Some(Error::exec_abort(&error).into())
            }
            Err(error) => {
                if let Some(transaction) = &mut session.transaction {
                    transaction.has_failed = true;
                }
                Some(error.into())
            }
        }
    }

    /// Checks that a command exists, is well-formed and may run now.
    fn admit(&mut self, session: &Session, args: Args<'_>, now: Time) -> Result<&'static Command, Error> {
        if args.len() == 0 {
            return Err(Error::new("ERR empty command"));
        }
        let command = self.state.commands.resolve(args)?;
        // While clients are paused nothing goes by itself.
        if self.state.config.memory_max > 0 && !self.state.pause.is_on(now) {
            self.state.evict_some(evict::STEP_MAX);
        }
        let refused = self.refuse(session, command, args);
        if let Some(error) = refused {
            self.state.stats.tally.rejected(command);
            return Err(error);
        }
        Ok(command)
    }

    /// Why a command may not run now.
    fn refuse(&self, session: &Session, command: &Command, args: Args<'_>) -> Option<Error> {
        if !session.is_authenticated && !command.flags.has(Flags::NO_AUTH) {
            return Some(Error::NO_AUTH);
        }
        if let Some(denial) = self.state.users.denial(&session.user, command, args) {
            return Some(command::acl::denied(&denial, command));
        }
        if self.state.is_loading && !command.flags.has(Flags::LOADING) {
            return Some(Error::LOADING);
        }
        if session.protocol == Protocol::Resp2
            && session.is_subscribed()
            && !command.flags.has(Flags::SUBSCRIBED)
        {
            return Some(Error::new(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                command.name
            )));
        }
        if session.transaction.is_some() && command.flags.has(Flags::NO_MULTI) {
            return Some(Error::new("ERR Command not allowed inside a transaction"));
        }
        // Who asks whether all is well is told that it is not.
        if let Some(reason) = &self.state.write_refusal
            && (command.flags.has(Flags::WRITE) || command.name == "ping")
        {
            return Some(reason.clone());
        }
        // What is left to evict goes with the next commands.
        let is_full = self.state.is_over_limit() && !self.state.has_to_evict();
        (is_full && self.needs_memory(session, command)).then_some(Error::OUT_OF_MEMORY)
    }

    /// Runs a command that was admitted; without a reply it waits.
    pub(crate) fn run(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        now: Time,
        may_wait: bool,
    ) -> Option<Value> {
        self.state.databases[session.db].set_clock(now);
        let body = match command.run {
            Run::Call(body) => body,
            Run::Own(body) => {
                let answer = self.state.call_own(session, command, body, args, now);
                self.state.show(session, command, args, now);
                return Some(answer.unwrap_or_else(Value::from));
            }
            Run::Engine(run) => {
                // A script is shown before the commands that it calls, a transaction after them.
                if command.group == "scripting" && command.flags.has(Flags::SKIP_MONITOR) {
                    self.state.show_script(session, command, args, now);
                }
                let reply = run(self, session, args, now);
                self.state.stats.tally.called(command, reply.as_ref().is_some_and(Value::is_error));
                self.state.show(session, command, args, now);
                return reply;
            }
        };
        let (answer, wait) = self.state.call(session, command, body, args, now);
        let reply = answer.unwrap_or_else(Value::from);
        self.state.show(session, command, args, now);
        let Some(wait) = wait.filter(|_| may_wait) else { return Some(reply) };
        self.state.waits.insert(session.id, wait);
        None
    }

    /// Serves who waits for the keys that changed, first come first, until nothing more can be served.
    pub(crate) fn serve_ready(&mut self, now: Time) {
        while !self.state.ready.is_empty() {
            for place in std::mem::take(&mut self.state.ready) {
                for id in self.state.waits.of_key(&place) {
                    self.serve(id, &place, now);
                }
            }
        }
    }

    /// Runs a waiting command again; puts it back, in its place, when there is still nothing for it.
    fn serve(&mut self, id: SessionId, (db, key): &(usize, Blob), now: Time) {
        let Some(owned) = self.state.waits.get(id).map(|wait| wait.args.clone()) else { return };
        let args: Vec<&[u8]> = owned.iter().map(|arg| &**arg).collect();
        let command = command::find(args[0]).expect("a waiting command exists");
        let Run::Call(body) = command.run else { unreachable!("only plain commands wait") };
        // A key that became another type is not what is waited for, and may yet become it. But a group is gone with its
        // stream, and its reader is told.
        if command.name != "xreadgroup"
            && self.state.databases[*db].entry(key).is_some_and(|entry| entry.value.group() != command.group)
        {
            return;
        }
        let Some(mut session) = self.state.sessions.get_mut(&id).and_then(Option::take) else { return };
        let (answer, wait) = self.state.call_again(&mut session, command, body, Args(&args), now);
        self.state.sessions.insert(id, Some(session));
        self.state.effects.end_group();
        if wait.is_none() {
            if answer.is_err() {
                self.state.stats.tally.failed(command);
            }
            self.state.waits.remove(id);
            let reply = answer.unwrap_or_else(Value::from);
            if let Value::Error(text) = &reply {
                self.state.stats.tally.error(text);
            }
            self.answer_waiting(id, Some(reply));
        }
    }

    /// Whether a command is refused at the memory limit. Queueing takes memory, whatever is queued, and EXEC does what
    /// was queued.
    fn needs_memory(&self, session: &Session, command: &Command) -> bool {
        let is_greedy = |command: &Command| command.flags.has(Flags::DENY_OOM);
        match &session.transaction {
            Some(transaction) if command.name == "exec" => {
                let queued = transaction.queue.iter();
                queued.filter_map(|args| self.state.commands.find(&args[0])).any(is_greedy)
            }
            Some(_) => !command.flags.has(Flags::IMMEDIATE),
            None => is_greedy(command),
        }
    }
}
