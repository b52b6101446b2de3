//! What every worker does beside running jobs. Any number of workers may do it at once: each duty is a
//! script that is right however often it runs.
//!
//! A new duty is a file with one `async fn` that goes on for ever, and its line in [`start`].

mod compactor;
mod control;
#[cfg(feature = "cron")]
pub(crate) mod cron;
pub(crate) mod heartbeat;
pub(crate) mod kinds;
mod limits;
mod memory;
pub(crate) mod pruner;
pub(crate) mod recorder;
pub(crate) mod rescuer;
pub(crate) mod scheduler;
pub(crate) mod unparker;
#[cfg(unix)]
mod watchdog;

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::random::random;
use crate::task::spawn_local;
use crate::worker::Duty;

/// Starts every duty on the worker's thread; jobs run on `runtime`.
pub(crate) fn start(duty: &Rc<Duty>, runtime: &Handle) -> Vec<AbortHandle> {
    let mut tasks = vec![
        spawn_local(heartbeat::renew_all(duty.clone())).abort_handle(),
        spawn_local(scheduler::promote_all(duty.clone())).abort_handle(),
        #[cfg(feature = "cron")]
        spawn_local(cron::fire_all(duty.clone())).abort_handle(),
        spawn_local(rescuer::rescue_all(duty.clone())).abort_handle(),
        spawn_local(kinds::tell_all(duty.clone())).abort_handle(),
        spawn_local(unparker::unpark_all(duty.clone())).abort_handle(),
        spawn_local(control::cancel_all(duty.clone())).abort_handle(),
        spawn_local(limits::tell_all(duty.clone())).abort_handle(),
        spawn_local(pruner::prune_all(duty.clone())).abort_handle(),
    ];
    if compactor::is_needed(duty) {
        tasks.push(spawn_local(compactor::compact_all(duty.clone())).abort_handle());
    }
    if let Some(limit) = duty.shared.memory_max {
        tasks.push(spawn_local(memory::watch(duty.clone(), limit)).abort_handle());
    }
    if duty.record.is_some() {
        tasks.push(spawn_local(recorder::record_all(duty.clone())).abort_handle());
    }
    #[cfg(unix)]
    if duty.shared.systemd().is_some() {
        tasks.push(spawn_local(watchdog::notify_all(duty.clone(), runtime.clone())).abort_handle());
    }
    #[cfg(not(unix))]
    let _ = runtime;
    tasks
}

/// Waits about as long as said: between three and five quarters, so that workers do not march in step.
pub(crate) async fn pause(about: Duration) {
    let spread = (random() % 1024) as u32;
    tokio::time::sleep(about * 3 / 4 + about / 2 * spread / 1024).await;
}
