//! One connection, to an embedded database or to a Redis server.
//!
//! What it is: [`Connection`], which implements redis-rs's `ConnectionLike`, so that every command, pipeline and script
//! of redis-rs works on it, whatever the URL names. What it is not: a pool, and a client for clusters.
//!
//! ```
//! use redis::AsyncCommands;
//! use windlass_conn::Connection;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> redis::RedisResult<()> {
//! let mut connection = Connection::open("memory:").await?;
//! let length: usize = connection.rpush("list", &["a", "b"]).await?;
//! assert_eq!(length, 2);
//! # Ok(()) }
//! ```
//!
//! # Sessions
//!
//! A clone of a connection is the same session, and so it refuses what would change that session under the others:
//! WATCH, MULTI outside a pipeline, SELECT, SUBSCRIBE. [`Connection::session`] opens a session of your own, which
//! takes transactions and may block without holding others up; [`Connection::subscribe`] listens to channels.
//!
//! # What may have happened
//!
//! A command whose connection broke before a byte of it was sent is sent again. One that may have run fails with an
//! error for which [`may_have_happened`] is true. A blocking command whose future is dropped gives its wait up; if
//! the store had served it by then, the reply is kept for the next call with the same arguments on the same session.
//! On a server the wait goes on, and the next such call takes it over. Replies of other commands whose futures are
//! dropped are gone, and the commands may have run.
//!
//! A server that answers READONLY is a replica now: every session opens a new link, to whom the address leads by then,
//! and the command is sent once more.
//!
//! # Map
//!
//! `connection` is redis-rs's interface; `url` says what is opened, `local`, `home` and `door` open it in this process
//! and let others in, `dial` reaches a server; `embedded` and `remote` are the two kinds of session. `fuse`, behind the feature
//! `faults`, is for tests.

mod abandoned;
mod args;
mod blocking;
mod config;
mod connection;
mod dial;
#[cfg(feature = "embedded")]
mod door;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
#[cfg(feature = "faults")]
mod fuse;
#[cfg(feature = "embedded")]
mod guest;
#[cfg(feature = "embedded")]
mod home;
#[cfg(feature = "embedded")]
mod local;
mod remote;
mod request;
mod rules;
mod subscribe;
#[cfg(feature = "tls")]
mod tls;
mod url;

pub use config::Config;
pub use connection::Connection;
pub use error::{Error, Result, is_unreachable, may_have_happened};
#[cfg(feature = "faults")]
pub use fuse::{Cut, Fuse};
pub use subscribe::{Message, Subscription};
#[cfg(feature = "embedded")]
pub use windlass_db::ManualClock as TestClock;
