//! Stops a worker: what runs may end, what does not end goes back, and the worker leaves the lists.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::Duty;
use super::hand::HoldKey;
use crate::broker::BATCH_JOBS_MAX;
use crate::error::Result;
use crate::event::Event;
use crate::worker::{Control, Phase};

/// How long executors may take to drop what they are told to drop. One whose runtime is blocked stays.
const DROP_MAX: Duration = Duration::from_secs(1);

/// How long the store may take to hear of what ended, and to take back what did not.
const TELL_MAX: Duration = Duration::from_secs(5);

/// Waits until the worker is told to stop, then stops it.
pub(super) async fn when_told(duty: &Rc<Duty>, fetching: JoinHandle<()>, executors: Vec<JoinHandle<()>>) {
    wait_for(&duty.control, Phase::Quiet).await;
    if !duty.exits_when_empty || *duty.phase().borrow() == Phase::Quiet {
        duty.emit(if *duty.phase().borrow() == Phase::Quiet { Event::Quiet } else { Event::Draining });
    }
    // A fetch that is under way may still bring jobs; without the store there is nothing to wait for.
    let abort = fetching.abort_handle();
    if timeout(TELL_MAX, fetching).await.is_err() {
        abort.abort();
    }
    give_back_unstarted(duty).await;
    wait_for(&duty.control, Phase::Draining).await;
    let end = Instant::now() + duty.shutdown_timeout;
    tokio::select! {
        _ = timeout_at(end, wait_until(duty, |duty| duty.hand.borrow().in_hand() == 0)) => {}
        () = wait_for(&duty.control, Phase::Forced) => {}
    }
    duty.hand.borrow().pull_all();
    let _ = timeout(DROP_MAX, wait_until(duty, |duty| duty.hand.borrow().in_hand() == 0)).await;
    duty.shared.ready.close();
    for executor in executors {
        // Those that still run were told to drop their jobs and do so as soon as their runtime lets them.
        if executor.is_finished() {
            let _ = executor.await;
        }
    }
    let _ = timeout(TELL_MAX, wait_until(duty, |duty| duty.hand.borrow().is_told())).await;
    give_back(duty).await;
    match timeout(TELL_MAX, leave(duty)).await {
        Ok(Err(error)) => duty.note_store(Some(&error)),
        // The lists clear themselves in time.
        Err(_) => tracing::warn!(target: "windlass", "the store did not let the worker leave in time"),
        Ok(Ok(())) => {}
    }
    duty.emit(Event::Stopped { released: duty.summary.borrow().released as usize });
}

async fn leave(duty: &Duty) -> Result<()> {
    let queues: Vec<&str> = duty.shared.queues.iter().map(|queue| &**queue).collect();
    while duty.broker.leave(&duty.shared.worker, &queues).await? > 0 {}
    Ok(())
}

async fn wait_for(control: &Control, phase: Phase) {
    // The sender is in the control that we borrow, so that waiting cannot fail.
    let _ = control.phase().wait_for(|now| *now >= phase).await;
}

async fn wait_until(duty: &Duty, is_so: impl Fn(&Duty) -> bool) {
    while !is_so(duty) {
        tokio::select! {
            () = duty.has_room.notified() => {}
            () = duty.settled.notified() => {}
        }
    }
}

/// Gives back what no executor has begun.
async fn give_back_unstarted(duty: &Duty) {
    let mut keys: Vec<HoldKey> =
        duty.shared.ready.take_all().iter().map(|ticket| HoldKey::of(&ticket.taken)).collect();
    for _ in &keys {
        duty.hand.borrow_mut().come_back();
    }
    keys.sort_unstable();
    for same in keys.chunk_by(|a, b| a.queue == b.queue) {
        let held: Vec<_> = same.iter().map(|key| key.held).collect();
        release(duty, same[0].queue, &held).await;
    }
}

/// Gives back everything that is still held.
async fn give_back(duty: &Duty) {
    let all = duty.hand.borrow().all_held();
    for (queue, held) in all {
        release(duty, queue, &held).await;
    }
}

async fn release(duty: &Duty, queue: usize, held: &[crate::broker::Held]) {
    for some in held.chunks(BATCH_JOBS_MAX) {
        let name = &*duty.shared.queues[queue];
        let call = duty.broker.release(name, &duty.shared.worker, some);
        match timeout(TELL_MAX, call).await {
            Ok(Ok(count)) => duty.summary.borrow_mut().released += count as u64,
            Ok(Err(error)) => duty.note_store(Some(&error)),
            // The lease gives them back.
            Err(_) => tracing::warn!(target: "windlass", "the store did not take jobs back in time"),
        }
        let mut hand = duty.hand.borrow_mut();
        for job in some {
            hand.drop_held(&HoldKey { queue, held: *job });
        }
    }
}
