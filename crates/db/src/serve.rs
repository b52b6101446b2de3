//! The session loop over any byte stream: requests in, replies and messages out.
//!
//! Requests run in the order in which they came, as many as are complete at once. Each reply goes to the output with
//! the position of the log that it could have seen, and leaves when the log is safe up to there; meanwhile the next
//! requests already run, so that one sync carries many of them. Nothing here grows without bound: who does not read
//! his replies is not executed further, and who does not read his messages is disconnected.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, State};
use crate::error::Result;
use crate::input::read_more;
use crate::output::Output;
use crate::progress::Position;
use crate::session::{Called, Session};

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
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut client = Client::new(session);
    let mut stop = pin!(stop);
    let mut is_flushed = true;
    // True once the clients of this thread had their turn since there was something to send.
    let mut has_let_others = false;
    loop {
        client.execute_complete()?;
        client.output.release(&client.session);
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
        is_flushed = is_flushed || send_at_once(&mut writer, &mut client.output).await?;
        has_let_others = !client.output.is_empty();
        if client.has_ended() && is_flushed {
            // A client that is gone already does not mind.
            return writer.shutdown().await.or(Ok(()));
        }
        if was_paused && !client.is_paused() {
            continue;
        }
        client.session.note_unread(client.output.len());
        let may_read = client.may_read();
        let deadline = client.deadline();
        let Client { session, input, output, state, script, .. } = &mut client;
        tokio::select! {
            biased;
            sent = send(&mut writer, output.ready()), if !is_flushed => {
                let count = sent?;
                is_flushed = count == 0;
                output.remove(count);
            }
            safe = made_safe(session, held.unwrap_or(Position::START), lets_others), if held.is_some() => {
                safe.map_err(io::Error::other)?;
            }
            called = ended(script), if script.is_some() => client.end_script(called),
            message = session.next_delivery(), if *state != State::Closing && script.is_none() => {
                let message = message.map_err(io::Error::other)?;
                client.deliver(message, Position::START);
            }
            count = read_more(&mut reader, input), if may_read => match count? {
                0 => client.close(),
                _ => client.note_life(),
            },
            () = passed(deadline), if deadline.is_some() => {
                client.end_if_idle();
            }
            () = &mut stop, if *state != State::Closing => client.close(),
        }
    }
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
    std::future::poll_fn(|context| {
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

/// Waits for the end of a script.
async fn ended(script: &mut Option<JoinHandle<Called>>) -> Called {
    match script {
        Some(script) => script.await.expect("a script does not panic, and nobody aborts it"),
        None => std::future::pending().await,
    }
}

/// Writes some of what may leave; when there is nothing, lets go what lies in a stream that buffers, such as TLS, and
/// answers 0.
async fn send(writer: &mut (impl AsyncWrite + Unpin), ready: &[u8]) -> io::Result<usize> {
    if ready.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(ready).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// Writes what may leave as far as the stream takes it at once; true when nothing is left, in a stream that buffers
/// neither.
async fn send_at_once(writer: &mut (impl AsyncWrite + Unpin), output: &mut Output) -> io::Result<bool> {
    std::future::poll_fn(|context| {
        loop {
            let sent = pin!(send(writer, output.ready())).poll(context)?;
            match sent {
                Poll::Ready(0) => return Poll::Ready(Ok(true)),
                Poll::Ready(count) => output.remove(count),
                Poll::Pending => return Poll::Ready(Ok(false)),
            }
        }
    })
    .await
}
