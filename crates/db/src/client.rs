//! One client's side of the session loop: what of its requests may run now, and what it is sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use windlass_engine::{ClientLimits, Message};
use windlass_resp::{Decoder, Limits, Protocol, Value};

use crate::ahead::{Ahead, Request};
use crate::foreign::is_foreign;
use crate::input::give_back;
use crate::name::{is, is_one_of};
use crate::output::Output;
use crate::progress::Position;
use crate::quick::{QUICK, Script};
use crate::session::{Called, Session, Turn};

/// The most bytes of requests that are read ahead while none of them may run.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// With more bytes of unread replies than this, no further request runs.
const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// The longest string that is encoded with the lock.
const SMALL_BYTES_MAX: usize = 1 << 10;
/// Commands with so many arguments need no memory of their own for the list.
const ARGS_INLINE: usize = 8;

/// One client's side of the conversation.
pub(crate) struct Client {
    pub session: Arc<Session>,
    decoder: Decoder,
    /// What was read and is not executed.
    pub input: Vec<u8>,
    pub output: Output,
    protocol: Protocol,
    limits: Limits,
    pub state: State,
    /// A script that runs on a thread of its own, and the requests behind it wait.
    pub script: Option<JoinHandle<Called>>,
    /// How the client is treated, and the version of that which was looked at.
    treatment: ClientLimits,
    treatment_version: u64,
    /// When it last said something; kept while silent clients are disconnected.
    heard: Option<Instant>,
    has_executed: bool,
    /// Set when nothing more comes; what has come whole still runs.
    has_input_ended: bool,
    /// Set when a script was queued that may take long: the transaction then does.
    has_queued_script: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Requests run as they come.
    Ready,
    /// A blocking command or a script waits, and with it the requests behind.
    Waiting,
    /// Nothing runs any more; the connection ends when the output has left.
    Closing,
}

/// Commands after which the client may speak another protocol, or has given the password.
const SESSION_COMMANDS: [&[u8]; 4] = [b"HELLO", b"AUTH", b"RESET", b"EXEC"];
/// How the errors begin that answer what is no command.
const NO_COMMAND: [&str; 2] = ["ERR unknown command", "ERR wrong number of arguments"];

impl Client {
    pub fn new(session: Session) -> Self {
        let mut client = Self {
            session: Arc::new(session),
            decoder: Decoder::default(),
            input: Vec::new(),
            output: Output::default(),
            protocol: Protocol::default(),
            limits: Limits::DEFAULT,
            state: State::Ready,
            script: None,
            treatment: ClientLimits::default(),
            // No version is this one, so that the limits are looked at before anything else.
            treatment_version: u64::MAX,
            heard: None,
            has_executed: false,
            has_input_ended: false,
            has_queued_script: false,
        };
        client.look_at_session();
        client.look_at_limits();
        client
    }

    fn look_at_session(&mut self) {
        self.protocol = self.session.protocol();
        let known = Limits { bulk_max: self.treatment.argument_max, ..Limits::DEFAULT };
        self.limits = if self.session.is_authenticated() { known } else { Limits::BEFORE_AUTH };
    }

    /// True when more may be read: who does not take his replies, or waits, is not read far ahead.
    pub fn may_read(&self) -> bool {
        match self.state {
            _ if self.has_input_ended => false,
            State::Ready if !self.is_paused() => self.input.len() < self.treatment.request_max,
            State::Ready | State::Waiting => self.input.len() < AHEAD_BYTES_MAX,
            State::Closing => false,
        }
    }

    /// True while nothing runs because the client does not take its replies.
    pub fn is_paused(&self) -> bool {
        self.output.len() >= OUTPUT_PAUSE_BYTES
    }

    /// True when nothing is left to be done or sent.
    pub fn has_ended(&self) -> bool {
        self.state == State::Closing && self.output.is_empty() && self.script.is_none()
    }

    /// Takes over what CONFIG SET has changed.
    fn look_at_limits(&mut self) {
        let store = self.session.database().store();
        let version = store.limits.version();
        if version != self.treatment_version {
            (self.treatment, self.treatment_version) = (store.limits.get().clients, version);
            if !self.limits.is_before_auth {
                self.limits.bulk_max = self.treatment.argument_max;
            }
            self.note_life();
        }
    }

    /// Takes notice that it said something.
    pub fn note_life(&mut self) {
        self.heard = (self.treatment.idle_s > 0).then(Instant::now);
    }

    /// When the client is to be looked at although nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        if self.state == State::Closing {
            return self.output.excess_deadline();
        }
        let idle = self.heard.map(|heard| heard + Duration::from_secs(self.treatment.idle_s));
        idle.into_iter().chain(self.output.excess_deadline()).min()
    }

    /// Disconnects a client that has been silent for too long. One that waits or listens has nothing to say.
    pub fn end_if_idle(&mut self) {
        let Some(heard) = self.heard else { return };
        if heard.elapsed() < Duration::from_secs(self.treatment.idle_s) {
            return;
        }
        if self.state == State::Waiting || !self.output.is_empty() || self.session.is_subscribed() {
            self.note_life();
        } else {
            self.close();
        }
    }

    /// Executes the requests that are complete, as far as they may run now. `session` is its own, which the lock is
    /// borrowed from while the client changes.
    pub fn execute_complete(&mut self, session: &Session) -> io::Result<()> {
        let mut input = std::mem::take(&mut self.input);
        self.take_deliveries();
        let executed = Ahead::with(|ahead| self.execute_ahead(session, ahead, &input));
        input.drain(..executed);
        give_back(&mut input);
        self.input = input;
        if self.may_execute() && self.input.len() >= self.treatment.request_max {
            let bytes = self.input.len();
            tracing::warn!(bytes, "a client reached client-query-buffer-limit and was disconnected");
            return Err(io::Error::other("the request is too long"));
        }
        // A blocking command waits for nobody; a script that runs apart is answered, and the requests behind it as well.
        let is_only_paused = self.state == State::Ready && self.is_paused();
        if self.has_input_ended && self.script.is_none() && !is_only_paused {
            self.close();
        }
        self.look_at_limits();
        // Those in whose mailbox more came at once are waited for no longer.
        let is_overrun = self.state == State::Closing && self.session.is_overrun();
        if is_overrun || self.output.is_in_excess(&self.treatment) {
            return Err(io::Error::other("the client does not read what it is sent"));
        }
        Ok(())
    }

    /// Executes requests as far as they are complete and may run; answers how many bytes they take.
    fn execute_ahead(&mut self, session: &Session, ahead: &mut Ahead, input: &[u8]) -> usize {
        let mut start = 0;
        let mut turn = Turn::default();
        while self.may_execute() {
            let input = &input[start..];
            if let Err(error) = ahead.read(&mut self.decoder, input, self.limits) {
                let reply = Value::Error(format!("ERR {error}").into());
                self.output.push(&reply, self.protocol, Position::START);
                self.close();
                break;
            }
            if ahead.len() == 0 {
                break;
            }
            if ahead.len() > 1 {
                ahead.with_heads(input, |heads| session.look_ahead(&mut turn, heads));
            }
            self.output.begin_together();
            for index in 0..ahead.len() {
                if !self.may_execute() {
                    // The rest is read again when its time comes.
                    self.decoder = Decoder::default();
                    break;
                }
                let Request { bytes, decoder } = ahead.request(index, input);
                let line = decoder.is_inline().then_some(bytes);
                with_args(decoder.args(bytes), |args| self.execute(session, &mut turn, args, line));
                start += bytes.len();
            }
            ahead.shrink();
        }
        start
    }

    /// True while requests run as they come.
    fn may_execute(&self) -> bool {
        self.state == State::Ready && !self.is_paused()
    }

    /// Executes one request; `line` is what it was in if it was a line of words.
    fn execute<'a>(
        &mut self,
        session: &'a Session,
        turn: &mut Turn<'a>,
        args: &[&[u8]],
        line: Option<&[u8]>,
    ) {
        let is_first_line = line.is_some() && !self.has_executed;
        if line.is_some_and(|line| is_foreign(line, args, is_first_line)) {
            tracing::warn!("a client spoke another protocol and was disconnected");
            return self.close();
        }
        self.has_executed = true;
        let unknown = self.session.database().store().quick.unknown(args);
        if unknown.is_some() || (self.has_queued_script && is(args[0], b"EXEC")) {
            return self.run_apart(unknown, args);
        }
        let is_of_session = is_one_of(args[0], &SESSION_COMMANDS);
        let called = session.call_in(turn, args);
        // A large reply is encoded without the lock, and what follows other answers may need it.
        if !matches!(&called, Called::Reply(reply, _) if is_small(reply)) || is_of_session {
            turn.end();
        }
        match called {
            Called::Reply(reply, position) => {
                // The reply to HELLO is in the new protocol already. An error changed nothing, and may be that of a
                // busy server, whose lock must not be waited for: nobody on this thread could stop its script.
                if is_of_session && !reply.is_error() {
                    self.look_at_session();
                }
                self.output.push(&reply, self.protocol, position);
                // Whoever begins with a line that is no command speaks something else, whose next line may be one.
                let is_none = |text: &str| NO_COMMAND.iter().any(|start| text.starts_with(start));
                let is_no_command = matches!(&reply, Value::Error(text) if is_none(text));
                if (is(args[0], b"QUIT") && !reply.is_error()) || (is_first_line && is_no_command) {
                    self.close();
                }
            }
            Called::Waiting => self.state = State::Waiting,
            Called::Delivered => {}
        }
        self.take_deliveries();
    }

    /// Runs a script that may take long, or a transaction that holds one, on a thread of its own: other clients of this
    /// thread must not wait for it.
    fn run_apart(&mut self, script: Option<Script>, args: &[&[u8]]) {
        let session = self.session.clone();
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        self.state = State::Waiting;
        self.script = Some(spawn_blocking(move || {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let begun = Instant::now();
            let called = session.call(&args);
            let has_run =
                matches!(&called, Called::Reply(reply, _) if *reply != Value::QUEUED && !reply.is_error());
            if let Some(script) = script.filter(|_| has_run && begun.elapsed() < QUICK) {
                session.database().store().quick.note(script);
            }
            called
        }));
    }

    pub fn end_script(&mut self, called: Called) {
        self.script = None;
        if self.state == State::Waiting && called != Called::Waiting {
            self.state = State::Ready;
        }
        if let Called::Reply(reply, position) = called {
            // Only a transaction, run apart or not, can end what was queued.
            self.has_queued_script = reply == Value::QUEUED;
            self.look_at_session();
            self.output.push(&reply, self.protocol, position);
        }
    }

    /// Sends what has reached the session by now behind the replies before it.
    fn take_deliveries(&mut self) {
        // A script that runs apart may turn out to wait, and its reply is not to come before that is known.
        while self.state != State::Closing
            && self.script.is_none()
            && let Some((message, position)) = self.session.take_delivery()
        {
            self.deliver(message, position);
        }
    }

    pub fn deliver(&mut self, message: Message, position: Position) {
        match message {
            Message::Reply(reply) => {
                self.output.push(&reply, self.protocol, position);
                self.state = State::Ready;
            }
            Message::Push(value) => self.output.push_message(&value, self.protocol, position),
            Message::Silent => self.state = State::Ready,
            Message::Close => self.close(),
        }
    }

    /// Takes no more requests. Those that have come whole still run.
    pub fn end_input(&mut self) {
        self.has_input_ended = true;
    }

    /// Lets the output leave and nothing else happen.
    pub fn close(&mut self) {
        if self.state == State::Waiting && self.script.is_none() && !self.session.stop_waiting() {
            // It was served at this moment, and what it took is in its reply.
            self.take_deliveries();
        }
        self.state = State::Closing;
    }
}

/// True for a reply whose encoding takes no time.
fn is_small(reply: &Value) -> bool {
    match reply {
        Value::Simple(_) | Value::Integer(_) | Value::Nil | Value::NilArray | Value::Boolean(_) => true,
        Value::Bulk(bytes) => bytes.len() <= SMALL_BYTES_MAX,
        _ => false,
    }
}

/// Calls `run` with the arguments as a slice, on the stack if there are few.
fn with_args<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>, run: impl FnOnce(&[&[u8]])) {
    let count = args.len();
    if count > ARGS_INLINE {
        return run(&args.collect::<Vec<_>>());
    }
    let mut list: [&[u8]; ARGS_INLINE] = [b""; ARGS_INLINE];
    for (place, arg) in list.iter_mut().zip(args) {
        *place = arg;
    }
    run(&list[..count]);
}
