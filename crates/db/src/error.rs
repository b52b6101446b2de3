//! Why the database cannot do what it was asked.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
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
         reads go on, writes are refused until a fresh log could be written"
    )]
    OutcomeUnknown {
        /// What failed.
        reason: String,
    },
    /// Another process has the directory open.
    #[error(
        "{} is open in another process{}, which serves it through {} to whoever opens it by its path; to have it here, \
         end that process first",
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
    /// The directory cannot be written to.
    #[error("the directory {} cannot be used: {reason}. What is in it stays as it is", directory.display())]
    NotWritable {
        /// The directory.
        directory: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// There is something already where something new is to be made.
    #[error("{} is there already; name a path where nothing is", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
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

    /// Says what to do when the system refused something at the opening of `directory`.
    pub(crate) fn at_opening(self, directory: &Path) -> Self {
        let Self::Io { action, path, source } = &self else { return self };
        let tried = format!("could not {action} {}: {source}", path.display());
        let reason = match source.kind() {
            ErrorKind::PermissionDenied => {
                let user = std::fs::metadata(directory).map(|found| found.uid());
                let user = user
                    .map_or_else(|_| "another user".to_owned(), |uid| format!("the user with the id {uid}"));
                format!(
                    "it belongs to {user}, and this process may not read or write there ({tried}). Run as that user, or give \
                     the directory and all in it to the user of this process with `chown -R`"
                )
            }
            ErrorKind::ReadOnlyFilesystem => format!(
                "its file system is mounted read-only ({tried}). Mount it for writing, or copy the directory and start \
                 on the copy; `windlass check {}` works as it is",
                directory.display()
            ),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                format!("its disk is full ({tried}). Make room there and start again")
            }
            // What the systems say where nothing can be made: in /proc, say, or under a file.
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::Unsupported
                if !directory.is_dir() =>
            {
                format!(
                    "it cannot be made there ({tried}). Name a directory on a disk that this process may write to"
                )
            }
            _ => return self,
        };
        Self::NotWritable { directory: directory.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_at_the_opening_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let cases = [
            (ErrorKind::PermissionDenied, "it belongs to the user with the id"),
            (ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
            (ErrorKind::StorageFull, "its disk is full"),
        ];
        for (kind, text) in cases {
            let refused = Error::io("open", directory.path().join("windlass.lock"))(kind.into());
            let error = refused.at_opening(directory.path());
            let said = error.to_string();
            assert!(matches!(error, Error::NotWritable { .. }), "{said}");
            assert!(said.contains(text) && said.contains("could not open"), "{said}");
        }
        let refused = Error::io("make the directory", "/proc/nope")(ErrorKind::NotFound.into());
        let said = refused.at_opening(Path::new("/proc/nope")).to_string();
        assert!(said.contains("Name a directory on a disk"), "{said}");
        let other = Error::io("open", "x")(ErrorKind::Interrupted.into()).at_opening(directory.path());
        assert!(matches!(other, Error::Io { .. }), "{other}");
    }
}
