//! A session of a database in this process: redis-rs's commands run on the caller's thread, no bytes in between.
//!
//! All that redis-rs expects of a connection beyond its documented interface is met in this one file, so that another
//! version of it is a change here: the form of pipelines, the kinds of errors; SCAN's cursor is met in `args.rs`.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use redis::{Pipeline, RedisError, RedisResult, ServerError};
use tokio::sync::{Mutex, MutexGuard};
use windlass_db::{Called, Message, Position, Session};
use windlass_resp::{Value, format_double};

use crate::abandoned::Abandoned;
use crate::args::{Args, packed};
use crate::error::Error;
use crate::home::Home;

/// A session of a database in this process; a clone is the same session.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    /// Held while a call or a pipeline runs or waits: the engine takes a session's commands one after the other.
    turn: Mutex<Turn>,
    db: AtomicI64,
    /// Dropped after the session, as the last thing.
    home: Arc<Home>,
}

/// How far a call came without waiting for anything.
pub enum Begun<'a> {
    /// To its end.
    Done(RedisResult<redis::Value>),
    /// It has its reply, which may be let out when the log is safe up to the position.
    Held(Value, Position),
    /// It runs and waits for its reply.
    Waiting(MutexGuard<'a, Turn>),
    /// Nowhere: another call of the session waits.
    Queued,
}

/// What is left of calls that ended without being fetched.
#[derive(Default)]
pub struct Turn {
    /// Calls that were served while nobody awaited them any more. Those without a reply here have theirs in the
    /// session's mailbox, in the same order.
    abandoned: Abandoned<Option<(Value, Position)>>,
}

impl Embedded {
    /// Opens a session.
    pub fn open(home: Arc<Home>) -> Self {
        let session = home.database().session("embedded");
        Self { inner: Arc::new(Inner { session, turn: Mutex::default(), db: 0.into(), home }) }
    }

    /// Another session of the same database.
    pub fn session(&self) -> Self {
        Self::open(self.inner.home.clone())
    }

    /// Where its database lives.
    pub fn home(&self) -> &Arc<Home> {
        &self.inner.home
    }

    /// The selected database.
    pub fn db(&self) -> i64 {
        self.inner.db.load(Ordering::Relaxed)
    }

    /// Runs one command if it is its turn.
    pub fn begin(&self, args: &[&[u8]]) -> Begun<'_> {
        let Ok(mut turn) = self.inner.turn.try_lock() else { return Begun::Queued };
        match self.run_at_once(&mut turn, args) {
            Ok(Some((reply, position))) if self.inner.session.database().is_durable(position) => {
                Begun::Done(Ok(convert(reply)))
            }
            Ok(Some((reply, position))) => Begun::Held(reply, position),
            Ok(None) => Begun::Waiting(turn),
            Err(error) => Begun::Done(Err(error)),
        }
    }

    /// Waits for what a command needs that was begun with these arguments.
    pub async fn end(&self, begun: Begun<'_>, args: &[&[u8]]) -> RedisResult<redis::Value> {
        let (reply, position) = match begun {
            Begun::Done(result) => return result,
            Begun::Held(reply, position) => (reply, position),
            Begun::Waiting(mut turn) => self.wait(&mut turn, args).await?,
            Begun::Queued => {
                let mut turn = self.inner.turn.lock().await;
                self.run(&mut turn, args).await?
            }
        };
        self.safe(position).await?;
        Ok(convert(reply))
    }

    /// Runs commands one after the other with nothing of this session in between, and gives the replies from `offset`
    /// on; a transaction's replies are those to MULTI, to each command and to EXEC.
    pub async fn call_all(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<redis::Value>> {
        let mut turn = self.inner.turn.lock().await;
        let mut latest = Position::START;
        let mut replies = Vec::with_capacity(count);
        if pipeline.is_transaction() {
            self.run(&mut turn, &[b"MULTI"]).await?;
        }
        for (index, cmd) in pipeline.cmd_iter().enumerate() {
            let packed = packed(cmd);
            let args = Args::of(cmd, packed.as_deref());
            let (reply, position) = self.run(&mut turn, args.as_slice()).await?;
            latest = latest.max(position);
            if !pipeline.is_transaction() && index >= offset {
                replies.push(convert(reply));
            }
        }
        if pipeline.is_transaction() {
            let (reply, position) = self.run(&mut turn, &[b"EXEC"]).await?;
            latest = latest.max(position);
            // An aborted transaction is the failure of the whole, which only an error can say.
            replies.push(convert(reply).extract_error()?);
        }
        drop(turn);
        self.safe(latest).await?;
        Ok(replies)
    }

    /// Runs a command, and waits for its reply if it is a blocking one. The reply may be let out when the log is safe
    /// up to the position.
    async fn run(&self, turn: &mut Turn, args: &[&[u8]]) -> RedisResult<(Value, Position)> {
        match self.run_at_once(turn, args)? {
            Some(reply) => Ok(reply),
            None => Box::pin(self.wait(turn, args)).await,
        }
    }

    /// Runs a command; none when it waits for its reply.
    fn run_at_once(&self, turn: &mut Turn, args: &[&[u8]]) -> RedisResult<Option<(Value, Position)>> {
        if !turn.abandoned.is_empty()
            && let Some(reply) = self.find_abandoned(turn, args)
        {
            return Ok(Some(reply));
        }
        match self.inner.session.call(args) {
            Called::Reply(reply, position) => {
                if args[0].eq_ignore_ascii_case(b"SELECT") && !reply.is_error() {
                    let db = args.get(1).and_then(|db| std::str::from_utf8(db).ok()?.parse().ok());
                    self.inner.db.store(db.unwrap_or_default(), Ordering::Relaxed);
                }
                Ok(Some((reply, position)))
            }
            Called::Waiting => Ok(None),
            Called::Delivered => Err(Error::Refused {
                command: String::from_utf8_lossy(args[0]).into_owned(),
                hint: "its answers are messages, which only `subscribe()` receives",
            }
            .into()),
        }
    }

    /// Awaits the reply of a command that waits. When the future is dropped the wait is given up; if the command was
    /// served by then, the reply is kept for the next call with the same arguments.
    async fn wait(&self, turn: &mut Turn, args: &[&[u8]]) -> RedisResult<(Value, Position)> {
        let mut awaited = Awaited { session: &self.inner.session, turn, args, is_answered: false };
        if let Err(error) = awaited.turn.abandoned.check_room() {
            // The command waits already: its wait is given up by the guard.
            return Err(error.into());
        }
        loop {
            let message = self.inner.session.next_delivery().await.map_err(lost)?;
            match message {
                Message::Reply(reply) => {
                    // It is safe already, see `next_delivery`. Replies of abandoned calls come first.
                    match awaited.turn.abandoned.replies().find(|kept| kept.is_none()) {
                        Some(kept) => *kept = Some((reply, Position::START)),
                        None => {
                            awaited.is_answered = true;
                            return Ok((reply, Position::START));
                        }
                    }
                }
                Message::Push(_) => {}
                Message::Silent => {
                    awaited.is_answered = true;
                    let reason = "it is answered by messages, or by nothing".to_owned();
                    return Err(Error::Store(reason).into());
                }
                Message::Close => {
                    awaited.is_answered = true;
                    return Err(
                        Error::Store("the database was stopped, or the session was ended".into()).into()
                    );
                }
            }
        }
    }

    /// The reply of an abandoned call with these arguments.
    fn find_abandoned(&self, turn: &mut Turn, args: &[&[u8]]) -> Option<(Value, Position)> {
        for kept in turn.abandoned.replies().filter(|kept| kept.is_none()) {
            while let Some((message, position)) = self.inner.session.take_delivery() {
                if let Message::Reply(reply) = message {
                    *kept = Some((reply, position));
                    break;
                }
            }
        }
        turn.abandoned.find(args).flatten()
    }

    async fn safe(&self, position: Position) -> RedisResult<()> {
        let database = self.inner.session.database();
        if database.is_durable(position) {
            return Ok(());
        }
        Box::pin(database.durable(position)).await.map_err(lost)
    }
}

/// Sees to it that a wait whose future is dropped is given up or its reply kept.
struct Awaited<'a> {
    session: &'a Session,
    turn: &'a mut Turn,
    args: &'a [&'a [u8]],
    is_answered: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if !self.is_answered && !self.session.stop_waiting() {
            let args = self.args.iter().map(|arg| arg.to_vec()).collect();
            self.turn.abandoned.keep(args, None);
        }
    }
}

fn lost(error: windlass_db::Error) -> RedisError {
    Error::OutcomeUnknown { reason: error.to_string() }.into()
}

/// A reply in redis-rs's form, by move. It is that of RESP2, which redis-rs speaks unless told otherwise, so that the
/// same command gives the same value here and from a server.
fn convert(value: Value) -> redis::Value {
    let list = |items: Vec<Value>| redis::Value::Array(items.into_iter().map(convert).collect());
    match value {
        Value::Nil | Value::NilArray | Value::Head(_) => redis::Value::Nil,
        Value::Simple(Cow::Borrowed("OK")) => redis::Value::Okay,
        Value::Simple(text) if text == "OK" => redis::Value::Okay,
        Value::Simple(text) => redis::Value::SimpleString(text.into_owned()),
        Value::Error(text) => server_error(&text)
            .map_or_else(|| redis::Value::SimpleString(text.into_owned()), redis::Value::ServerError),
        Value::Integer(number) => redis::Value::Int(number),
        Value::Double(number) => redis::Value::BulkString(format_double(number).into_bytes()),
        Value::Boolean(yes) => redis::Value::Int(yes.into()),
        Value::Bulk(bytes) => redis::Value::BulkString(bytes),
        Value::Verbatim(_, text) => redis::Value::BulkString(text.into_bytes()),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => list(items),
        Value::Map(pairs) => redis::Value::Array(
            pairs.into_iter().flat_map(|(key, value)| [convert(key), convert(value)]).collect(),
        ),
    }
}

/// An error reply. Only redis-rs's parser makes one whose kind it knows: `Script` loads a missing script again only
/// then.
fn server_error(text: &str) -> Option<ServerError> {
    match redis::parse_redis_value(format!("-{text}\r\n").as_bytes()) {
        Ok(redis::Value::ServerError(error)) => Some(error),
        _ => None,
    }
}
