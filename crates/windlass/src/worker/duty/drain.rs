//! Stops a worker: what runs may end, what does not end goes back, and the worker leaves the lists.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Duty;
use crate::broker::{BATCH_JOBS_MAX, Held};
use crate::error::Result;
use crate::event::Event;
use crate::service;
use crate::worker::hand::{Hand, HoldKey};
use crate::worker::{Control, Phase, Shared};

/// How long executors may take to drop what they are told to drop. One whose runtime is blocked stays.
const DROP_MAX: Duration = Duration::from_secs(1);

/// How long the store may take to hear of what ended, and to take back what did not.
const TELL_MAX: Duration = Duration::from_secs(5);

/// Waits until the worker is told to stop, then stops it.
pub(super) async fn when_told(duty: &Rc<Duty>, waiting: Vec<JoinHandle<()>>) {
    let control = &duty.shared.control;
    wait_for(control, Phase::Quiet).await;
    if !duty.shared.exits_when_empty || *duty.phase().borrow() == Phase::Quiet {
        duty.emit(if *duty.phase().borrow() == Phase::Quiet { Event::Quiet } else { Event::Draining });
    }
    give_back_unstarted(duty).await;
    // An exchange that is under way may still bring jobs; without the store there is nothing to wait for.
    let _ = timeout(TELL_MAX, wait_until(duty, |hand| !hand.is_asking())).await;
    let all_waiting = async {
        for waiting in waiting {
            let _ = waiting.await;
        }
    };
    let _ = timeout(TELL_MAX, all_waiting).await;
    give_back_unstarted(duty).await;
    wait_for(control, Phase::Draining).await;
    duty.notify("STOPPING=1");
    tokio::select! {
        _ = timeout(duty.shared.shutdown_timeout, wait_until(duty, |hand| hand.in_hand() == 0)) => {}
        () = wait_for(control, Phase::Forced) => {}
    }
    for pool in &duty.pools {
        pool.hand().pull_all();
    }
    let _ = timeout(DROP_MAX, wait_until(duty, |hand| hand.in_hand() == 0)).await;
    let _ = timeout(TELL_MAX, wait_until(duty, Hand::is_told)).await;
    for pool in &duty.pools {
        let idle = pool.hand().close();
        idle.into_iter().for_each(std::task::Waker::wake);
    }
    give_back(duty).await;
    match timeout(TELL_MAX, leave(duty)).await {
        Ok(Err(error)) => duty.shared.note_failure(&error),
        // The lists clear themselves in time.
        Err(_) => tracing::warn!(target: "windlass", "the store did not let the worker leave in time"),
        Ok(Ok(())) => {}
    }
    duty.emit(Event::Stopped { released: duty.shared.summary().released as usize });
    let record_all = async { while service::recorder::record(duty, false).await {} };
    let _ = timeout(TELL_MAX, record_all).await;
}

async fn leave(duty: &Duty) -> Result<()> {
    for pool in &duty.pools {
        let queues: Vec<&str> = pool.queues.iter().map(|queue| &**queue).collect();
        while duty.broker.leave(&pool.worker, &queues).await? > 0 {}
    }
    Ok(())
}

async fn wait_for(control: &Control, phase: Phase) {
    // The sender is in the control that we borrow, so that waiting cannot fail.
    let _ = control.phase().wait_for(|now| *now >= phase).await;
}

async fn wait_until(duty: &Duty, is_so: impl Fn(&Hand) -> bool) {
    for pool in &duty.pools {
        while !is_so(&pool.hand()) {
            pool.settled.notified().await;
        }
    }
}

/// Gives back what no executor has begun, and takes nothing more.
async fn give_back_unstarted(duty: &Duty) {
    for pool in &duty.pools {
        let mut keys = pool.hand().stop_taking();
        keys.sort_unstable();
        for same in keys.chunk_by(|a, b| a.queue == b.queue) {
            let held: Vec<_> = same.iter().map(|key| key.held).collect();
            release(duty, pool, same[0].queue, &held).await;
        }
    }
}

/// Gives back everything that is still held.
async fn give_back(duty: &Duty) {
    for pool in &duty.pools {
        let all = pool.hand().all_held();
        for (queue, held) in all {
            release(duty, pool, queue, &held).await;
        }
    }
}

async fn release(duty: &Duty, pool: &Shared, queue: usize, held: &[Held]) {
    for some in held.chunks(BATCH_JOBS_MAX) {
        let name = &*pool.queues[queue];
        let call = duty.broker.release(name, &pool.worker, some);
        match timeout(TELL_MAX, call).await {
            Ok(Ok(count)) => duty.shared.summary().released += count as u64,
            Ok(Err(error)) => duty.shared.note_failure(&error),
            // The lease gives them back.
            Err(_) => tracing::warn!(target: "windlass", "the store did not take jobs back in time"),
        }
        let mut hand = pool.hand();
        for job in some {
            hand.drop_held(&HoldKey { queue, held: *job });
        }
    }
}
