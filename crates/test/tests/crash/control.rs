//! Moves by hand, of a job of a batch in each state: whoever makes them again when the process has died brings about the
//! same, and the batch counts it once.

use windlass::{Batch, Filter, Inspector, JobId, Order, Push, QueueRemoval, Result, Rule, State, Target};

use super::ends::Other;
use super::play::{A, Does, Dying, LATER, Play, QUEUE, act, doing, kept};

/// Where the job is that is moved by hand.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Scheduled,
    Retry,
    Parked,
    Enqueued,
    Lane,
    /// In retry, with the place that it holds in the order of its key.
    InOrder,
    Active,
    Dead,
    Cancelled,
}

/// A closed batch whose one job is there.
async fn job_at(play: &Play<'_>, at: At) -> (Batch, JobId) {
    if at == At::InOrder {
        play.client.limits().set(&Target::each_key(QUEUE), Rule::new().order(Order::Wait)).await.unwrap();
        play.cap("key:default/x", 1);
    }
    let batch = play.client.batch().on_complete_with(act("complete"), kept()).open().await.unwrap();
    let (does, options) = match at {
        At::Scheduled => (Does::Succeed, kept().delay(LATER)),
        At::Retry => (Does::Fail, kept()),
        At::Dead => (Does::Die, kept()),
        At::Lane => (Does::Succeed, kept().group_key("x")),
        At::InOrder => (Does::Fail, kept().group_key("x")),
        _ => (Does::Succeed, kept()),
    };
    let id = batch.push_with(doing("a", does), options).await.unwrap();
    play.note([&id]);
    match at {
        At::Retry | At::InOrder | At::Dead => play.work().await,
        At::Parked => {
            let ignorant = windlass::Worker::new(&play.client).register::<Other>();
            drop(windlass::testing::drain(ignorant).await.unwrap());
        }
        At::Active => assert_eq!(play.take(A, 1).await.len(), 1),
        At::Cancelled => drop(play.client.inspector().cancel(&id).await.unwrap()),
        At::Scheduled | At::Enqueued | At::Lane => {}
    }
    batch.close().await.unwrap();
    (batch, id)
}

/// Somebody dies at a move of a job, and somebody else makes it again.
async fn moved(
    play: &Play<'_>,
    at: At,
    does: impl AsyncFn(&Inspector, &JobId) -> Result<()>,
) -> (Batch, JobId) {
    let (batch, id) = job_at(play, at).await;
    play.dying(async |dying| does(&dying.client.inspector(), &id).await).await;
    does(&play.client.inspector(), &id).await.unwrap();
    play.look().await;
    (batch, id)
}

/// Then everything comes to its end, and the batch has completed once. Nobody is held up for what was moved.
async fn to_the_end(play: &Play<'_>, batch: &Batch, runs: usize) {
    play.push(act("next"), kept().group_key("x")).await;
    play.drain().await;
    play.ran("next", 1);
    play.ran("a", runs);
    play.ran("complete", 1);
    let status = batch.status().await.unwrap().expect("it is there");
    assert_eq!((status.total, status.pending), (1, 0));
}

async fn cancel(play: &Play<'_>, at: At, runs: usize) {
    let (batch, id) = moved(play, at, async |inspector, id| inspector.cancel(id).await.map(drop)).await;
    if at != At::Active {
        let is_dead = at == At::Dead;
        assert_eq!(play.state(&id).await, Some(if is_dead { State::Dead } else { State::Cancelled }));
        let cancelled = play.look().await.hash("stats").get("cancelled").cloned();
        assert_eq!(cancelled, (!is_dead).then(|| "1".into()), "it is counted once");
    }
    to_the_end(play, &batch, runs).await;
}

pub async fn cancel_scheduled(play: &Play<'_>) {
    cancel(play, At::Scheduled, 0).await;
}

pub async fn cancel_retry(play: &Play<'_>) {
    cancel(play, At::Retry, 1).await;
}

pub async fn cancel_parked(play: &Play<'_>) {
    cancel(play, At::Parked, 0).await;
}

pub async fn cancel_enqueued(play: &Play<'_>) {
    cancel(play, At::Enqueued, 0).await;
}

pub async fn cancel_in_a_lane(play: &Play<'_>) {
    cancel(play, At::Lane, 0).await;
}

pub async fn cancel_in_order(play: &Play<'_>) {
    cancel(play, At::InOrder, 1).await;
}

/// Who has it is asked to stop, and dies; the next one to have it succeeds all the same.
pub async fn cancel_active(play: &Play<'_>) {
    cancel(play, At::Active, 1).await;
}

pub async fn cancel_dead(play: &Play<'_>) {
    cancel(play, At::Dead, 1).await;
}

async fn kill(play: &Play<'_>, at: At) {
    let (batch, id) = moved(play, at, async |inspector, id| inspector.kill(id).await.map(drop)).await;
    assert_eq!(play.state(&id).await, Some(State::Dead));
    to_the_end(play, &batch, 0).await;
}

pub async fn kill_scheduled(play: &Play<'_>) {
    kill(play, At::Scheduled).await;
}

pub async fn kill_enqueued(play: &Play<'_>) {
    kill(play, At::Enqueued).await;
}

pub async fn kill_in_a_lane(play: &Play<'_>) {
    kill(play, At::Lane).await;
}

pub async fn kill_in_order(play: &Play<'_>) {
    let (batch, id) =
        moved(play, At::InOrder, async |inspector, id| inspector.kill(id).await.map(drop)).await;
    assert_eq!(play.state(&id).await, Some(State::Dead));
    to_the_end(play, &batch, 1).await;
}

async fn requeue(play: &Play<'_>, at: At) {
    let (batch, _) = moved(play, at, async |inspector, id| inspector.retry(id).await.map(drop)).await;
    to_the_end(play, &batch, 1).await;
}

pub async fn requeue_scheduled(play: &Play<'_>) {
    requeue(play, At::Scheduled).await;
}

pub async fn requeue_retry(play: &Play<'_>) {
    requeue(play, At::Retry).await;
}

pub async fn requeue_in_order(play: &Play<'_>) {
    requeue(play, At::InOrder).await;
}

pub async fn requeue_parked(play: &Play<'_>) {
    requeue(play, At::Parked).await;
}

pub async fn requeue_dead(play: &Play<'_>) {
    requeue(play, At::Dead).await;
}

pub async fn requeue_cancelled(play: &Play<'_>) {
    requeue(play, At::Cancelled).await;
}

pub async fn requeue_into_a_lane(play: &Play<'_>) {
    let (batch, id) = job_at(play, At::Lane).await;
    let inspector = play.client.inspector();
    inspector.reschedule_in(&id, LATER).await.unwrap();
    play.dying(async |dying| dying.client.inspector().retry(&id).await).await;
    inspector.retry(&id).await.unwrap();
    to_the_end(play, &batch, 1).await;
}

async fn all(play: &Play<'_>, options: Push) {
    let batch = play.client.batch().on_complete_with(act("complete"), kept());
    let batch = batch.push_all_with([act("a"), act("a"), act("a")], options).await.unwrap();
    let inspector = play.client.inspector();
    for id in play.look().await.places().keys() {
        let id = JobId::parse(id).unwrap();
        inspector.kill(&id).await.unwrap();
        play.note([&id]);
    }
    play.dying(async |dying| dying.client.inspector().retry_all(&Filter::default()).await).await;
    inspector.retry_all(&Filter::default()).await.unwrap();
    assert_eq!(batch.status().await.unwrap().expect("it is there").pending, 3);
    play.drain().await;
    play.ran("a", 3);
    play.ran("complete", 1);
}

pub async fn requeue_all(play: &Play<'_>) {
    all(play, kept()).await;
}

pub async fn requeue_all_into_lanes(play: &Play<'_>) {
    all(play, kept().group_key("x")).await;
}

async fn reschedule(play: &Play<'_>, at: At) {
    let does = async |inspector: &Inspector, id: &JobId| inspector.reschedule_in(id, LATER).await.map(drop);
    let (batch, id) = moved(play, at, does).await;
    assert_eq!(play.state(&id).await, Some(State::Scheduled));
    to_the_end(play, &batch, 1).await;
}

pub async fn reschedule_scheduled(play: &Play<'_>) {
    reschedule(play, At::Scheduled).await;
}

pub async fn reschedule_enqueued(play: &Play<'_>) {
    reschedule(play, At::Enqueued).await;
}

pub async fn reschedule_in_a_lane(play: &Play<'_>) {
    reschedule(play, At::Lane).await;
}

pub async fn reschedule_dead(play: &Play<'_>) {
    reschedule(play, At::Dead).await;
}

async fn edit(play: &Play<'_>, at: At) {
    let args = serde_json::value::to_raw_value(&act("edited")).unwrap();
    let (batch, _) = moved(play, at, async |inspector, id| inspector.edit(id, &args).await.map(drop)).await;
    to_the_end(play, &batch, 0).await;
    play.ran("edited", 1);
}

pub async fn edit_scheduled(play: &Play<'_>) {
    edit(play, At::Scheduled).await;
}

pub async fn edit_enqueued(play: &Play<'_>) {
    edit(play, At::Enqueued).await;
}

pub async fn edit_in_a_lane(play: &Play<'_>) {
    edit(play, At::Lane).await;
}

pub async fn edit_and_retry_in_order(play: &Play<'_>) {
    let args = serde_json::value::to_raw_value(&act("edited")).unwrap();
    let does = async |inspector: &Inspector, id: &JobId| inspector.edit_and_retry(id, &args).await.map(drop);
    let (batch, _) = moved(play, At::InOrder, does).await;
    to_the_end(play, &batch, 1).await;
    play.ran("edited", 1);
}

pub async fn edit_dead_and_retry(play: &Play<'_>) {
    let args = serde_json::value::to_raw_value(&act("edited")).unwrap();
    let does = async |inspector: &Inspector, id: &JobId| inspector.edit_and_retry(id, &args).await.map(drop);
    let (batch, _) = moved(play, At::Dead, does).await;
    to_the_end(play, &batch, 1).await;
    play.ran("edited", 1);
}

async fn remove(play: &Play<'_>, at: At, runs: usize) {
    let (batch, id) = moved(play, at, async |inspector, id| inspector.remove(id).await.map(drop)).await;
    play.forget(&id);
    assert!(!play.look().await.places().contains_key(id.as_str()));
    to_the_end(play, &batch, runs).await;
}

pub async fn remove_scheduled(play: &Play<'_>) {
    remove(play, At::Scheduled, 0).await;
}

pub async fn remove_enqueued(play: &Play<'_>) {
    remove(play, At::Enqueued, 0).await;
}

pub async fn remove_in_a_lane(play: &Play<'_>) {
    remove(play, At::Lane, 0).await;
}

pub async fn remove_in_order(play: &Play<'_>) {
    remove(play, At::InOrder, 1).await;
}

pub async fn remove_dead(play: &Play<'_>) {
    remove(play, At::Dead, 1).await;
}

pub async fn clear_a_queue(play: &Play<'_>) {
    let batch = play.client.batch().on_complete_with(act("complete"), kept().queue("else"));
    let batch = batch.open().await.unwrap();
    for options in [kept(), kept().delay(LATER), kept().group_key("x"), kept().delay(LATER).priority(1)] {
        batch.push_with(act("a"), options).await.unwrap();
    }
    batch.close().await.unwrap();
    let clear = async |client: &windlass::Client| client.inspector().clear_queue(QUEUE).await;
    play.dying(async |Dying { client, .. }| clear(&client).await).await;
    clear(&play.client).await.unwrap();
    let status = batch.status().await.unwrap().expect("it is there");
    assert_eq!((status.cancelled, status.pending, status.completed_at.is_some()), (4, 0, true));
    assert_eq!(play.look().await.places().len(), 1, "the callback");
}

/// Lanes that are empty by now have left their traces.
async fn emptied(play: &Play<'_>) {
    play.push(act("a"), kept().group_key("x")).await;
    play.client.limits().set(&Target::kind("k"), Rule::new().cap(1)).await.unwrap();
    play.drain().await;
    play.ran("a", 1);
    // Workers that are silent do not hold it.
    play.advance(LATER);
}

pub async fn forget_a_queue(play: &Play<'_>) {
    emptied(play).await;
    play.dying(async |dying| dying.client.inspector().remove_queue(QUEUE).await).await;
    play.client.inspector().remove_queue(QUEUE).await.unwrap();
    let left = play.look().await;
    assert!(left.queues.is_empty() && left.of_queue.is_empty() && left.turns.is_empty(), "{left:?}");
    play.push(act("b"), kept()).await;
    play.drain().await;
    play.ran("b", 1);
}

/// Somebody who pushes dies, and somebody forgets the queue just then.
pub async fn push_to_a_queue_that_is_forgotten(play: &Play<'_>) {
    emptied(play).await;
    let pushed =
        play.dying(async |dying| dying.client.push_with(act("b"), kept().group_key("x")).await).await;
    let removed = play.client.inspector().remove_queue(QUEUE).await.unwrap();
    assert!(pushed.is_none() || removed == QueueRemoval::HasJobs(1));
    play.push(act("c"), kept()).await;
    play.drain().await;
    play.ran_among("b", usize::from(pushed.is_some())..=1);
}
