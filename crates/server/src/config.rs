//! Settings of a server.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Where a server listens and how it treats its clients.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on, each `HOST:PORT`; port 0 lets the system choose.
    pub tcp: Vec<String>,
    /// A path for a unix socket, which only this user may open.
    pub unix: Option<PathBuf>,
    /// The most clients at one time; one more is told so and disconnected.
    pub clients_max: usize,
    /// Connections that the system keeps waiting until they are accepted.
    pub backlog: i32,
    /// After so long without a word the system asks whether a client is still there.
    pub keepalive: Duration,
    /// Threads that serve clients. The engine runs one command at a time, so that more than a few only help to read
    /// and write sockets.
    pub threads: usize,
    /// How long clients have, when the server stops, to take the replies to what ran.
    pub stop_grace: Duration,
}

impl Default for Config {
    /// Nowhere to listen yet, and the limits of Redis.
    fn default() -> Self {
        const THREADS_MAX: usize = 4;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            tcp: Vec::new(),
            unix: None,
            clients_max: 10_000,
            backlog: 511,
            keepalive: Duration::from_secs(300),
            threads: cores.min(THREADS_MAX),
            stop_grace: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Checks that the settings can work together.
    ///
    /// ```
    /// let error = windlass_server::Config::default().validate().unwrap_err();
    /// assert!(error.to_string().contains("`tcp` or `unix`"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] with every problem.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        if self.tcp.is_empty() && self.unix.is_none() {
            problems.push("`tcp` or `unix` must say where to listen".to_owned());
        }
        if self.clients_max == 0 {
            problems.push("`clients_max` must be at least 1".to_owned());
        }
        if self.backlog < 1 {
            problems.push("`backlog` must be at least 1".to_owned());
        }
        if self.threads == 0 {
            problems.push("`threads` must be at least 1".to_owned());
        }
        if self.keepalive < Duration::from_secs(1) {
            problems.push("`keepalive` must be at least a second".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Config { problems }) }
    }
}
