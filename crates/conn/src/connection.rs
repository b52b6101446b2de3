//! The connection: which store a URL names, and redis-rs's interface to it.

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};

use crate::args::{Args, packed};
use crate::blocking::{Wait, wait_of};
use crate::config::Config;
#[cfg(feature = "embedded")]
use crate::embedded::{Begun, Embedded};
#[cfg(feature = "embedded")]
use crate::local::{self, Local};
use crate::remote::Remote;
use crate::request::Request;
use crate::rules::{self, Sharing};
use crate::subscribe::{Source, Subscription};
use crate::url::Url;

/// A connection to a store, embedded or remote. A clone shares its session, see the [crate page](crate).
#[derive(Clone)]
pub struct Connection {
    kind: Kind,
    sharing: Sharing,
    #[cfg(feature = "faults")]
    fuse: Option<crate::fuse::Fuse>,
}

#[derive(Clone)]
enum Kind {
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
    Remote(Remote),
}

impl Connection {
    /// Opens the store that `url` names: a directory, `memory:`, `memory:NAME`, or a server.
    ///
    /// A directory that another process has open is reached through that process. It replays the log of a directory
    /// on a thread for blocking work.
    ///
    /// ```
    /// use redis::AsyncCommands;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> redis::RedisResult<()> {
    /// let mut connection = windlass_conn::Connection::open("memory:").await?;
    /// let () = connection.set("greeting", "hello").await?;
    /// let greeting: String = connection.get("greeting").await?;
    /// assert_eq!(greeting, "hello");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the URL is malformed, when nothing answers, or when the directory cannot be used; the text says which and
    /// what to do.
    pub async fn open(url: &str) -> RedisResult<Self> {
        Self::open_with(url, Config::default()).await
    }

    /// As [`Connection::open`], with settings of yours.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open_with(url: &str, config: Config) -> RedisResult<Self> {
        let kind = match Url::parse(url)? {
            Url::Server(address) => Kind::Remote(Remote::open(address, config).await?),
            #[cfg(feature = "embedded")]
            url => match local::open(url, config).await? {
                Local::Here(home) => Kind::Embedded(Embedded::open(home)),
                Local::Elsewhere(remote) => Kind::Remote(remote),
            },
            #[cfg(not(feature = "embedded"))]
            _ => {
                let url = url.to_owned();
                return Err(crate::Error::MissingFeature { url, feature: "embedded" }.into());
            }
        };
        Ok(Self::on(kind, Sharing::Shared))
    }

    /// A database in memory by a clock that a test moves.
    ///
    /// ```
    /// use std::time::Duration;
    /// use redis::AsyncCommands;
    /// use windlass_conn::{Connection, TestClock};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> redis::RedisResult<()> {
    /// let clock = TestClock::default();
    /// let mut connection = Connection::memory_with(clock.clone())?;
    /// let () = redis::cmd("SET").arg("k").arg("v").arg("PX").arg(500).query_async(&mut connection).await?;
    /// clock.advance(Duration::from_secs(1));
    /// let value: Option<String> = connection.get("k").await?;
    /// assert_eq!(value, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When no thread can be started.
    #[cfg(feature = "embedded")]
    pub fn memory_with(clock: crate::TestClock) -> RedisResult<Self> {
        let config = windlass_db::Config::default();
        let database = windlass_db::Database::memory_with(config, clock)
            .map_err(|error| crate::Error::Store(error.to_string()))?;
        Ok(Self::to(database))
    }

    /// A connection to a database that the program has opened itself.
    #[cfg(feature = "embedded")]
    pub fn to(database: windlass_db::Database) -> Self {
        let home = crate::home::Home::of(database);
        Self::on(Kind::Embedded(Embedded::open(home)), Sharing::Shared)
    }

    /// As [`Connection::to`], for a database in a directory: other processes that open the directory come in from now on,
    /// as long as there is a connection, be its log read yet or not.
    ///
    /// # Errors
    /// None at present; a socket that cannot be opened is a warning.
    #[cfg(feature = "embedded")]
    pub fn letting_in(database: windlass_db::Database) -> RedisResult<Self> {
        let home = crate::home::Home::letting_in(database)?;
        Ok(Self::on(Kind::Embedded(Embedded::open(home)), Sharing::Shared))
    }

    /// Opens another session of the same store, for one user: it may block without holding others up, and it takes
    /// WATCH, MULTI and SELECT.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session(&self) -> RedisResult<Self> {
        let kind = match &self.kind {
            #[cfg(feature = "embedded")]
            Kind::Embedded(embedded) => Kind::Embedded(embedded.session()),
            Kind::Remote(remote) => Kind::Remote(remote.session().await?),
        };
        let session = Self::on(kind, Sharing::Exclusive);
        #[cfg(feature = "faults")]
        let session = Self { fuse: self.fuse.clone(), ..session };
        Ok(session)
    }

    /// The same connection as that of a process that dies at one of its calls; so are its clones and sessions.
    ///
    /// ```
    /// use redis::AsyncCommands;
    /// use windlass_conn::{Connection, Cut, Fuse};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> redis::RedisResult<()> {
    /// let mut healthy = Connection::open("memory:").await?;
    /// let fuse = Fuse::new(Cut::After(1));
    /// let mut dying = healthy.clone().with_fuse(fuse.clone());
    /// fuse.light();
    /// tokio::select! {
    ///     _ = dying.set::<_, _, ()>("k", "v") => unreachable!("nobody hears of it"),
    ///     () = fuse.blown() => {}
    /// }
    /// assert_eq!(healthy.get::<_, String>("k").await?, "v");
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn with_fuse(self, fuse: crate::fuse::Fuse) -> Self {
        Self { fuse: Some(fuse), ..self }
    }

    fn on(kind: Kind, sharing: Sharing) -> Self {
        Self {
            kind,
            sharing,
            #[cfg(feature = "faults")]
            fuse: None,
        }
    }

    /// Begins to listen to channels, on a session of its own.
    ///
    /// ```
    /// use redis::AsyncCommands;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> redis::RedisResult<()> {
    /// let mut connection = windlass_conn::Connection::open("memory:").await?;
    /// let mut news = connection.subscribe().await?;
    /// news.subscribe("news").await?;
    /// let () = connection.publish("news", "hello").await?;
    /// assert_eq!(news.next().await?.payload, b"hello");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn subscribe(&self) -> RedisResult<Subscription> {
        let source = match &self.kind {
            #[cfg(feature = "embedded")]
            Kind::Embedded(embedded) => Source::Embedded(embedded.home().clone()),
            Kind::Remote(remote) => {
                Source::Remote(Box::new((remote.address().clone(), remote.config().clone())))
            }
        };
        Subscription::open(source).await
    }

    /// True when the database is in this process.
    pub fn is_embedded(&self) -> bool {
        !matches!(self.kind, Kind::Remote(_))
    }

    async fn call(&self, cmd: &Cmd) -> RedisResult<Value> {
        // What waits is boxed: nearly every embedded call is done when it has run, and needs no room for a wait.
        match &self.kind {
            #[cfg(feature = "embedded")]
            Kind::Embedded(embedded) => match self.begin(embedded, cmd) {
                Begun::Done(result) => result,
                begun => Box::pin(end(embedded, begun, cmd)).await,
            },
            Kind::Remote(remote) => Box::pin(self.call_remote(remote, cmd)).await,
        }
    }

    #[cfg(feature = "embedded")]
    fn begin<'a>(&self, embedded: &'a Embedded, cmd: &Cmd) -> Begun<'a> {
        let packed = packed(cmd);
        let args = Args::of(cmd, packed.as_deref());
        match rules::check(args.as_slice(), self.sharing) {
            Ok(()) => embedded.begin(args.as_slice()),
            Err(error) => Begun::Done(Err(error.into())),
        }
    }

    async fn call_remote(&self, remote: &Remote, cmd: &Cmd) -> RedisResult<Value> {
        let packed = packed(cmd);
        let args = Args::of(cmd, packed.as_deref());
        rules::check(args.as_slice(), self.sharing)?;
        remote.call(cmd, args.as_slice(), wait_of(args.as_slice())).await
    }

    async fn call_all(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let mut wait = Wait::None;
        for cmd in pipeline.cmd_iter() {
            let packed = packed(cmd);
            let args = Args::of(cmd, packed.as_deref());
            wait = wait.and(wait_of(args.as_slice()));
            rules::check(args.as_slice(), self.sharing)?;
        }
        match &self.kind {
            #[cfg(feature = "embedded")]
            Kind::Embedded(embedded) => embedded.call_all(pipeline, offset, count).await,
            Kind::Remote(remote) => remote.call_all(Request::Many { pipeline, offset, count }, wait).await,
        }
    }
}

/// Waits for what a call needs that was begun.
#[cfg(feature = "embedded")]
async fn end(embedded: &Embedded, begun: Begun<'_>, cmd: &Cmd) -> RedisResult<Value> {
    let packed = packed(cmd);
    let args = Args::of(cmd, packed.as_deref());
    embedded.end(begun, args.as_slice()).await
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        #[cfg(feature = "faults")]
        if let Some(fuse) = &self.fuse {
            return Box::pin(fuse.run(self.call(cmd)));
        }
        Box::pin(self.call(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        #[cfg(feature = "faults")]
        if let Some(fuse) = &self.fuse {
            return Box::pin(fuse.run(self.call_all(pipeline, offset, count)));
        }
        Box::pin(self.call_all(pipeline, offset, count))
    }

    fn get_db(&self) -> i64 {
        match &self.kind {
            #[cfg(feature = "embedded")]
            Kind::Embedded(embedded) => embedded.db(),
            Kind::Remote(remote) => remote.db(),
        }
    }
}
