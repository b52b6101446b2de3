//! Settings of a connection.

use std::time::Duration;

/// How a connection behaves.
///
/// ```
/// use std::time::Duration;
///
/// let config = windlass_conn::Config { response_time: Duration::from_secs(2), ..Default::default() };
/// assert_eq!(config.connect_time, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a server has to accept a connection.
    pub connect_time: Duration,
    /// How long a server has to answer a command; a blocking command has its own time in addition.
    pub response_time: Duration,
    /// How long a broken connection is tried again before commands fail. The first connection is tried once.
    pub reconnect_time: Duration,
    /// A file of certificates in PEM form whose authorities a `rediss://` connection trusts besides those that this
    /// machine trusts.
    pub ca_file: Option<std::path::PathBuf>,
    /// Whether a directory that is not there is made. Who only looks is not to make one of a path that was misspelt.
    #[cfg(feature = "embedded")]
    pub makes_directory: bool,
    /// Whether this process may take over a directory that it reached through another process, when that ends. One
    /// that is not to hold the data in its memory waits for the next owner instead.
    #[cfg(feature = "embedded")]
    pub takes_over: bool,
    /// Settings of the database when this process opens it.
    #[cfg(feature = "embedded")]
    pub database: windlass_db::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_time: Duration::from_secs(5),
            response_time: Duration::from_secs(10),
            reconnect_time: Duration::from_secs(10),
            ca_file: None,
            #[cfg(feature = "embedded")]
            makes_directory: true,
            #[cfg(feature = "embedded")]
            takes_over: true,
            #[cfg(feature = "embedded")]
            database: windlass_db::Config::default(),
        }
    }
}
