//! What a worker did, and how its process is to end.

use std::fmt;
use std::process::ExitCode;

/// What a worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The worker's name.
    pub worker: String,
    /// Jobs that succeeded.
    pub completed: u64,
    /// Attempts that did not succeed.
    pub failed: u64,
    /// Jobs that an ended worker had begun and that ran again here.
    pub resumed: u64,
    /// Results that did not count, because the lease was lost.
    pub refused: u64,
    /// Jobs given back when the worker stopped.
    pub released: u64,
    /// Pushes of its client that wait in this process for the store, and are lost with it; see
    /// [`Client::flush`](crate::Client::flush).
    pub buffered: u64,
    /// How much memory the process took when the worker stopped for that; see [`Worker::memory_max`](crate::Worker::memory_max).
    pub outgrown: Option<u64>,
}

/// The exit code of a process whose worker stopped because it took too much memory, by [`Summary::exit_code`].
pub const EXIT_OUTGROWN: u8 = 82;

impl Summary {
    /// How the process is to end: with [`EXIT_OUTGROWN`] when it took too much memory, so that its supervisor starts it
    /// anew; otherwise with success.
    ///
    /// ```no_run
    /// # use windlass::{Client, Worker};
    /// # use std::process::ExitCode;
    /// # async fn example(client: Client) -> windlass::Result<ExitCode> {
    /// let worker = Worker::new(&client).memory_max(512 << 20).signals();
    /// Ok(worker.run().await?.exit_code())
    /// # }
    /// ```
    pub fn exit_code(&self) -> ExitCode {
        if self.outgrown.is_some() { ExitCode::from(EXIT_OUTGROWN) } else { ExitCode::SUCCESS }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { completed, failed, resumed, released, .. } = self;
        write!(f, "{completed} completed, {failed} failed, {resumed} resumed, {released} given back")?;
        if self.buffered > 0 {
            write!(f, ", {} pushes still buffered", self.buffered)?;
        }
        match self.outgrown {
            Some(bytes) => write!(f, ", stopped at {} MiB", bytes >> 20),
            None => Ok(()),
        }
    }
}
