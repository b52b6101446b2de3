//! How a run of the command ends: the exit codes that scripts rely on.

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::output;

/// All went well.
pub const OK: u8 = 0;
/// The command was understood and failed.
pub const FAILURE: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// The store does not answer.
pub const CANNOT_CONNECT: u8 = 3;
/// A setting is wrong.
pub const CONFIGURATION: u8 = 4;
/// A second signal ended the process before its work was done.
pub const FORCED: u8 = 5;
/// Whoever read the output has closed it. A shell tells the same of a program that SIGPIPE ended, as it ends most others.
pub const CLOSED_PIPE: u8 = 141;

/// A failed run: its exit code and what to tell the user.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub error: anyhow::Error,
}

/// Result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }

    /// Writes the error and its causes to standard error, one line each. A pipe that was closed is no news.
    pub fn report(self) -> ExitCode {
        if self.code == CLOSED_PIPE {
            return ExitCode::from(self.code);
        }
        let (on, off) = if std::io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        output::note(format_args!("{on}error{off}: {}", self.error));
        let mut shown = self.error.to_string();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            // Many errors repeat their cause in their own text.
            if !shown.contains(&cause) {
                output::note(format_args!("  because: {cause}"));
                shown = cause;
            }
        }
        ExitCode::from(self.code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        // A store that is not fit is for the settings to change, wherever that is found out.
        let code = match error.downcast_ref::<windlass::Error>() {
            Some(windlass::Error::Unsupported(_)) => CONFIGURATION,
            _ => FAILURE,
        };
        Self::new(code, error)
    }
}
