//! Why a server cannot start or go on.

use std::io;
use std::path::PathBuf;

/// Result of a server's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server cannot start or go on. The text is a sentence that says what to do where that is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot work.
    #[error("the configuration is not valid: {}", problems.join("; "))]
    Config {
        /// Every problem, each in words.
        problems: Vec<String>,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({source}){}", hint(source))]
    Listen {
        /// The address or path.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A unix socket cannot be made.
    #[error("cannot listen on the socket {}: {reason}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A file for TLS cannot be used.
    #[error("cannot use {} for TLS ({reason}): {what}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What it must hold.
        what: &'static str,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread for clients ({0})")]
    Thread(io::Error),
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => ": another program listens there; end it, or choose another port",
        io::ErrorKind::PermissionDenied => ": this user may not; choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => ": this machine does not have the address",
        _ => "",
    }
}
