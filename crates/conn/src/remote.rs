//! A session on a server: one wire that clones share, renewed when it breaks.
//!
//! A command that was surely not written whole is sent again on the new wire; one that may have reached the server fails
//! with [`Error::OutcomeUnknown`], because only its author knows whether running it twice does harm.
//!
//! A server that answers READONLY has become a replica. Its address may lead to the one that took its place by now, which a
//! wire that stands never finds out: so every session of the connection opens a new one.

#[cfg(feature = "embedded")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::abandoned::Abandoned;
use crate::blocking::Wait;
use crate::config::Config;
use crate::dial::{Wire, Written};
use crate::error::Error;
#[cfg(feature = "embedded")]
use crate::guest::Guest;
use crate::request::{Request, is_about_password, refusal, tells_of_demotion};
use crate::url::Address;

/// How often one command is sent again after wires broke under it before it was written whole.
const RESENDS_MAX: usize = 5;
/// The pause before the second attempt to renew a wire; each further one is twice as long...
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// ...up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How often the owner of a directory is asked whether it has read its log.
const LOADING_PAUSE: Duration = Duration::from_millis(20);
/// A shorter wait for that is not worth a word...
const QUIET: Duration = Duration::from_millis(500);
/// ...and of a longer one it is told this often.
const TELL_INTERVAL: Duration = Duration::from_secs(2);

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

impl Remote {
    /// Connects, trying once.
    pub async fn open(address: Address, config: Config) -> RedisResult<Self> {
        let line = Line::new(address, config);
        let link = line.connect(&mut Instant::now()).await?;
        Ok(Self::on(line, link))
    }

    /// Connects to the process that has a directory, trying once. When that process ends, this one may follow it.
    /// `since` is when the attempts began, which they do anew after a wait for an owner that reads its log.
    #[cfg(feature = "embedded")]
    pub async fn visit(
        guest: Arc<Guest>,
        socket: &Path,
        config: Config,
        since: &mut Instant,
    ) -> RedisResult<Self> {
        let line = Line::new(Address::unix(socket.to_owned()), config);
        let line = Line { guest: Some(guest), ..line };
        let link = line.connect(since).await?;
        Ok(Self::on(line, link))
    }

    fn on(line: Line, link: Link) -> Self {
        *line.link.lock() = Some(link);
        Self { line: Arc::new(line), abandoned: Arc::default() }
    }

    /// Another session on the same server. That of a directory may be ending just now, and is followed.
    pub async fn session(&self) -> RedisResult<Self> {
        let line = Line::new(self.line.address.clone(), self.line.config.clone());
        let line = Line { demotions: self.line.demotions.clone(), ..line };
        #[cfg(feature = "embedded")]
        let line = Line { guest: self.line.guest.clone(), ..line };
        let time = if line.is_guest() { line.config.connect_time } else { Duration::ZERO };
        let link = line.connect_within(time).await?;
        Ok(Self::on(line, link))
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
    /// How many demotions were known when it was opened.
    demotions: u64,
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
    /// How often a server has turned out to be a replica, to any session of the connection: links from before are left.
    demotions: Arc<AtomicU64>,
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
            demotions: Arc::default(),
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
        let mut is_demoted = false;
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
                Ok(outcome) => {
                    if tells_of_demotion(&outcome) {
                        self.leave_demoted(&link);
                        // It has not run. Who is reached now takes it, or the address leads to a replica still.
                        if !is_demoted && matches!(request, Request::One(_)) {
                            is_demoted = true;
                            continue;
                        }
                    }
                    return self.explained(outcome);
                }
                Err(time) => {
                    self.forget(&link);
                    return Err(Error::OutcomeUnknown { reason: format!("no answer within {time:?}") }.into());
                }
            };
            self.forget(&link);
            if !request.is_unsent(link.written.count() - before) {
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
        let link = self.connect_within(self.config.reconnect_time).await?;
        tracing::info!(address = %self.address.place, "the connection was renewed");
        *self.link.lock() = Some(link.clone());
        Ok(link)
    }

    /// The link, unless it is known to be broken, or to lead to a replica.
    fn current(&self) -> Option<Link> {
        let demotions = self.demotions.load(Ordering::Relaxed);
        let is_good = |link: &&Link| !link.driver.0.is_finished() && link.demotions == demotions;
        self.link.lock().as_ref().filter(is_good).cloned()
    }

    /// Has every session open a new link, unless that has been said since this one was opened.
    fn leave_demoted(&self, link: &Link) {
        let (seen, order) = (link.demotions, Ordering::Relaxed);
        let _ = self.demotions.compare_exchange(seen, seen + 1, order, order);
    }

    /// A refusal that somebody can do something about says what.
    fn explained(&self, outcome: RedisResult<Value>) -> RedisResult<Value> {
        match refusal(&outcome) {
            Some(("MOVED", place)) if !matches!(outcome, Ok(Value::Array(_))) => {
                let node = place.rsplit(' ').next().unwrap_or_default().to_owned();
                Err(Error::Moved { address: self.address.place.to_string(), node }.into())
            }
            _ => outcome,
        }
    }

    /// Leaves a link to those who still use it.
    fn forget(&self, broken: &Link) {
        self.link.lock().take_if(|link| link.generation == broken.generation);
    }

    /// Connects, again and again for so long.
    async fn connect_within(&self, time: Duration) -> RedisResult<Link> {
        let mut since = Instant::now();
        let mut pause = BACKOFF_MIN;
        loop {
            match self.connect(&mut since).await {
                Ok(link) => return Ok(link),
                Err(error) if is_about_password(&error) => return Err(error),
                Err(error) if since.elapsed() >= time => return Err(self.given_up(error)),
                Err(error) => tracing::debug!(%error, "it cannot be connected yet"),
            }
            tokio::time::sleep(pause.mul_f64(jitter())).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// Connects and asks for a first answer, so that a missing password is found here rather than by the first command.
    /// Who is at the socket of a directory changes, and is asked each time.
    async fn connect(&self, since: &mut Instant) -> RedisResult<Link> {
        let link = self.open().await?;
        if link.generation == 0 || self.is_guest() {
            self.greet(&link, since).await?;
        }
        Ok(link)
    }

    async fn open(&self) -> RedisResult<Link> {
        let time = self.config.connect_time;
        let demotions = self.demotions.load(Ordering::Relaxed);
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
            demotions,
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

    /// Asks for a first answer. A server that reads its data answers, and will be ready by and by; the owner of a directory
    /// is waited for.
    async fn greet(&self, link: &Link, since: &mut Instant) -> RedisResult<()> {
        let begun = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            match self.ask(link, &redis::cmd("PING")).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ServerErrorKind::BusyLoading.into() => {
                    if !self.is_guest() {
                        return Ok(());
                    }
                }
                Err(error) if matches!(error.code(), Some("BUSY" | "MISCONF")) => return Ok(()),
                Err(error) if Error::of(&error).is_some() => return Err(error),
                Err(error) => return Err(self.refused(error)),
            }
            if begun.elapsed() >= QUIET && told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL) {
                told = Some(Instant::now());
                let info = self.ask(link, redis::cmd("INFO").arg("persistence")).await?;
                self.tell_loading(&redis::from_redis_value::<String>(info).unwrap_or_default());
            }
            tokio::time::sleep(LOADING_PAUSE).await;
            *since = Instant::now();
        }
    }

    async fn ask(&self, link: &Link, cmd: &Cmd) -> RedisResult<Value> {
        let time = self.config.response_time;
        match tokio::time::timeout(time, cmd.query_async(&mut link.connection.clone())).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.unreachable(format!("no answer within {time:?}")).into()),
        }
    }

    fn refused(&self, error: RedisError) -> RedisError {
        let text = error.to_string();
        let hint = if is_about_password(&error) && self.is_guest() {
            "the process that has the directory asks for a password: use a URL of its address, with that"
        } else if is_about_password(&error) {
            "check user and password in the URL"
        } else if self.is_guest() {
            "the process that has the directory ended just now, or ends; try again"
        } else {
            "check that it is a Redis or Valkey server"
        };
        Error::Connect { address: self.address.place.to_string(), reason: text, hint }.into()
    }

    fn unreachable(&self, reason: String) -> Error {
        let hint = if self.is_guest() {
            "look whether the process that has the directory hangs"
        } else {
            "look whether the server hangs or the network between is broken"
        };
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

/// What is otherwise at the socket of a directory, whose owners come and go.
#[cfg(feature = "embedded")]
impl Line {
    fn is_guest(&self) -> bool {
        self.guest.is_some()
    }

    /// Tells how far the owner is with its log, from what it says of itself.
    fn tell_loading(&self, info: &str) {
        let percent = info.lines().find_map(|line| line.strip_prefix("loading_loaded_perc:"));
        if let Some(guest) = &self.guest {
            guest.tell_loading(percent.and_then(|percent| percent.split('.').next()));
        }
    }

    /// What to say after the last attempt.
    fn given_up(&self, error: RedisError) -> RedisError {
        match (&self.guest, &self.address.place) {
            (Some(guest), crate::url::Place::Unix(socket)) => guest.silent(socket.clone(), &error).into(),
            _ => error,
        }
    }
}

/// Without the embedded store nobody is a guest.
#[cfg(not(feature = "embedded"))]
impl Line {
    fn is_guest(&self) -> bool {
        false
    }

    fn tell_loading(&self, _: &str) {}

    fn given_up(&self, error: RedisError) -> RedisError {
        error
    }
}

/// A factor between a half and one, so that many clients do not come back at the same moment.
fn jitter() -> f64 {
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    0.5 + f64::from(nanos % 1000) / 2000.0
}
