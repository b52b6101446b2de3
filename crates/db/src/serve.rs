//! The session loop over any byte stream: requests in, replies and messages out.
//!
//! Requests run in the order in which they came, as many as are complete at once. Each reply goes to the output with
//! the position of the log that it could have seen, and leaves when the log is safe up to there; meanwhile the next
//! requests already run, so that one sync carries many of them. Nothing here grows without bound: who does not read
//! his replies is not executed further, and who does not read his messages is disconnected.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};
use windlass_engine::Message;

use crate::client::{Client, State};
use crate::error::Result;
use crate::input::poll_read;
use crate::output::Output;
use crate::progress::Position;
use crate::session::{Called, Session};
use crate::woken::WhenWoken;

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
/// When the stream fails, when the client does not read what it is sent, or when the log failed and the outcome of what
/// ran is unknown: then it gets no reply.
pub async fn serve<S>(stream: S, session: Session, stop: impl Future<Output = ()>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let mut stream = pin!(stream);
    let mut client = Client::new(session);
    let session = client.session.clone();
    let stop = pin!(stop);
    let mut stop = WhenWoken::new(stop);
    let mut is_flushed = true;
    // True once the clients of this thread had their turn since there was something to send.
    let mut has_let_others = false;
    loop {
        client.execute_complete(&session)?;
        client.output.release(&session);
        let held = client.output.held();
        let lets_others = !client.output.is_empty() && !has_let_others;
        if lets_others && held.is_none() {
            // One write after another hands the processor to and fro between this thread and the clients that each of
            // them wakes. Redis, too, sends what it has for all clients at the end of a turn of its loop.
            after_others().await;
        }
        // What the stream takes at once, as it nearly always does, leaves without another turn of this loop.
        let was_paused = client.is_paused();
        is_flushed &= client.output.ready().is_empty();
        is_flushed = is_flushed || send_at_once(stream.as_mut(), &mut client.output).await?;
        has_let_others = !client.output.is_empty();
        if client.has_ended() && is_flushed {
            // A client that is gone already does not mind.
            return stream.shutdown().await.or(Ok(()));
        }
        if was_paused && !client.is_paused() {
            continue;
        }
        session.note_unread(client.output.len());
        let may_read = client.may_read();
        let deadline = client.deadline();
        let mut safe = pin!(made_safe(&session, held.unwrap_or(Position::START), lets_others));
        let mut passed = pin!(passed(deadline));
        let mut delivery = session.next_delivery();
        let is_closing = client.state == State::Closing;
        let listens = !is_closing && client.script.is_none();
        // By hand, not by `select!`: there only one future could hold the stream, or a lock would have to part it.
        let event = poll_fn(|context| {
            let Client { input, output, script, .. } = &mut client;
            if !is_flushed && let Poll::Ready(sent) = poll_send(stream.as_mut(), output.ready(), context) {
                return Poll::Ready(sent.map(Event::Sent));
            }
            if held.is_some()
                && let Poll::Ready(safe) = safe.as_mut().poll(context)
            {
                return Poll::Ready(safe.map(|()| Event::Safe).map_err(io::Error::other));
            }
            if let Some(script) = script
                && let Poll::Ready(called) = Pin::new(script).poll(context)
            {
                let called = called.expect("a script does not panic, and nobody aborts it");
                return Poll::Ready(Ok(Event::Ended(called)));
            }
            // A message goes first. To be told of one takes a lock, which nobody needs who has something to read.
            if listens
                && session.has_delivery()
                && let Poll::Ready(message) = Pin::new(&mut delivery).poll(context)
            {
                return Poll::Ready(message.map(Event::Message).map_err(io::Error::other));
            }
            if may_read && let Poll::Ready(count) = poll_read(stream.as_mut(), input, context) {
                return Poll::Ready(count.map(Event::Read));
            }
            if listens && let Poll::Ready(message) = Pin::new(&mut delivery).poll(context) {
                return Poll::Ready(message.map(Event::Message).map_err(io::Error::other));
            }
            if deadline.is_some() && passed.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Event::Passed));
            }
            if !is_closing && Pin::new(&mut stop).poll(context).is_ready() {
                return Poll::Ready(Ok(Event::Stopped));
            }
            Poll::Pending
        });
        match event.await? {
            Event::Sent(count) => {
                is_flushed = count == 0;
                client.output.remove(count);
            }
            Event::Safe => {}
            Event::Ended(called) => client.end_script(called),
            Event::Message(message) => client.deliver(message, Position::START),
            Event::Read(0) => client.end_input(),
            Event::Stopped => client.close(),
            Event::Read(_) => client.note_life(),
            Event::Passed => client.end_if_idle(),
        }
    }
}

/// What the loop waits for, in the order in which it looks.
enum Event {
    /// So many bytes were sent; 0 when nothing was left to be.
    Sent(usize),
    /// The log is safe up to what the first held reply could have seen.
    Safe,
    /// A script that ran apart has ended.
    Ended(Called),
    Message(Message),
    /// So many bytes have arrived; 0 at the end.
    Read(usize),
    /// The client's deadline has come.
    Passed,
    Stopped,
}

/// Waits until the log is safe up to a position. With `lets_others`, the other clients of this thread whose requests
/// have come run first: whoever is back first then writes the records of all as one group, as Redis does once for each
/// turn of its loop. A write for each client was most of what a log costs.
async fn made_safe(session: &Session, position: Position, lets_others: bool) -> Result<()> {
    let database = session.database();
    if lets_others && database.writes_on_tasks() && !database.is_durable(position) {
        after_others().await;
    }
    database.durable(position).await
}

/// Goes on when the other clients of this thread whose requests have come had their turn.
async fn after_others() {
    let mut has_waited = false;
    // Not tokio's own, which looks for new requests in between: that is a call of the system for each turn.
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for a moment. Nothing is done for it before it is waited for: a timer made in each turn of the loop, needed or
/// not, was dearer than a small command.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Writes some of what may leave; when there is nothing, lets go what lies in a stream that buffers, such as TLS, and
/// answers 0.
fn poll_send(
    stream: Pin<&mut impl AsyncWrite>,
    bytes: &[u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if bytes.is_empty() {
        return stream.poll_flush(context).map_ok(|()| 0);
    }
    match ready!(stream.poll_write(context, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        count => Poll::Ready(Ok(count)),
    }
}

/// Writes what may leave as far as the stream takes it at once; true when nothing is left, in a stream that buffers
/// neither.
async fn send_at_once(mut stream: Pin<&mut impl AsyncWrite>, output: &mut Output) -> io::Result<bool> {
    poll_fn(|context| {
        loop {
            match poll_send(stream.as_mut(), output.ready(), context)? {
                Poll::Ready(0) => return Poll::Ready(Ok(true)),
                Poll::Ready(count) => output.remove(count),
                Poll::Pending => return Poll::Ready(Ok(false)),
            }
        }
    })
    .await
}
