//! Redis's data types and commands as a pure state machine.
//!
//! What it is: [`Engine::execute`] takes a session, the arguments of one command and the time, and gives the
//! reply; what must be logged so that a replay leads to the same state is in [`Engine::effects`]. What it is
//! not: there is no clock, no randomness, no file, no socket and no thread in this crate. Time and seed are
//! arguments, so the same calls always lead to the same replies, effects and state.
//!
//! ```
//! use windlass_engine::{Config, Engine, Time};
//! use windlass_resp::Value;
//!
//! let now = Time::from_millis(1_700_000_000_000);
//! let mut engine = Engine::new(Config::default());
//! let session = engine.open_session("test", now);
//! engine.execute(session, &[b"SET", b"greeting", b"hello"], now);
//! let outcome = engine.execute(session, &[b"GET", b"greeting"], now);
//! assert_eq!(outcome.reply, Some(Value::from("hello")));
//! ```
//!
//! In reading order: `engine` runs a command, `command` is the table and what each command does, `keyspace`
//! holds the keys, `types` the data structures, which know nothing of arguments or replies; [`rdb`] is Redis's snapshot
//! format.

mod acl;
mod args;
mod blob;
mod close;
mod command;
mod config;
mod decimal;
mod dump;
mod effect;
mod engine;
mod error;
mod evict;
mod form;
mod function;
mod garbage;
mod keyspace;
mod limits;
mod monitor;
mod native;
mod notify;
mod number;
mod object;
mod outside;
mod pattern;
mod pause;
mod pubsub;
mod random;
mod rate;
pub mod rdb;
mod replay;
mod script;
mod session;
mod settings;
mod slow;
mod state;
mod tally;
mod time;
mod types;
mod wait;
mod warm;

pub use blob::Blob;
pub use command::own::{Context, OwnBody};
pub use command::{Answer, Command, Flags, Keys, all as commands};
pub use config::{ClientLimits, Config, DebugCommand, Eviction, OutputLimit, RewriteLimits, Setting};
pub use dump::Frozen;
pub use effect::Effects;
pub use engine::{Delivery, Engine, Message, Outcome};
pub use error::Error;
pub use native::native_scripts;
pub use pattern::matches as matches_pattern;
pub use script::ScriptGuard;
pub use session::SessionId;
pub use time::Time;
pub use warm::Head;
