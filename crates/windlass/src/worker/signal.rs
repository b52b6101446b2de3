//! What stops a worker: signals, a handle, a dropped future. And the file with its process id.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
#[cfg(unix)]
use std::time::Instant;

use tokio::sync::watch;

use super::{Phase, PhaseReceiver};
use crate::client::Client;
use crate::error::Result;

/// How long the store may take to answer when somebody asks whether the worker is ready.
const READY_MAX: Duration = Duration::from_secs(1);

/// Signals within this time are one: a supervisor and a terminal, or a supervisor by itself, may send two and mean one.
#[cfg(unix)]
const ONE_SIGNAL: Duration = Duration::from_millis(100);

/// Quiets and stops a worker from elsewhere, and says whether it is ready. A clone controls the same worker.
#[derive(Clone)]
pub struct Control {
    phase: Arc<watch::Sender<Phase>>,
    is_open: Arc<watch::Sender<bool>>,
    client: Client,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Control").field(&*self.phase.borrow()).finish()
    }
}

impl Control {
    pub(super) fn new(client: &Client) -> Self {
        let phase = Arc::new(watch::Sender::new(Phase::Running));
        Self { phase, is_open: Arc::new(watch::Sender::new(false)), client: client.clone() }
    }

    /// Whether the worker takes jobs, and its store can write, shown by asking it: what a readiness probe wants to know. A
    /// replica, a full store and one whose disk fails answer, but take nothing.
    pub async fn is_ready(&self) -> bool {
        if !*self.is_open.borrow() || !self.is_taking() {
            return false;
        }
        let answer = tokio::time::timeout(READY_MAX, self.client.broker().check_writable()).await;
        matches!(answer, Ok(Ok(())))
    }

    /// Waits until the worker has started to take jobs, or was told to stop before it did.
    pub async fn started(&self) {
        let mut is_open = self.is_open.subscribe();
        let mut phase = self.phase();
        // Both senders are in this control, so that waiting for them cannot fail.
        tokio::select! {
            _ = is_open.wait_for(|is_open| *is_open) => {}
            _ = phase.wait_for(|phase| *phase >= Phase::Quiet) => {}
        }
    }

    /// The worker takes jobs from now on.
    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Take no more jobs; running ones go on, and the worker stays.
    pub fn quiet(&self) {
        self.advance(Phase::Quiet);
    }

    /// Stop: running jobs may end within the shutdown timeout.
    pub fn stop(&self) {
        self.advance(Phase::Draining);
    }

    /// Stop now: running jobs are cancelled and given back.
    pub fn force(&self) {
        self.advance(Phase::Forced);
    }

    pub(super) fn is_taking(&self) -> bool {
        *self.phase.borrow() < Phase::Quiet
    }

    pub(super) fn phase(&self) -> PhaseReceiver {
        self.phase.subscribe()
    }

    fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let advances = *now < phase;
            *now = (*now).max(phase);
            advances
        });
    }

    /// Stops; a second call forces, unless it comes within [`ONE_SIGNAL`] of the first.
    #[cfg(unix)]
    fn stop_or_force(&self, first: &mut Option<Instant>) {
        let is_draining = *self.phase.borrow() >= Phase::Draining;
        let is_same = first.is_some_and(|first| first.elapsed() < ONE_SIGNAL);
        first.get_or_insert_with(Instant::now);
        if is_draining && !is_same { self.force() } else { self.stop() }
    }
}

/// Stops the worker at once when the future that runs it is dropped.
pub(super) struct ForceOnDrop(pub(super) Control);

impl Drop for ForceOnDrop {
    fn drop(&mut self) {
        self.0.force();
    }
}

/// Heeds signals until aborted.
#[cfg(unix)]
pub(super) fn listen(control: Control) -> Result<tokio::task::AbortHandle> {
    use tokio::signal::unix::{SignalKind, signal};
    // The number of TSTP is not the same everywhere, and tokio has no name for it.
    const TSTP: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 20 } else { 18 };
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut tstp = signal(SignalKind::from_raw(TSTP))?;
    let listening = async move {
        let mut first = None;
        loop {
            tokio::select! {
                Some(()) = term.recv() => control.stop_or_force(&mut first),
                Some(()) = int.recv() => control.stop_or_force(&mut first),
                Some(()) = quit.recv() => control.stop_or_force(&mut first),
                Some(()) = tstp.recv() => control.quiet(),
                else => return,
            }
        }
    };
    Ok(crate::task::spawn(listening).abort_handle())
}

/// Heeds the one signal that every system has.
#[cfg(not(unix))]
pub(super) fn listen(control: Control) -> Result<tokio::task::AbortHandle> {
    let listening = async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            control.stop();
        }
    };
    Ok(crate::task::spawn(listening).abort_handle())
}

/// A file with the process's id, removed when dropped.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(path: PathBuf) -> Result<Self> {
        std::fs::write(&path, format!("{}\n", std::process::id())).map_err(|error| {
            std::io::Error::new(
                error.kind(),
                format!("the pid file {} cannot be written: {error}", path.display()),
            )
        })?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It says nothing any more; that it cannot be removed hurts nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}
