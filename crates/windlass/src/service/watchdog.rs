//! The Watchdog tells systemd that the worker is ready, and then that it lives while its store answers.

use std::rc::Rc;

use crate::worker::Duty;

pub(crate) async fn notify_all(duty: Rc<Duty>) {
    let control = duty.shared.control();
    control.started().await;
    duty.notify("READY=1");
    let Some(interval) = duty.watchdog_interval() else { return };
    loop {
        tokio::time::sleep(interval / 2).await;
        if duty.broker.send(&redis::cmd("PING")).await.is_ok() {
            duty.notify("WATCHDOG=1");
        }
    }
}
