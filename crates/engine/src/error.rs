//! Every error that the engine answers, in Redis's exact words: clients switch on the prefix.

use std::borrow::Cow;

/// An error reply: prefix and text, on one line.
///
/// ```
/// assert!(windlass_engine::Error::WRONG_TYPE.text().starts_with("WRONGTYPE "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(Cow<'static, str>);

/// Result of a command.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Error {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

errors! {
    /// The key holds another type than the command works on.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// Arguments do not fit the command's grammar.
    SYNTAX = "ERR syntax error";
    /// A 64-bit signed integer was expected.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// A finite or infinite float was expected.
    NOT_FLOAT = "ERR value is not a valid float";
    /// An index is beyond the list.
    INDEX_RANGE = "ERR index out of range";
    /// The command needs an existing key.
    NO_KEY = "ERR no such key";
    /// An increment would leave the range of a 64-bit signed integer.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// A count that must not be negative is.
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// A blocking command's timeout is not a number.
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    /// A blocking command's timeout is negative.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// A database number is beyond those configured.
    DB_RANGE = "ERR DB index is out of range";
    /// The session has not given the password.
    NO_AUTH = "NOAUTH Authentication required.";
    /// The name or the password is not right.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    /// The owner of the engine reads its data.
    LOADING = "LOADING Redis is loading the dataset in memory";
    /// The data has reached the memory limit.
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    /// No script has this digest.
    NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    /// What may write was called by a command that only reads.
    WRITES_IN_READ_ONLY = "ERR Can not execute a script with write flag using *_ro command.";
    /// No library has a function of this name.
    FUNCTION_NOT_FOUND = "ERR Function not found";
    /// EXEC after a command that could not be queued.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// A string would grow beyond 512 MB.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
}

impl Error {
    /// An error with a text made at run time; `text` starts with its prefix. CR and LF become spaces.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let text = if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ") } else { text };
        Self(Cow::Owned(text))
    }

    /// The answer to a wrong number of arguments for the command `name`.
    pub fn arity(name: &str) -> Self {
        Self::new(format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase()))
    }

    /// The answer to an EXEC that itself may not run.
    pub fn exec_abort(cause: &Self) -> Self {
        let cause = cause.text().strip_prefix("ERR ").unwrap_or(cause.text());
        Self::new(format!("EXECABORT Transaction discarded because of: {cause}"))
    }

    /// The answer to an expiry that is not positive or leaves the range of a 64-bit signed integer.
    pub fn invalid_expire(name: &str) -> Self {
        Self::new(format!("ERR invalid expire time in '{}' command", name.to_ascii_lowercase()))
    }

    /// The answer to an unknown subcommand of a container such as CLIENT.
    pub fn unknown_subcommand(container: &str, given: &[u8]) -> Self {
        let given = String::from_utf8_lossy(&given[..given.len().min(128)]);
        Self::new(format!("ERR unknown subcommand '{given}'. Try {} HELP.", container.to_ascii_uppercase()))
    }

    /// Prefix and text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Prefix and text as a reply carries them.
    pub fn into_text(self) -> Cow<'static, str> {
        self.0
    }
}

impl From<Error> for windlass_resp::Value {
    fn from(error: Error) -> Self {
        Self::Error(error.0)
    }
}
