//! Chains, batches and groups: what follows from an end comes with it, once.

use windlass::{Chain, Push};

use super::play::{Does, LATER, Play, act, doing, kept, large};

/// Each of these names ran once.
fn each_once(play: &Play<'_>, names: &[&str]) {
    for name in names {
        play.ran(name, 1);
    }
}

fn chain(second: Does) -> Chain {
    let chain = Chain::new().then_with(act("a"), kept()).then_with(doing("b", second), kept());
    chain.then_with(act("c"), kept()).catch_with(act("catch"), kept())
}

pub async fn a_chain_runs(play: &Play<'_>) {
    play.note([&play.client.push_chain(chain(Does::Fail)).await.unwrap()]);
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "c"]);
    play.ran("catch", 0);
}

pub async fn a_chain_is_caught(play: &Play<'_>) {
    play.note([&play.client.push_chain(chain(Does::Die)).await.unwrap()]);
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "catch"]);
    play.ran("c", 0);
}

fn batch(play: &Play<'_>) -> windlass::BatchBuilder {
    let batch = play.client.batch().on_complete_with(act("complete"), kept());
    batch.on_success_with(act("success"), kept()).on_dead_with(act("dead"), kept())
}

pub async fn a_batch_runs(play: &Play<'_>) {
    batch(play).push_all_with([act("a"), doing("b", Does::Fail)], kept()).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "complete", "success"]);
    play.ran("dead", 0);
}

pub async fn a_batch_with_a_dead_job_runs(play: &Play<'_>) {
    let jobs = [act("a"), doing("b", Does::Die), doing("c", Does::Discard)];
    batch(play).push_all_with(jobs, kept()).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "c", "complete", "dead"]);
    play.ran("success", 0);
}

pub async fn a_batch_runs_in_lanes(play: &Play<'_>) {
    let batch = play.client.batch().on_complete_with(act("complete"), kept().priority(3));
    let jobs = [act("a"), doing("b", Does::Die)];
    batch.push_all_with(jobs, kept().group_key("x")).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "complete"]);
}

pub async fn a_batch_with_a_chain_runs(play: &Play<'_>) {
    let batch = batch(play).open().await.unwrap();
    play.note([&batch.push_chain(chain(Does::Die)).await.unwrap()]);
    batch.close().await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "catch", "complete", "dead"]);
}

/// A job that opens a batch within its own may do so again when its process has died: each of those ends, and the one
/// around them once.
async fn nested(play: &Play<'_>, does: Does) {
    batch(play).push_all_with([doing("a", does)], kept()).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "complete"]);
    play.ran_among("child", 1..=2);
    play.ran_among("inner", 1..=2);
}

pub async fn a_nested_batch_runs(play: &Play<'_>) {
    nested(play, Does::Nest).await;
    play.ran("success", 1);
    play.ran("dead", 0);
}

pub async fn a_nested_batch_with_a_dead_job_runs(play: &Play<'_>) {
    nested(play, Does::NestDying).await;
    play.ran("success", 0);
    play.ran("dead", 1);
}

pub async fn a_job_grows_its_batch(play: &Play<'_>) {
    batch(play).push_all_with([doing("a", Does::Grow)], kept()).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "complete", "success"]);
    play.ran_among("more", 1..=2);
}

fn group(play: &Play<'_>) -> windlass::GroupBuilder {
    play.client.group().then_with(act("then"), kept()).catch_with(act("catch"), kept())
}

pub async fn a_group_runs(play: &Play<'_>) {
    let group = group(play).push_with([act("a"), doing("b", Does::Fail), act("c")], kept()).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "c", "then"]);
    let results = group.results().await.unwrap().expect("it has ended");
    assert_eq!(results.into_iter().flatten().collect::<Vec<_>>(), ["a", "b", "c"]);
}

pub async fn a_group_is_caught(play: &Play<'_>) {
    let group = group(play).push_with([act("a"), doing("b", Does::Die)], kept()).await.unwrap();
    play.dying_worker().await;
    play.drain().await;
    each_once(play, &["a", "b", "catch"]);
    play.ran("then", 0);
    let results = group.results().await.unwrap().expect("it has ended");
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}

pub async fn an_empty_group_calls_back(play: &Play<'_>) {
    let none = || Vec::<super::play::Act>::new();
    play.dying(async |dying| {
        let group = dying.client.group().key("group").then_with(act("then"), kept());
        group.push_with(none(), kept()).await
    })
    .await;
    let group = play.client.group().key("group").then_with(act("then"), kept());
    group.push_with(none(), kept()).await.unwrap();
    play.drain().await;
    play.ran("then", 1);
}

/// Who opens a batch and dies leaves it open; whoever has its id goes on.
pub async fn a_batch_is_opened_filled_and_closed(play: &Play<'_>) {
    let named =
        |client: &windlass::Client| client.batch().key("batch").on_complete_with(act("complete"), kept());
    let pushed = play
        .dying(async |dying| {
            let batch = named(&dying.client).open().await?;
            let ids = vec![
                batch.push_with(act("a"), kept()).await?,
                batch.push_with(act("a"), kept().delay(LATER)).await?,
            ];
            batch.close().await?;
            Ok(ids)
        })
        .await;
    play.note(pushed.iter().flatten());
    let batch = named(&play.client).open().await.unwrap();
    batch.close().await.unwrap();
    play.drain().await;
    play.ran("complete", 1);
    // Single pushes have no key: those that nobody heard of may have happened.
    play.ran_among("a", pushed.map_or(0, |ids| ids.len())..=2);
}

pub async fn a_batch_is_pushed_at_once(play: &Play<'_>) {
    let jobs = || [act("a"), act("b")];
    let pushed = play
        .dying(async |dying| {
            let batch = dying.client.batch().on_complete_with(act("complete"), kept());
            batch.push_all_with(jobs(), kept()).await
        })
        .await;
    play.drain().await;
    let least = usize::from(pushed.is_some());
    for name in ["a", "b", "complete"] {
        play.ran_among(name, least..=1);
    }
}

pub async fn a_batch_is_made_once_by_its_key(play: &Play<'_>) {
    let jobs = || [act("a"), act("b")];
    let named =
        |client: &windlass::Client| client.batch().key("batch").on_complete_with(act("complete"), kept());
    play.dying(async |dying| named(&dying.client).push_all_with(jobs(), kept()).await).await;
    named(&play.client).push_all_with(jobs(), kept()).await.unwrap();
    play.drain().await;
    each_once(play, &["a", "b", "complete"]);
}

/// Several calls, each of which may be the last: pushed again it goes on.
pub async fn a_group_of_several_calls_is_made_once_by_its_key(play: &Play<'_>) {
    let named = |client: &windlass::Client| client.group().key("group").then_with(act("then"), kept());
    play.dying(async |dying| named(&dying.client).push_with(large("a"), kept()).await).await;
    let group = named(&play.client).push_with(large("a"), kept()).await.unwrap();
    play.drain().await;
    play.ran("a", 3);
    play.ran("then", 1);
    let results = group.results().await.unwrap().expect("it has ended");
    assert_eq!(results.into_iter().flatten().count(), 3);
}

/// What was to be cancelled by a process that has died may still run, and a second call cancels the rest.
async fn cancelled(play: &Play<'_>, batch: &windlass::Batch) {
    let id = batch.id().to_owned();
    play.dying(async |dying| dying.client.batch_by_id(&id)?.cancel().await).await;
    play.look().await;
    // The second time it may have completed.
    batch.cancel().await.unwrap();
    batch.close().await.unwrap();
    play.drain().await;
    play.ran("a", 0);
    play.ran("complete", 1);
}

pub async fn a_batch_is_cancelled(play: &Play<'_>) {
    let batch = batch(play).open().await.unwrap();
    for options in [kept(), kept().delay(LATER), kept().delay(LATER).group_key("x"), kept().priority(1)] {
        play.note([&batch.push_with(act("a"), options).await.unwrap()]);
    }
    cancelled(play, &batch).await;
}

pub async fn a_nested_batch_is_cancelled(play: &Play<'_>) {
    // A job that fails leaves its nested batch, and waits for its next attempt.
    let outer = batch(play).open().await.unwrap();
    play.note([&outer
        .push_with(doing("b", Does::NestLater), Push::new().result_ttl(LATER * 999))
        .await
        .unwrap()]);
    play.work().await;
    cancelled(play, &outer).await;
}
