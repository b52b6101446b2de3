//! Why an RDB file cannot be read.

use super::format::VERSION_READ_MAX;

/// Result of reading.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an RDB file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What gives the bytes failed.
    #[error("{0}")]
    Input(std::io::Error),
    /// The file is not whole or not sound.
    #[error("at byte {offset}: {reason}")]
    Malformed {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file is of a later version.
    #[error(
        "it has RDB version {version}; versions up to {VERSION_READ_MAX} are read, which Redis up to 7.2 and Valkey up to 8 write"
    )]
    Version {
        /// Which.
        version: u32,
    },
    /// The file is sound, but holds something that this engine does not have.
    #[error("at byte {offset} it holds {what}")]
    Unsupported {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What.
        what: String,
    },
}
