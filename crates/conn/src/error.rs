//! What can go wrong with a connection, beyond what the store itself answers.
//!
//! Callers hold redis-rs's `RedisError`, because that is what its commands return; an [`Error`] travels inside one and
//! is found again by [`Error::of`]. A new failure is a variant here, its sentence included.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redis::RedisError;

/// Result of what only this crate does.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the connection. The text is a sentence that says what to do.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error = windlass_conn::Connection::open("http://localhost").await.err().expect("no store speaks HTTP");
/// assert!(matches!(windlass_conn::Error::of(&error), Some(windlass_conn::Error::BadUrl { .. })));
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no store.
    #[error("{reason} in {url:?}; {}", crate::url::ACCEPTED)]
    BadUrl {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL asks for what this build leaves out.
    #[error("{url:?} needs the feature `{feature}` of windlass, which this build leaves out")]
    MissingFeature {
        /// The URL, without its password.
        url: String,
        /// The feature to switch on.
        feature: &'static str,
    },
    /// Nothing answers at the address, or it refuses this client.
    #[error("cannot connect to {address} ({reason}): {hint}")]
    Connect {
        /// Host and port, or path.
        address: String,
        /// What the system or the server says.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// Another process has the directory and does not let this one in.
    #[error(
        "the store {} belongs to {}, which does not answer on its socket {} ({reason}): look whether that process \
         hangs, and end it then",
        path.display(),
        owner_name(*pid),
        socket.display()
    )]
    OwnerSilent {
        /// The directory.
        path: PathBuf,
        /// The process that has it, as far as is known.
        pid: Option<u32>,
        /// Where it should answer.
        socket: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process has the directory and lets in who knows its password.
    #[error(
        "the store {} is served by {}, which asks for a password: name the server in its place, \
         `redis://:PASSWORD@HOST:PORT`, or its socket on this machine, `unix:{}?pass=PASSWORD`",
        path.display(),
        owner_name(*pid),
        socket.display()
    )]
    OwnerAsksPassword {
        /// The directory.
        path: PathBuf,
        /// The process that has it, as far as is known.
        pid: Option<u32>,
        /// Where it answers.
        socket: PathBuf,
    },
    /// The directory is not there, and was not to be made.
    #[error("there is no store in {}: check the path; the first push there, or serving it, makes one", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The command may or may not have run.
    #[error("the outcome is unknown, because the command was sent but not answered ({reason})")]
    OutcomeUnknown {
        /// Why there is no answer.
        reason: String,
    },
    /// The server is one of several nodes of a cluster, and the keys are on another.
    #[error(
        "the keys are not on {address} but on another node of its cluster: open redis://{node}, which has them; a \
         connection does not follow keys from node to node"
    )]
    Moved {
        /// Where the server is that was asked.
        address: String,
        /// Where the keys are, `HOST:PORT`.
        node: String,
    },
    /// The command would change the session under others that share it.
    #[error("{command} is refused here: {hint}")]
    Refused {
        /// The command.
        command: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// The connection was renewed after WATCH or MULTI, so that the transaction must begin again; nothing ran.
    #[error("the connection broke after WATCH or MULTI and nothing of the transaction ran: begin it again")]
    TransactionLost,
    /// Replies of blocking calls whose futures were dropped wait to be fetched.
    #[error(
        "{count} replies of abandoned blocking calls wait to be fetched: repeat those calls, or open another session"
    )]
    TooManyAbandoned {
        /// How many there are.
        count: usize,
    },
    /// A subscription was interrupted and messages may be missing; the next call subscribes again.
    #[error("the subscription was interrupted and messages may be missing ({reason})")]
    Interrupted {
        /// Why.
        reason: String,
    },
    /// The embedded store says no.
    #[error("{0}")]
    Store(String),
}

impl Error {
    /// The error of this crate inside `error`, if it is one.
    pub fn of(error: &RedisError) -> Option<&Self> {
        let source = std::error::Error::source(error)?;
        let shared = source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?;
        shared.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// The kind by which redis-rs decides whether a retry makes sense.
    fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Connect { .. } | Self::OwnerSilent { .. } | Self::OwnerAsksPassword { .. } => {
                io::ErrorKind::NotConnected
            }
            Self::OutcomeUnknown { .. } | Self::TransactionLost | Self::Interrupted { .. } => {
                io::ErrorKind::ConnectionReset
            }
            Self::BadUrl { .. }
            | Self::MissingFeature { .. }
            | Self::NoStore { .. }
            | Self::Moved { .. }
            | Self::Refused { .. }
            | Self::TooManyAbandoned { .. }
            | Self::Store(_) => io::ErrorKind::Unsupported,
        }
    }
}

impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        Self::from(io::Error::new(error.io_kind(), error))
    }
}

/// A process, as far as it is known.
pub(crate) fn owner_name(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// True when the command that failed with `error` may have run all the same: the connection broke, or the time was
/// over, after it had been sent. After any other error it has not run, or the store has answered so.
///
/// ```
/// let error = windlass_conn::Error::OutcomeUnknown { reason: "connection reset".into() };
/// assert!(windlass_conn::may_have_happened(&error.into()));
/// ```
pub fn may_have_happened(error: &RedisError) -> bool {
    matches!(Error::of(error), Some(Error::OutcomeUnknown { .. }))
}

/// True when nobody answered where the store is, or whoever did refused this client: the command has not run.
///
/// ```
/// let hint = "check the address";
/// let error = windlass_conn::Error::Connect { address: "localhost:1".into(), reason: "refused".into(), hint };
/// assert!(windlass_conn::is_unreachable(&error.into()));
/// ```
pub fn is_unreachable(error: &RedisError) -> bool {
    matches!(Error::of(error), Some(Error::Connect { .. }))
}
