//! Where embedded databases live: one per directory and per name in this process, each with the thread that lets other
//! processes in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use redis::RedisResult;
use windlass_db::Database;

use crate::config::Config;
use crate::door::Door;
use crate::error::Error;

/// A database in this process, kept open by the connections to it.
pub struct Home {
    /// Closed before the database.
    _door: Option<Door>,
    database: Database,
}

/// What opening a directory led to.
pub enum Opened {
    /// This process has it.
    Here(Arc<Home>),
    /// Another process has it.
    Elsewhere { socket: PathBuf },
}

#[derive(PartialEq, Eq, Hash)]
enum Name {
    Memory(String),
    Socket(PathBuf),
}

/// The databases of this process that more than one connection may find.
static HOMES: LazyLock<Mutex<HashMap<Name, Weak<Home>>>> = LazyLock::new(Mutex::default);

impl Home {
    /// A database of one's own.
    pub fn of(database: Database) -> Arc<Self> {
        Arc::new(Self { _door: None, database })
    }

    /// The database in memory with this name.
    pub fn shared_memory(name: &str, config: &Config) -> RedisResult<Arc<Self>> {
        Self::find_or_make(Name::Memory(name.into()), || {
            let database = Database::memory(config.database.clone()).map_err(store_error)?;
            Ok(Self { _door: None, database })
        })
    }

    /// The database in a directory, replayed from its log. It blocks the thread while it reads.
    pub fn directory(path: &Path, config: &Config) -> RedisResult<Opened> {
        let (database, mut opening) = match Database::begin(path, config.database.clone()) {
            Ok(begun) => begun,
            Err(windlass_db::Error::Owned { socket, .. }) => return Ok(Opened::Elsewhere { socket }),
            Err(error) => return Err(store_error(error)),
        };
        let home = Self::letting_in(database)?;
        // Others come in before the log is read, and are told that it is.
        let recovery = match opening.replay(|_| {}) {
            Ok(recovery) => recovery,
            Err(error) => {
                // The socket is closed before the directory is free: the next owner has its own there.
                drop(home);
                return Err(store_error(error));
            }
        };
        if let Some(cut) = &recovery.cut {
            tracing::warn!(file = %cut.file.display(), offset = cut.offset, bytes = cut.bytes, "a torn end of the log was cut");
        }
        Ok(Opened::Here(home))
    }

    /// A database in a directory, and its socket for other processes. A database that cannot be reached from outside
    /// still serves this process.
    pub fn letting_in(database: Database) -> RedisResult<Arc<Self>> {
        let Some(socket) = database.socket_path().map(Path::to_owned) else {
            return Ok(Self::of(database));
        };
        Self::find_or_make(Name::Socket(socket.clone()), || {
            let door = Door::open(&database, &socket)
                .inspect_err(|error| tracing::warn!(%error, socket = %socket.display(), "other processes cannot come in"))
                .ok();
            Ok(Self { _door: door, database })
        })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    fn find_or_make(name: Name, make: impl FnOnce() -> RedisResult<Self>) -> RedisResult<Arc<Self>> {
        let mut homes = HOMES.lock();
        homes.retain(|_, home| home.strong_count() > 0);
        if let Some(home) = homes.get(&name).and_then(Weak::upgrade) {
            return Ok(home);
        }
        let home = Arc::new(make()?);
        homes.insert(name, Arc::downgrade(&home));
        Ok(home)
    }
}

fn store_error(error: windlass_db::Error) -> redis::RedisError {
    Error::Store(error.to_string()).into()
}
