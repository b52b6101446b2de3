//! Why the database cannot do what it was asked.

use std::path::{Path, PathBuf};
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
         reads go on, writes are refused until the database is opened again"
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
    #[error(
        "{} is damaged at byte {offset}: {reason}. Nothing of it was loaded and nothing changed. `windlass check {1}` \
         shows how far the damage goes, `windlass repair {1}` what can be kept, and does it with `--yes`",
        file.display(),
        directory_of(file)
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the damage begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A file of the log is not there.
    #[error(
        "{} is missing, although the manifest names it{}: the directory was not copied whole, or somebody removed the \
         file. Nothing was loaded and nothing changed. Copy the directory again (`windlass backup` makes whole copies); \
         `windlass check {2}` shows what is there, `windlass repair {2}` what can be kept",
        file.display(),
        if *is_base { " as the base, which holds the content before all other files" } else { "" },
        directory_of(file)
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// True for the base.
        is_base: bool,
    },
    /// A damaged directory cannot be repaired in this way.
    #[error("{} cannot be repaired: {reason}", directory.display())]
    Unrepairable {
        /// The directory.
        directory: PathBuf,
        /// Why, and what to do.
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

/// The directory that a file of the log belongs to, as a command line takes it.
fn directory_of(file: &Path) -> String {
    let folder = file.parent().unwrap_or(file);
    let is_log_folder = folder.file_name().is_some_and(|name| name == crate::directory::LOG_FOLDER);
    let directory = if is_log_folder { folder.parent().unwrap_or(folder) } else { folder };
    directory.display().to_string()
}

impl Error {
    /// Makes an error of `action` on `path` from the system's.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }
}
