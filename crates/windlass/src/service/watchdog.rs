//! The Watchdog tells systemd that the worker is ready, and then that it lives while its store answers.

use std::rc::Rc;

use crate::error::Error;
use crate::worker::Duty;

pub(crate) async fn notify_all(duty: Rc<Duty>) {
    let control = duty.shared.control();
    control.started().await;
    duty.notify("READY=1");
    let Some(interval) = duty.watchdog_interval() else { return };
    loop {
        tokio::time::sleep(interval / 2).await;
        let answers = match duty.broker.send(&redis::cmd("PING")).await {
            // To start anew would not mend the store's disk.
            Err(Error::Store(error)) => error.code() == Some("MISCONF"),
            answer => answer.is_ok(),
        };
        if answers {
            duty.notify("WATCHDOG=1");
        }
    }
}
