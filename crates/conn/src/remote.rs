//! A session on a server: one wire that clones share, renewed when it breaks.
//!
//! A command of which no byte was written is sent again on the new wire; one that may have reached the server fails
//! with [`Error::OutcomeUnknown`], because only its author knows whether running it twice does harm.

#[cfg(feature = "embedded")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::task::JoinHandle;

use crate::abandoned::Abandoned;
use crate::blocking::Wait;
use crate::config::Config;
use crate::dial::{Wire, Written};
use crate::error::Error;
#[cfg(feature = "embedded")]
use crate::guest::Guest;
use crate::url::Address;

/// How often one command is sent again after wires broke under it before a byte of it was written.
const RESENDS_MAX: usize = 5;
/// The pause before the second attempt to renew a wire; each further one is twice as long...
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// ...up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A session on a server; a clone is the same session.
#[derive(Clone)]
pub struct Remote {
    line: Arc<Line>,
    /// Blocking calls that nobody awaits any more. They hold the line, not the other way round, so that they end with
    /// the last clone.
    abandoned: Arc<Mutex<Abandoned<Task>>>,
}

/// A blocking call under way.
type Task = AbortOnDrop<RedisResult<Value>>;

/// What is sent at one time.
pub enum Request<'a> {
    /// A command.
    One(&'a Cmd),
    /// Commands, and which of their replies are wanted.
    Many { pipeline: &'a Pipeline, offset: usize, count: usize },
}

impl Remote {
    /// Connects, trying once.
    pub async fn open(address: Address, config: Config) -> RedisResult<Self> {
        Self::start(Line::new(address, config)).await
    }

    /// Connects to the process that has a directory, trying once. When that process ends, this one may follow it.
    #[cfg(feature = "embedded")]
    pub async fn visit(guest: Guest, socket: &Path, config: Config) -> RedisResult<Self> {
        let line = Line::new(Address::unix(socket.to_owned()), config);
        Self::start(Line { guest: Some(Arc::new(guest)), ..line }).await
    }

    async fn start(line: Line) -> RedisResult<Self> {
        let link = line.connect().await?;
        line.greet(&link).await?;
        *line.link.lock() = Some(link);
        Ok(Self { line: Arc::new(line), abandoned: Arc::default() })
    }

    /// Another session on the same server.
    pub async fn session(&self) -> RedisResult<Self> {
        let line = Line::new(self.line.address.clone(), self.line.config.clone());
        #[cfg(feature = "embedded")]
        let line = Line { guest: self.line.guest.clone(), ..line };
        Self::start(line).await
    }
    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.line.address
    }

    /// How it behaves.
    pub fn config(&self) -> &Config {
        &self.line.config
    }

    /// The selected database.
    pub fn db(&self) -> i64 {
        *self.line.db.lock()
    }

    /// Sends a command and gives its reply. `args` are those of `cmd`, and `wait` is how long it may block.
    pub async fn call(&self, cmd: &Cmd, args: &[&[u8]], wait: Wait) -> RedisResult<Value> {
        if wait == Wait::None {
            let reply = self.line.request(Request::One(cmd), wait).await?;
            self.line.note(args, &reply);
            return Ok(reply);
        }
        // Such a call goes on when its future is dropped: its reply may have been taken from a list already.
        let key: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        let task = self.abandoned.lock().find(&key);
        let task = match task {
            Some(task) => task,
            None => {
                self.abandoned.lock().check_room()?;
                let (line, cmd) = (self.line.clone(), cmd.clone());
                AbortOnDrop(tokio::spawn(async move { line.request(Request::One(&cmd), wait).await }))
            }
        };
        let mut awaited = Awaited { abandoned: &self.abandoned, call: Some((key, task)) };
        let (_, task) = awaited.call.as_mut().expect("it is taken below only");
        let outcome = (&mut task.0).await;
        awaited.call = None;
        outcome.unwrap_or_else(|_| Err(Error::OutcomeUnknown { reason: "its runtime ended".into() }.into()))
    }

    /// Sends commands together and gives the replies that are wanted.
    pub async fn call_all(&self, request: Request<'_>, wait: Wait) -> RedisResult<Vec<Value>> {
        let is_transaction = matches!(request, Request::Many { pipeline, .. } if pipeline.is_transaction());
        let outcome = self.line.request(request, wait).await;
        if is_transaction {
            *self.line.transaction.lock() = None;
        }
        match outcome? {
            Value::Array(replies) => Ok(replies),
            reply => Ok(vec![reply]),
        }
    }
}

/// Keeps a blocking call when its future is dropped.
struct Awaited<'a> {
    abandoned: &'a Mutex<Abandoned<Task>>,
    call: Option<(Vec<Vec<u8>>, Task)>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some((key, task)) = self.call.take() {
            self.abandoned.lock().keep(key, task);
        }
    }
}

/// A task that ends with its handle.
#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A wire of which a driver task takes care, and what a command needs of it.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    written: Written,
    generation: u64,
    driver: Arc<AbortOnDrop<()>>,
}

/// The wire to a server, and what of the session must survive its renewal.
struct Line {
    address: Address,
    config: Config,
    /// Where the server is whoever has a directory.
    #[cfg(feature = "embedded")]
    guest: Option<Arc<Guest>>,
    link: Mutex<Option<Link>>,
    /// Held by who renews the link.
    renewal: tokio::sync::Mutex<()>,
    generation: AtomicU64,
    db: Mutex<i64>,
    /// The generation of the link on which WATCH or MULTI began a transaction that has not ended.
    transaction: Mutex<Option<u64>>,
}

impl Line {
    fn new(address: Address, config: Config) -> Self {
        Self {
            db: Mutex::new(address.redis.db()),
            address,
            config,
            #[cfg(feature = "embedded")]
            guest: None,
            link: Mutex::new(None),
            renewal: tokio::sync::Mutex::new(()),
            generation: AtomicU64::new(0),
            transaction: Mutex::new(None),
        }
    }

    /// Sends a request, again if need be, and gives its reply; those of a pipeline as an array.
    async fn request(&self, request: Request<'_>, wait: Wait) -> RedisResult<Value> {
        let time = match wait {
            Wait::None => Some(self.config.response_time),
            Wait::AtMost(wait) => Some(self.config.response_time.saturating_add(wait)),
            Wait::ForEver => None,
        };
        for _ in 0..RESENDS_MAX {
            let link = self.link().await?;
            self.check_transaction(link.generation)?;
            let before = link.written.count();
            let sent = request.send(link.connection.clone());
            let outcome = match time {
                Some(time) => tokio::time::timeout(time, sent).await.map_err(|_| time),
                None => Ok(sent.await),
            };
            let reason = match outcome {
                Ok(Err(error)) if error.is_unrecoverable_error() || error.is_io_error() => error.to_string(),
                Ok(outcome) => return outcome,
                Err(time) => {
                    self.forget(&link);
                    return Err(Error::OutcomeUnknown { reason: format!("no answer within {time:?}") }.into());
                }
            };
            self.forget(&link);
            if link.written.count() != before {
                return Err(Error::OutcomeUnknown { reason }.into());
            }
        }
        let reason = format!("the connection broke {RESENDS_MAX} times before the command was sent");
        Err(self.unreachable(reason).into())
    }

    /// The link, renewed if it is broken.
    async fn link(&self) -> RedisResult<Link> {
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let _renewal = self.renewal.lock().await;
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let started = tokio::time::Instant::now();
        let mut pause = BACKOFF_MIN;
        let link = loop {
            match self.connect().await {
                Ok(link) => break link,
                Err(error) if started.elapsed() >= self.config.reconnect_time => return Err(error),
                Err(error) => tracing::debug!(%error, "the connection cannot be renewed yet"),
            }
            tokio::time::sleep(pause.mul_f64(jitter())).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        };
        tracing::info!(address = %self.address.place, "the connection was renewed");
        *self.link.lock() = Some(link.clone());
        Ok(link)
    }

    /// The link, unless it is known to be broken.
    fn current(&self) -> Option<Link> {
        self.link.lock().as_ref().filter(|link| !link.driver.0.is_finished()).cloned()
    }

    /// Leaves a link to those who still use it.
    fn forget(&self, broken: &Link) {
        self.link.lock().take_if(|link| link.generation == broken.generation);
    }

    async fn connect(&self) -> RedisResult<Link> {
        let time = self.config.connect_time;
        let wire = self.dial().await?;
        let written = wire.written();
        let settings = self.address.redis.clone().set_db(*self.db.lock());
        // Each request has a time of its own, see above; redis-rs's default of 500 ms would end blocking commands.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&settings, wire, config);
        let (connection, driver) = match tokio::time::timeout(time, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(self.refused(error)),
            Err(_) => return Err(self.unreachable(format!("no answer within {time:?}")).into()),
        };
        Ok(Link {
            connection,
            written,
            generation: self.generation.fetch_add(1, Ordering::Relaxed),
            driver: Arc::new(AbortOnDrop(tokio::spawn(driver))),
        })
    }

    #[cfg(not(feature = "embedded"))]
    async fn dial(&self) -> RedisResult<Wire> {
        Ok(Wire::open(&self.address.place, &self.config).await?)
    }

    /// Opens a wire; at the socket of a directory where nobody answers, after an attempt to take the directory over.
    #[cfg(feature = "embedded")]
    async fn dial(&self) -> RedisResult<Wire> {
        match (Wire::open(&self.address.place, &self.config).await, &self.guest) {
            (Err(_), Some(guest)) if self.config.takes_over => {
                guest.take_over(&self.config).await?;
                Ok(Wire::open(&self.address.place, &self.config).await?)
            }
            (wire, _) => Ok(wire?),
        }
    }

    /// Asks for a first answer, so that a missing password is found here rather than by the first command.
    async fn greet(&self, link: &Link) -> RedisResult<()> {
        let mut connection = link.connection.clone();
        let ping = redis::cmd("PING");
        match tokio::time::timeout(self.config.response_time, ping.exec_async(&mut connection)).await {
            Ok(Ok(())) => Ok(()),
            // It answers, and will be ready by and by.
            Ok(Err(error)) if error.kind() == ServerErrorKind::BusyLoading.into() => Ok(()),
            Ok(Err(error)) if matches!(error.code(), Some("BUSY" | "MISCONF")) => Ok(()),
            Ok(Err(error)) => Err(self.refused(error)),
            Err(_) => {
                Err(self.unreachable(format!("no answer within {:?}", self.config.response_time)).into())
            }
        }
    }

    fn refused(&self, error: RedisError) -> RedisError {
        let text = error.to_string();
        let is_about_password = error.kind() == redis::ErrorKind::AuthenticationFailed
            || ["NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|code| text.contains(code));
        let hint = if is_about_password {
            "check user and password in the URL"
        } else {
            "check that it is a Redis or Valkey server"
        };
        Error::Connect { address: self.address.place.to_string(), reason: text, hint }.into()
    }

    fn unreachable(&self, reason: String) -> Error {
        let hint = "look whether the server hangs or the network between is broken";
        Error::Connect { address: self.address.place.to_string(), reason, hint }
    }

    /// Refuses to go on with a transaction whose beginning was lost with an earlier link.
    fn check_transaction(&self, generation: u64) -> RedisResult<()> {
        let lost = self.transaction.lock().take_if(|began| *began != generation);
        if lost.is_some() { Err(Error::TransactionLost.into()) } else { Ok(()) }
    }

    /// Remembers what a command changed of the session.
    fn note(&self, args: &[&[u8]], reply: &Value) {
        let is = |names: &[&str]| names.iter().any(|name| args[0].eq_ignore_ascii_case(name.as_bytes()));
        if matches!(reply, Value::ServerError(_)) || args[0].len() > "DISCARD".len() {
            return;
        }
        if is(&["SELECT"]) {
            if let Some(db) = args.get(1).and_then(|db| std::str::from_utf8(db).ok()?.parse().ok()) {
                *self.db.lock() = db;
            }
        } else if is(&["WATCH", "MULTI"]) {
            let generation = self.link.lock().as_ref().map(|link| link.generation);
            *self.transaction.lock() = generation;
        } else if is(&["EXEC", "DISCARD", "UNWATCH"]) {
            *self.transaction.lock() = None;
        }
    }
}

impl Request<'_> {
    async fn send(&self, mut connection: MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::One(cmd) => connection.send_packed_command(cmd).await,
            Self::Many { pipeline, offset, count } => {
                connection.send_packed_commands(pipeline, *offset, *count).await.map(Value::Array)
            }
        }
    }
}

/// A factor between a half and one, so that many clients do not come back at the same moment.
fn jitter() -> f64 {
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    0.5 + f64::from(nanos % 1000) / 2000.0
}
