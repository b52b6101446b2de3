//! The embedded, durable database around the engine.
//!
//! What it is: [`Database`], a handle that clones, of an engine that many threads call, with a clock that ends waits
//! and expiries, a log in one directory, and mailboxes for what reaches a client unasked. What it is not: there are
//! no commands here (they are the engine's), and no sockets but for the session loop over any byte stream.
//!
//! ```
//! use windlass_db::{Called, Config, Database};
//! use windlass_resp::Value;
//!
//! let database = Database::memory(Config::default())?;
//! let session = database.session("example");
//! session.call(&[b"SET", b"greeting", b"hello"]);
//! let Called::Reply(reply, position) = session.call(&[b"GET", b"greeting"]) else { unreachable!() };
//! database.wait_durable(position)?;
//! assert_eq!(reply, Value::from("hello"));
//! # Ok::<(), windlass_db::Error>(())
//! ```
//!
//! In reading order: `database` is the handle, `store` runs a call under the one lock, `session` and `mailbox` are a
//! client's side, `busy` and `refused` answer while a slow script has the lock, `progress` says how far the log is safe,
//! `log` writes and reads its files, which `manifest` lists, `recovery` replays and `compact` replaces, as `rewrite` says;
//! `directory` and `registry` see to it that there is one owner. `serve` is the session loop, with `client`, `input`,
//! `output`, `foreign` and `quick`. [`check`] looks whether a directory is whole, [`repair`] makes one that opens from
//! what of it is, [`backup`] copies one that is in use, and [`carry`] has keys in the forms in which they travel.
//! `faults`, a feature, is what tests put beneath a database.

mod ahead;
pub mod backup;
mod base;
mod busy;
pub mod carry;
pub mod check;
mod client;
mod clock;
mod compact;
mod concern;
mod config;
mod core;
mod database;
mod directory;
mod disk;
mod error;
mod facts;
#[cfg(feature = "faults")]
pub mod faults;
mod foreign;
mod input;
mod limits;
mod loading;
mod log;
mod mailbox;
mod manifest;
mod name;
mod output;
mod progress;
mod quick;
mod recovery;
mod refused;
mod registry;
pub mod repair;
mod rewrite;
mod save;
mod serve;
mod session;
mod spill;
mod store;
mod timer;
mod woken;

pub use clock::{Clock, ManualClock, SystemClock, Tick};
pub use config::{Config, Durability};
pub use database::{Database, Opening};
pub use directory::owner;
pub use disk::{Disk, DiskFile, SystemDisk};
pub use error::{Error, Result};
pub use facts::Facts;
pub use loading::Loaded;
pub use progress::{Durable, Position};
pub use recovery::{Cut, Recovery};
pub use serve::serve;
pub use session::{Called, NextDelivery, Origin, Session};
/// What a command of one's own is made of; it goes into [`EngineConfig::commands`].
pub mod own {
    pub use windlass_engine::{Answer, Command, Context, Error, Flags, Keys, OwnBody};
}

pub use windlass_engine::{
    ClientLimits, Config as EngineConfig, Message, OutputLimit, RewriteLimits, SessionId, Setting, Time,
};
