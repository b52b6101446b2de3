//! Middleware: the user's code around every push and every run.
//!
//! Each is one small contract: [`PushMiddleware`] sees a job before the store is told of it, [`RunMiddleware`] stands around an
//! attempt. They are called in the order in which they were added, so that the first is the outermost. Where there is
//! none, nothing is paid: a push then is not copied, and a run has one future.

mod push;
mod run;

pub(crate) use push::PushChain;
pub use push::{PushMiddleware, Pushing};
pub(crate) use run::RunChain;
pub use run::{Attempt, Next, Output, RunMiddleware};
