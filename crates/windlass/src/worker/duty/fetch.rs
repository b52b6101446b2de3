//! Takes jobs while there is room, and waits on the wake keys while there are none.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Duty;
use crate::broker::{Request, Taken};
use crate::event::Event;
use crate::state::History;
use crate::worker::executor::Ticket;
use crate::worker::{Phase, local_now_ms};

/// How long an idle worker waits before it looks again unasked: what a lost wake mark can cost.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Takes jobs until the worker is told to be quiet.
pub(super) async fn fetch_all(duty: Rc<Duty>) {
    let (ask, asked) = mpsc::channel(1);
    let (wake, mut woken) = mpsc::channel(1);
    let waiting = tokio::task::spawn_local(wait_all(duty.clone(), asked, wake)).abort_handle();
    let mut phase = duty.phase();
    let mut is_waiting = false;
    let mut mark = None;
    while *phase.borrow_and_update() < Phase::Quiet {
        let room = duty.hand.borrow().room();
        if room == 0 {
            if let Some(queue) = mark.take() {
                give_mark_back(&duty, queue).await;
            }
            tokio::select! {
                () = duty.has_room.notified() => {}
                () = duty.settled.notified() => {}
                Some(queue) = woken.recv(), if is_waiting => {
                    is_waiting = false;
                    mark = queue;
                }
                _ = phase.changed() => {}
            }
            continue;
        }
        let got = fetch(&duty, room, mark.take()).await;
        if got >= room {
            continue;
        }
        if got == 0 && duty.exits_when_empty && duty.hand.borrow().is_empty() {
            duty.control.stop();
            break;
        }
        if !is_waiting {
            // The waiter takes one request at a time, and it has answered the last one.
            is_waiting = ask.try_send(()).is_ok();
        }
        tokio::select! {
            Some(queue) = woken.recv() => {
                is_waiting = false;
                mark = queue;
            }
            () = duty.kick.notified() => {}
            () = duty.settled.notified(), if duty.exits_when_empty => {}
            _ = phase.changed() => {}
        }
    }
    waiting.abort();
    if is_waiting || mark.is_some() {
        // A mark may have been on its way here: nobody may miss it.
        for queue in 0..duty.shared.queues.len() {
            give_mark_back(&duty, queue).await;
        }
    }
}

/// Waits for wake marks, once per request. A task of its own, since a blocking command that is under way
/// cannot be taken back when something else needs a fetch.
async fn wait_all(duty: Rc<Duty>, mut asked: mpsc::Receiver<()>, wake: mpsc::Sender<Option<usize>>) {
    let queues: Vec<&str> = duty.shared.queues.iter().map(|queue| &**queue).collect();
    while asked.recv().await.is_some() {
        let queue = duty.until_answered(async || duty.waiter.wait(&queues, WAIT_MAX).await).await;
        if wake.send(queue).await.is_err() {
            return;
        }
    }
}

/// Leaves a mark for another worker, since this one has no room.
async fn give_mark_back(duty: &Duty, queue: usize) {
    let key = duty.broker.keys().wake(&duty.shared.queues[queue]);
    if let Err(error) = duty.broker.send(redis::cmd("ZADD").arg(key).arg(0).arg("w")).await {
        // Another worker then finds the job when its own wait ends.
        duty.note_store(Some(&error));
    }
}

/// Takes up to `count` jobs and hands them to the executors. Answers how many there were.
async fn fetch(duty: &Duty, count: usize, mark: Option<usize>) -> usize {
    let order = duty.order.draw();
    let queues: Vec<&str> = order.iter().map(|queue| &*duty.shared.queues[*queue]).collect();
    let woken = mark.and_then(|mark| order.iter().position(|queue| *queue == mark));
    let may_suspect = {
        let mut hand = duty.hand.borrow_mut();
        hand.begin_fetch();
        hand.may_suspect()
    };
    let request = Request { consumer: &duty.shared.worker, count, may_suspect, woken };
    let exchange = async || duty.fetcher.exchange(None, &queues, request).await;
    let crate::broker::Exchanged { now_ms: now, mut taken, .. } = duty.until_answered(exchange).await;
    let offset = i64::try_from(now).unwrap_or(i64::MAX) - i64::try_from(local_now_ms()).unwrap_or(i64::MAX);
    duty.shared.clock_offset_ms.store(offset, std::sync::atomic::Ordering::Relaxed);
    let got = taken.len();
    for job in &mut taken {
        job.queue = order[job.queue];
    }
    note_resumed(duty, &taken);
    let tickets: Vec<Ticket> = {
        let mut hand = duty.hand.borrow_mut();
        let take = |taken: Taken| hand.take(&taken).map(|leash| Ticket { taken, leash });
        taken.into_iter().filter_map(take).collect()
    };
    if !tickets.is_empty() {
        duty.shared.ready.add(tickets);
    }
    got
}

/// Tells of jobs that an ended worker had begun.
fn note_resumed(duty: &Duty, taken: &[Taken]) {
    let resumed = taken.iter().filter(|job| job.count > 1);
    let attempts = resumed.map(|job| {
        let history = job.history.as_deref().and_then(|json| serde_json::from_slice::<History>(json).ok());
        history.unwrap_or_default().attempts.saturating_add(job.count)
    });
    let (jobs, attempt) = attempts.fold((0, 0), |(jobs, last), attempt| (jobs + 1, last.max(attempt)));
    if jobs > 0 {
        duty.summary.borrow_mut().resumed += jobs as u64;
        duty.emit(Event::Resumed { jobs, attempt });
    }
}
