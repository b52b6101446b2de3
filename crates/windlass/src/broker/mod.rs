//! The moves of a job, each one script: this is the only place that knows their KEYS and ARGV.
//!
//! A method belongs to the family that its file names; each is the counterpart of one `lua/<verb>.lua`.

mod again;
mod compact;
mod control;
#[cfg(feature = "cron")]
mod cron;
mod events;
mod exchange;
mod fail;
mod flow;
mod kinds;
mod lane;
mod lease;
mod manage;
mod progress;
mod push;
mod reply;
mod script;
mod unique;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::ConnectionLike;
use redis::{Cmd, Value};
use windlass_conn::Connection;

use crate::config::Config;
use crate::error::Result;
use crate::event::Bus;
use crate::keys::{Keys, SCHEMA_VERSION};

pub(crate) use again::again;
pub use compact::{Compacted, Sparse};
pub use control::{Place, Promoted, QueueRemoval};
pub(crate) use control::{SETS_SCANNED_MAX, pairs, scored};
#[cfg(feature = "cron")]
pub use cron::{CRONS_MAX, DueCron, DueCrons, Fired};
pub use exchange::{Asker, Ended, Exchanged, Extra, Request, Taken};
pub use fail::Fail;
pub(crate) use flow::BatchPush;
pub use flow::Settle;
pub use kinds::Passed;
pub use lane::Limited;
pub use lease::{Held, Recovered};
pub(crate) use manage::{CANCEL_STANDS, CANCELS_MAX, ToStop};
pub use manage::{Edited, Ending, Filter, Requeued, Rescheduled};
pub use progress::Note;
pub(crate) use push::ms;
pub use push::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, Due};
pub(crate) use reply::{array, bytes, int, text};
#[doc(hidden)]
pub use script::hot_scripts;
pub use unique::{Rule, Single, Singles};

/// Runs the moves of one namespace on one connection. A clone shares the connection's session.
#[derive(Clone)]
pub struct Broker {
    connection: Connection,
    keys: Keys,
    /// Whether a queue with lanes or rules was met when jobs were last taken, so that the next taking heeds them at once.
    is_ruled: Arc<AtomicBool>,
    /// Who hears of what the store alone knows.
    bus: Arc<Bus>,
}

impl Broker {
    /// The moves of `config.namespace` on `connection`.
    ///
    /// # Errors
    /// When the namespace is not fit for keys.
    pub fn new(connection: Connection, config: &Config) -> Result<Self> {
        let keys = Keys::new(&config.namespace)?;
        Ok(Self { connection, keys, is_ruled: Arc::default(), bus: Arc::default() })
    }

    /// The same on another session of the store, fit for commands that block.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session(&self) -> Result<Self> {
        Ok(Self { connection: self.connection.session().await?, ..self.clone() })
    }

    /// The keys of the namespace.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether a queue with lanes or rules was met when jobs were last taken.
    pub(crate) fn meets_rules(&self) -> bool {
        self.is_ruled.load(Ordering::Relaxed)
    }

    /// Who hears of what happens by this broker and its sessions.
    pub(crate) fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Has the store take a write that changes nothing: the layout's number is there already.
    ///
    /// # Errors
    /// When it does not answer, or takes no writes.
    pub(crate) async fn check_writable(&self) -> Result<()> {
        let mut write = redis::cmd("SET");
        write.arg(self.keys.schema()).arg(SCHEMA_VERSION).arg("NX");
        self.send(&write).await.map(drop)
    }

    /// Sends one command.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value> {
        match self.connection.clone().req_packed_command(command).await? {
            Value::ServerError(error) => Err(redis::RedisError::from(error).into()),
            value => Ok(value),
        }
    }
}
