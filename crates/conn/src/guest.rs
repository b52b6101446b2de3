//! A guest of the process that has a directory, and what becomes of it when that process ends: it takes the directory
//! over itself, and lets others in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redis::{RedisError, RedisResult};

use crate::config::Config;
use crate::error::{Error, owner_name};
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

    /// Tells whoever watches the program that it waits until the directory's owner has read its log.
    pub fn tell_loading(&self, percent: Option<&str>) {
        let directory = self.directory.display();
        let owner = owner_name(windlass_db::owner(&self.directory).flatten());
        match percent {
            Some(percent) => tracing::warn!("waiting for {directory}: {owner} reads its log, {percent} %"),
            None => tracing::warn!("waiting for {directory}: {owner} reads its log"),
        }
    }

    /// What to say when the owner could not be reached for as long as it is tried.
    pub fn silent(&self, socket: PathBuf, error: &RedisError) -> Error {
        let reason = match Error::of(error) {
            Some(Error::Connect { reason, .. }) => reason.clone(),
            _ => error.to_string(),
        };
        let pid = windlass_db::owner(&self.directory).flatten();
        Error::OwnerSilent { path: self.directory.clone(), pid, socket, reason }
    }
}

/// Opens a directory on a thread for blocking work, since that reads its log.
pub async fn open_blocking(path: &Path, config: &Config) -> RedisResult<Opened> {
    let (path, config) = (path.to_owned(), config.clone());
    tokio::task::spawn_blocking(move || Home::directory(&path, &config))
        .await
        .expect("opening a database does not panic")
}
