//! A guest of the process that has a directory, and what becomes of it when that process ends: it takes the directory
//! over itself, and lets others in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redis::RedisResult;

use crate::config::Config;
use crate::home::{Home, Opened};

/// The directory that a session goes to by the socket in it, whoever serves that.
pub struct Guest {
    directory: PathBuf,
    /// The database, once it is this process that has the directory. It is open as long as a session needs it.
    home: Mutex<Option<Arc<Home>>>,
}

impl Guest {
    /// A guest at `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, home: Mutex::new(None) }
    }

    /// Opens the directory and serves its socket, if nobody has it any more: the kernel's lock alone decides that.
    ///
    /// # Errors
    /// When nobody has it and it cannot be opened.
    pub async fn take_over(&self, config: &Config) -> RedisResult<()> {
        if let Opened::Here(home) = open_blocking(&self.directory, config).await? {
            tracing::info!(directory = %self.directory.display(), "took the directory over from a process that ended");
            *self.home.lock() = Some(home);
        }
        Ok(())
    }
}

/// Opens a directory on a thread for blocking work, since that reads its log.
pub async fn open_blocking(path: &Path, config: &Config) -> RedisResult<Opened> {
    let (path, config) = (path.to_owned(), config.clone());
    tokio::task::spawn_blocking(move || Home::directory(&path, &config))
        .await
        .expect("opening a database does not panic")
}
