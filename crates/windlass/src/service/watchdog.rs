//! The Watchdog tells systemd that the worker is ready, and then that it lives: that this thread, which does the worker's
//! duties, goes round, and that the user's runtime runs what it is given. A store that is away is nothing that a new process
//! would mend, and an end would cost the jobs that run.

use std::rc::Rc;

use tokio::runtime::Handle;

use crate::worker::Duty;

pub(crate) async fn notify_all(duty: Rc<Duty>, runtime: Handle) {
    let control = duty.shared.control();
    // By then the store has taken the worker's first beat.
    control.started().await;
    duty.notify("READY=1");
    let Some(interval) = duty.watchdog_interval() else { return };
    loop {
        tokio::time::sleep(interval / 2).await;
        // Waited for, so that there is never more than one: a runtime that stands still is not given a heap of them.
        if runtime.spawn(async {}).await.is_ok() {
            duty.notify("WATCHDOG=1");
        }
    }
}
