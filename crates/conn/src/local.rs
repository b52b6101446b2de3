//! Opens stores of this machine: in this process, or through the process that has the directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use tokio::time::Instant;

use crate::config::Config;
use crate::error::Error;
use crate::guest::{Guest, open_blocking};
use crate::home::{Home, Opened};
use crate::remote::Remote;
use crate::request::is_about_password;
use crate::url::Url;

/// The pause after an owner did not answer: it may be starting, or have just ended.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a store of this machine was found.
pub enum Local {
    /// In this process.
    Here(Arc<Home>),
    /// In another one.
    Elsewhere(Remote),
}

/// Opens what `url` names.
pub async fn open(url: Url, config: Config) -> RedisResult<Local> {
    match url {
        Url::Memory => {
            let database = windlass_db::Database::memory(config.database)
                .map_err(|error| Error::Store(error.to_string()))?;
            Ok(Local::Here(Home::of(database)))
        }
        Url::SharedMemory(name) => Home::shared_memory(&name, &config).map(Local::Here),
        Url::Directory(path) => directory(path, config).await,
        Url::Server(address) => Remote::open(address, config).await.map(Local::Elsewhere),
    }
}

/// Opens a directory, or reaches its owner. Whoever ends may leave the directory to us, so that both are tried in turn
/// for a while.
async fn directory(path: PathBuf, config: Config) -> RedisResult<Local> {
    if !config.makes_directory && is_without_store(&path) {
        return Err(Error::NoStore { path }.into());
    }
    let guest = Arc::new(Guest::new(path.clone()));
    let mut since = Instant::now();
    loop {
        let socket = match open_blocking(&path, &config).await? {
            Opened::Here(home) => return Ok(Local::Here(home)),
            Opened::Elsewhere { socket } => socket,
        };
        match Remote::visit(guest.clone(), &socket, config.clone(), &mut since).await {
            Ok(remote) => return Ok(Local::Elsewhere(remote)),
            Err(error) if is_about_password(&error) => {
                let pid = windlass_db::owner(&path).flatten();
                return Err(Error::OwnerAsksPassword { path, pid, socket }.into());
            }
            Err(error) if since.elapsed() >= config.connect_time => {
                return Err(guest.silent(socket, &error).into());
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// True when there is no such directory, or nothing in it. What else stands in the way is told by who opens it.
fn is_without_store(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
