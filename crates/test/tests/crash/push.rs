//! Pushes. One whose answer is lost may have happened; who has a key, or a unique job, pushes again.

use windlass::{Chain, Error, Push, Rule, Target, Unique};

use super::play::{Act, Does, LATER, Play, QUEUE, act, doing, kept, large};

pub async fn one(play: &Play<'_>) {
    once(play, kept()).await;
}

/// Without a key nobody pushes again: it has happened or not, as the documentation says.
async fn once(play: &Play<'_>, options: Push) {
    let id =
        play.dying(async |dying| Ok(dying.client.push_with(act("a"), options).await?.id().clone())).await;
    play.note(&id);
    play.drain().await;
    play.ran_among("a", usize::from(id.is_some())..=1);
}

pub async fn many(play: &Play<'_>) {
    some(play, kept(), 3).await;
}

/// All of a call are there, or none.
async fn some(play: &Play<'_>, options: Push, count: usize) {
    let jobs = (0..count).map(|_| act("a"));
    let pushed = play.dying(async |dying| dying.client.push_many_with(jobs, options).await).await;
    play.drain().await;
    play.ran_among("a", pushed.map_or(0, |pushed| pushed as usize)..=count);
    let found = play.look().await;
    assert!(found.results.len().is_multiple_of(count), "{} of {count}", found.results.len());
}

/// What takes several calls is there as far as these came.
pub async fn large_ones(play: &Play<'_>) {
    let pushed = play.dying(async |dying| dying.client.push_many_with(large("a"), kept()).await).await;
    play.drain().await;
    play.ran_among("a", pushed.map_or(0, |pushed| pushed as usize)..=3);
}

pub async fn into_lanes(play: &Play<'_>) {
    once(play, kept().priority(3).group_key("x")).await;
}

pub async fn many_into_lanes(play: &Play<'_>) {
    some(play, kept().group_key("x"), 3).await;
}

pub async fn into_a_queue_with_a_limit(play: &Play<'_>) {
    play.client.limits().set(&Target::queue(QUEUE), Rule::new().max_jobs(2)).await.unwrap();
    let id = play.dying(async |dying| Ok(dying.client.push_with(act("a"), kept()).await?.id().clone())).await;
    play.note(&id);
    let lanes = kept().priority(1);
    while let Ok(pushed) = play.client.push_with(act("a"), lanes.clone()).await {
        play.note([pushed.id()]);
    }
    assert_eq!(play.look().await.places().len(), 2);
    play.drain().await;
    play.ran("a", 2);
}

pub async fn once_by_its_key(play: &Play<'_>) {
    again(play, kept().key("key")).await;
}

pub async fn later(play: &Play<'_>) {
    once(play, kept().delay(LATER)).await;
}

pub async fn later_once_by_its_key(play: &Play<'_>) {
    again(play, kept().delay(LATER).key("key")).await;
}

pub async fn unique(play: &Play<'_>) {
    again(play, kept().unique(Unique::until_done())).await;
}

/// Pushed again it is the same job.
async fn again(play: &Play<'_>, options: Push) {
    let push = options.clone();
    let id = play.dying(async |dying| Ok(dying.client.push_with(act("a"), push).await?.id().clone())).await;
    let second = play.push(act("a"), options).await;
    assert!(id.is_none_or(|id| id == second));
    play.drain().await;
    play.ran("a", 1);
}

pub async fn unique_kept(play: &Play<'_>) {
    play.push(act("a"), kept().unique(Unique::until_done())).await;
    again(play, kept().unique(Unique::until_done())).await;
}

pub async fn unique_replaced(play: &Play<'_>) {
    let by_key = || Unique::until_done().by_key("key").replace();
    let first = play.push(act("old"), kept().unique(by_key())).await;
    again(play, kept().unique(by_key())).await;
    play.ran("old", 0);
    assert!(play.look().await.results.contains_key(first.as_str()), "it kept its id");
}

pub async fn unique_refused(play: &Play<'_>) {
    let options = || kept().unique(Unique::until_done().refuse());
    let pushed =
        play.dying(async |dying| Ok(dying.client.push_with(act("a"), options()).await?.id().clone())).await;
    let first = match play.client.push_with(act("a"), options()).await {
        Ok(pushed) => pushed.id().clone(),
        Err(Error::Duplicate(id)) => id,
        Err(error) => panic!("{error}"),
    };
    play.note([&first]);
    assert!(pushed.is_none_or(|id| id == first));
    play.drain().await;
    play.ran("a", 1);
}

pub async fn unique_later(play: &Play<'_>) {
    again(play, kept().delay(LATER).unique(Unique::until_started().replace())).await;
}

pub async fn debounced(play: &Play<'_>) {
    let options = || kept().debounce(LATER).unique(Unique::until_started().by_key("key").replace());
    play.push(act("old"), options()).await;
    again(play, options()).await;
    play.ran("old", 0);
}

pub async fn many_unique(play: &Play<'_>) {
    let jobs = || ["a", "b", "c"].map(act);
    let options = || kept().unique(Unique::until_done());
    play.push(act("b"), options()).await;
    play.dying(async |dying| dying.client.push_many_with(jobs(), options()).await).await;
    play.client.push_many_with(jobs(), options()).await.unwrap();
    play.drain().await;
    for name in ["a", "b", "c"] {
        play.ran(name, 1);
    }
}

pub async fn spread(play: &Play<'_>) {
    let jobs = [(); 3].map(|()| act("a"));
    let options = kept().spread(LATER);
    let pushed = play.dying(async |dying| dying.client.push_many_with(jobs, options).await).await;
    play.drain().await;
    play.ran_among("a", pushed.map_or(0, |pushed| pushed as usize)..=3);
}

pub async fn a_chain(play: &Play<'_>) {
    let first = |job: Act| Chain::new().then_with(job, kept().key("key")).then_with(act("b"), kept());
    let chain = || first(doing("a", Does::Succeed));
    let id = play.dying(async |dying| dying.client.push_chain(chain()).await).await;
    play.note(&id);
    let second = play.client.push_chain(chain()).await.unwrap();
    play.note([&second]);
    play.drain().await;
    play.ran("a", 1);
    play.ran("b", 1);
}
