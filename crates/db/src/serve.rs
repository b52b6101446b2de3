//! The session loop over any byte stream: requests in, replies and messages out.
//!
//! Requests run in the order in which they came, as many as are complete at once. Each reply goes to the output with
//! the position of the log that it could have seen, and leaves when the log is safe up to there; meanwhile the next
//! requests already run, so that one sync carries many of them. Nothing here grows without bound: who does not read
//! his replies is not executed further, and who does not read his messages is disconnected.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use windlass_engine::Message;
use windlass_resp::{Decoder, Limits, Protocol, Value, encode};

use crate::progress::Position;
use crate::session::{Called, Session};

/// The bytes that one read asks for at least.
const READ_BYTES: usize = 16 << 10;
/// The most bytes of requests that are read ahead while none of them may run.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// The longest request in bytes, as Redis's `client-query-buffer-limit`.
const REQUEST_BYTES_MAX: usize = 1 << 30;
/// With more bytes of unread replies than this, no further request runs.
const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// A buffer that was larger than this for once gives its memory back when it is empty.
const BUFFER_KEPT_BYTES: usize = 64 << 10;
/// Commands with so many arguments need no memory of their own for the list.
const ARGS_INLINE: usize = 8;

/// Serves one client until it leaves, is told to close, or `stop` is ready; what ran before is answered.
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use windlass_db::{Config, Database, serve};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut client, stream) = tokio::io::duplex(1024);
/// let session = Database::memory(Config::default())?.session("example");
/// client.write_all(b"SET k v\r\nGET k\r\n").await?;
/// client.shutdown().await?;
/// serve(stream, session, std::future::pending()).await?;
/// let mut replies = String::new();
/// client.read_to_string(&mut replies).await?;
/// assert_eq!(replies, "+OK\r\n$1\r\nv\r\n");
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the stream fails, when the client does not read its messages, or when the log failed and the outcome of what
/// ran is unknown: then it gets no reply.
pub async fn serve<S>(stream: S, session: Session, stop: impl Future<Output = ()>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut client = Client::new(session);
    let mut stop = pin!(stop);
    loop {
        client.execute_complete()?;
        let Client { session, input, output, state, .. } = &mut client;
        output.release(session);
        if *state == State::Closing && output.is_empty() {
            // The stream may be a buffering one, such as TLS; a client that is gone already does not mind.
            return writer.shutdown().await.or(Ok(()));
        }
        let may_read = match state {
            State::Ready if output.len() < OUTPUT_PAUSE_BYTES => input.len() < REQUEST_BYTES_MAX,
            State::Ready | State::Waiting => input.len() < AHEAD_BYTES_MAX,
            State::Closing => false,
        };
        if may_read {
            input.reserve(READ_BYTES);
        }
        let held = output.held();
        tokio::select! {
            biased;
            written = writer.write(output.ready()), if !output.ready().is_empty() => match written? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => output.remove(count),
            },
            safe = session.database().durable(held.unwrap_or(Position::START)), if held.is_some() => {
                safe.map_err(io::Error::other)?;
            }
            message = session.next_delivery(), if *state != State::Closing => {
                let message = message.map_err(io::Error::other)?;
                client.deliver(message, Position::START);
            }
            count = reader.read_buf(input), if may_read => {
                if count? == 0 {
                    client.close();
                }
            }
            () = &mut stop, if *state != State::Closing => client.close(),
        }
    }
}

/// One client's side of the conversation.
struct Client {
    session: Session,
    decoder: Decoder,
    /// What was read and is not executed.
    input: Vec<u8>,
    output: Output,
    protocol: Protocol,
    limits: Limits,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Requests run as they come.
    Ready,
    /// A blocking command waits, and with it the requests behind.
    Waiting,
    /// Nothing runs any more; the connection ends when the output has left.
    Closing,
}

/// Commands after which the client may speak another protocol, or has given the password.
const SESSION_COMMANDS: [&[u8]; 4] = [b"HELLO", b"AUTH", b"RESET", b"EXEC"];
/// The first words of an HTTP request: a browser was made to speak to a database, see Redis's `securityWarningCommand`.
const HTTP_WORDS: [&[u8]; 2] = [b"POST", b"Host:"];

impl Client {
    fn new(session: Session) -> Self {
        let mut client = Self {
            session,
            decoder: Decoder::default(),
            input: Vec::new(),
            output: Output::default(),
            protocol: Protocol::default(),
            limits: Limits::DEFAULT,
            state: State::Ready,
        };
        client.look_at_session();
        client
    }

    fn look_at_session(&mut self) {
        self.protocol = self.session.protocol();
        self.limits = if self.session.is_authenticated() { Limits::DEFAULT } else { Limits::BEFORE_AUTH };
    }

    /// Executes the requests that are complete, as far as they may run now.
    fn execute_complete(&mut self) -> io::Result<()> {
        let mut input = std::mem::take(&mut self.input);
        let mut start = 0;
        self.take_deliveries();
        while self.state == State::Ready && self.output.len() < OUTPUT_PAUSE_BYTES {
            match self.decoder.decode(&input[start..], self.limits) {
                Ok(Some(length)) => {
                    let request = &input[start..start + length];
                    let decoder = std::mem::take(&mut self.decoder);
                    with_args(decoder.args(request), |args| self.execute(args));
                    self.decoder = decoder;
                    start += length;
                }
                Ok(None) => break,
                Err(error) => {
                    let reply = Value::Error(format!("ERR {error}").into());
                    self.output.push(&reply, self.protocol, Position::START);
                    self.close();
                }
            }
        }
        input.drain(..start);
        give_back(&mut input);
        self.input = input;
        if self.input.len() >= REQUEST_BYTES_MAX {
            return Err(io::Error::other("the request is too long"));
        }
        // Redis disconnects such subscribers, too; those in whose mailbox more came at once are waited for no longer.
        let unread_max = self.session.database().store().config.mailbox_bytes_max;
        let is_overrun = self.state == State::Closing && self.session.is_overrun();
        if self.output.message_bytes > unread_max || is_overrun {
            return Err(io::Error::other("the client does not read its messages"));
        }
        Ok(())
    }

    fn execute(&mut self, args: &[&[u8]]) {
        let is = |words: &[&[u8]]| words.iter().any(|word| args[0].eq_ignore_ascii_case(word));
        if is(&HTTP_WORDS) {
            tracing::warn!("a client sent an HTTP request instead of commands and was disconnected");
            return self.close();
        }
        match self.session.call(args) {
            Called::Reply(reply, position) => {
                // The reply to HELLO is in the new protocol already.
                if is(&SESSION_COMMANDS) {
                    self.look_at_session();
                }
                self.output.push(&reply, self.protocol, position);
                if is(&[b"QUIT"]) && !reply.is_error() {
                    self.close();
                }
            }
            Called::Waiting => self.state = State::Waiting,
            Called::Delivered => {}
        }
        self.take_deliveries();
    }

    /// Sends what has reached the session by now behind the replies before it.
    fn take_deliveries(&mut self) {
        while self.state != State::Closing
            && let Some((message, position)) = self.session.take_delivery()
        {
            self.deliver(message, position);
        }
    }

    fn deliver(&mut self, message: Message, position: Position) {
        match message {
            Message::Reply(reply) => {
                self.output.push(&reply, self.protocol, position);
                self.state = State::Ready;
            }
            Message::Push(value) => {
                let before = self.output.bytes.len();
                self.output.push(&value, self.protocol, position);
                self.output.message_bytes += self.output.bytes.len() - before;
            }
            Message::Silent => self.state = State::Ready,
            Message::Close => self.close(),
        }
    }

    /// Lets the output leave and nothing else happen.
    fn close(&mut self) {
        if self.state == State::Waiting {
            self.session.stop_waiting();
        }
        self.state = State::Closing;
    }
}

/// Replies on their way out, in order, the first of them free to leave.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    /// How many of the bytes have left.
    sent: usize,
    /// How many of the bytes may leave.
    free: usize,
    /// Up to which byte the rest may leave once the log is safe up to a position; both ascend.
    marks: VecDeque<(usize, Position)>,
    /// At most so many of the bytes are messages, which nobody can hold back.
    message_bytes: usize,
}

impl Output {
    fn push(&mut self, value: &Value, protocol: Protocol, position: Position) {
        encode(value, protocol, &mut self.bytes);
        let end = self.bytes.len();
        match self.marks.back_mut() {
            // What is already safe waits for what stands before it, no longer.
            Some(last) if last.1 >= position => last.0 = end,
            _ => self.marks.push_back((end, position)),
        }
    }

    /// Lets go what the log has caught up with.
    fn release(&mut self, session: &Session) {
        while let Some((end, position)) = self.marks.front()
            && session.database().is_durable(*position)
        {
            self.free = *end;
            self.marks.pop_front();
        }
    }

    /// The position that the first held bytes wait for.
    fn held(&self) -> Option<Position> {
        self.marks.front().map(|(_, position)| *position)
    }

    fn ready(&self) -> &[u8] {
        &self.bytes[self.sent..self.free]
    }

    fn remove(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            give_back(&mut self.bytes);
            (self.sent, self.free, self.message_bytes) = (0, 0, 0);
            return;
        }
        // Otherwise one who reads, but is never quite done, would be cut in the end.
        self.message_bytes = self.message_bytes.min(self.len());
        if self.sent > self.bytes.len() / 2 && self.sent > BUFFER_KEPT_BYTES {
            self.bytes.drain(..self.sent);
            self.marks.iter_mut().for_each(|(end, _)| *end -= self.sent);
            self.free -= self.sent;
            self.sent = 0;
        }
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
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

fn give_back(buffer: &mut Vec<u8>) {
    if buffer.is_empty() && buffer.capacity() > BUFFER_KEPT_BYTES {
        *buffer = Vec::new();
    }
}
