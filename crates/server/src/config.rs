//! Settings of a server.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Where a server listens. How it treats its clients is a matter of the database's
/// [`ClientLimits`](windlass_db::ClientLimits), which CONFIG SET may change.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on, each `HOST:PORT`; port 0 lets the system choose.
    pub tcp: Vec<String>,
    /// Addresses to listen on with TLS, as `tcp`.
    pub tls_tcp: Vec<String>,
    /// Who the server is to clients of `tls_tcp`, and who they must be.
    pub tls: Option<Tls>,
    /// A path for a unix socket.
    pub unix: Option<PathBuf>,
    /// Who may open the unix socket, as the system's permission bits.
    pub unix_mode: u32,
    /// Connections that the system keeps waiting until they are accepted.
    pub backlog: i32,
    /// Threads that serve clients. The engine runs one command at a time, so that others only help to read and write
    /// sockets, and each of them that there is makes every command dearer: the lock and the data go to and fro, and a
    /// thread finds fewer requests when it wakes. One for every two processors at first.
    pub threads: usize,
    /// How long clients have, when the server stops, to take the replies to what ran.
    pub stop_grace: Duration,
}

/// The highest permission bits of a file.
const MODE_MAX: u32 = 0o777;

/// The files of a server that speaks TLS, each in PEM form.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server's certificate, with those between it and an authority behind it.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The authorities whose clients are let in.
    pub ca_file: Option<PathBuf>,
    /// Whether clients must show a certificate.
    pub clients: ClientCertificates,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They must, and it must be of one of the authorities.
    #[default]
    Required,
    /// If they show one, it must be of one of the authorities.
    Optional,
    /// They are not asked for one.
    Unasked,
}

impl Default for Config {
    /// Nowhere to listen yet, and the limits of Redis.
    fn default() -> Self {
        const THREADS_MAX: usize = 4;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            tcp: Vec::new(),
            tls_tcp: Vec::new(),
            tls: None,
            unix: None,
            unix_mode: 0o600,
            backlog: 511,
            threads: (cores / 2).clamp(1, THREADS_MAX),
            stop_grace: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Checks that the settings can work together.
    ///
    /// ```
    /// let error = windlass_server::Config::default().validate().unwrap_err();
    /// assert!(error.to_string().contains("must say where to listen"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] with every problem.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        if self.tcp.is_empty() && self.tls_tcp.is_empty() && self.unix.is_none() {
            problems.push("`tcp`, `tls_tcp` or `unix` must say where to listen".to_owned());
        }
        match &self.tls {
            None if !self.tls_tcp.is_empty() => {
                problems.push("`tls` must name the certificate for `tls_tcp`".to_owned());
            }
            Some(tls) if tls.clients != ClientCertificates::Unasked && tls.ca_file.is_none() => {
                problems.push(
                    "`tls.ca_file` must say whose clients are let in, or `tls.clients` be unasked".to_owned(),
                );
            }
            _ => {}
        }
        if self.unix_mode > MODE_MAX {
            problems.push("`unix_mode` must be permission bits, such as 0o770".to_owned());
        }
        if self.backlog < 1 {
            problems.push("`backlog` must be at least 1".to_owned());
        }
        if self.threads == 0 {
            problems.push("`threads` must be at least 1".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Config { problems }) }
    }
}
