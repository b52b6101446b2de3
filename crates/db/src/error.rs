//! Why the database cannot do what it was asked.

use std::path::PathBuf;
use std::sync::Arc;

/// Result of an operation on the database.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on the database failed. Errors of commands are not here: they are replies.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command ran, but its record may or may not be on the disk.
    #[error(
        "the outcome of the command is unknown: it ran, but the log failed before its record was safe ({reason}); \
         reads go on, writes are refused until a fresh log could be written"
    )]
    OutcomeUnknown {
        /// What failed.
        reason: String,
    },
    /// Another process has the directory open.
    #[error(
        "{} is open in another process{}; it can be reached through {}",
        directory.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        socket.display()
    )]
    Owned {
        /// The directory.
        directory: PathBuf,
        /// The owner's process id, when it has written one.
        pid: Option<u32>,
        /// Where the owner serves its socket, if it does.
        socket: PathBuf,
    },
    /// The directory holds something else than a database.
    #[error("{} is not a Windlass directory: {reason}", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// A file of the log is damaged elsewhere than at its torn end.
    #[error("{} is damaged at byte {offset}: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the damage begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A file is sound, but of a form that is not read yet.
    #[error("{} cannot be read: {reason}", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The configuration cannot work.
    #[error("the configuration is not valid: {}", problems.join("; "))]
    Config {
        /// Every problem, each in words.
        problems: Vec<String>,
    },
    /// The operating system refused an operation.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb with its object's article.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        source: Arc<std::io::Error>,
    },
    /// The database was stopped.
    #[error("the database is stopped")]
    Stopped,
}

impl Error {
    /// Makes an error of `action` on `path` from the system's.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }
}
