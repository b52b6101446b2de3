//! What workers do beside running jobs: they take back what dead ones held, give back what they hold, and tidy up.

use std::time::Duration;

use windlass::broker::{Held, Note, Sparse, Taken};
use windlass::{Config, JobId, Keep, Rule, State, Target};

use super::ends::Other;
use super::play::{A, B, Does, LATER, Play, QUEUE, act, doing, kept};

async fn jobs(play: &Play<'_>) {
    for n in 0..4 {
        play.push(act("a"), if n == 1 { kept().group_key("x") } else { kept() }).await;
    }
}

fn held(taken: &[Taken]) -> Vec<Held> {
    let mut held: Vec<_> = taken.iter().map(Held::of).collect();
    held.sort();
    held
}

/// Somebody dies while taking back what a worker held that is dead.
async fn recovered(play: &Play<'_>, config: &Config) {
    let dead = [A.to_owned()];
    play.dying(async |dying| dying.broker.recover(QUEUE, config, &dead).await).await;
    play.broker.recover(QUEUE, config, &dead).await.unwrap();
    play.look().await;
}

pub async fn recover(play: &Play<'_>) {
    jobs(play).await;
    assert_eq!(play.take(A, 3).await.len(), 3);
    recovered(play, &play.config).await;
    play.drain().await;
    play.ran("a", 4);
}

pub async fn take_what_came_back(play: &Play<'_>) {
    jobs(play).await;
    assert_eq!(play.take(A, 3).await.len(), 3);
    play.recover(A).await;
    play.dying_worker().await;
    play.drain().await;
    play.ran("a", 4);
}

pub async fn recover_and_kill(play: &Play<'_>) {
    let id = play.push(act("a"), kept()).await;
    play.take(A, 1).await;
    recovered(play, &Config { crash_limit: 1, ..play.config.clone() }).await;
    assert_eq!(play.state(&id).await, Some(State::Dead));
    assert_eq!(play.look().await.hash("stats")["dead"], "1");
    play.drain().await;
    play.ran("a", 0);
}

pub async fn recover_in_a_batch(play: &Play<'_>) {
    let batch =
        play.client.batch().on_complete_with(act("complete"), kept()).on_dead_with(act("dead"), kept());
    batch.push_all_with([act("a")], kept().group_key("x")).await.unwrap();
    play.take(A, 1).await;
    recovered(play, &Config { crash_limit: 1, ..play.config.clone() }).await;
    play.drain().await;
    play.ran("complete", 1);
    play.ran("dead", 1);
}

pub async fn recover_under_a_cap(play: &Play<'_>) {
    let cap = Rule::new().cap(2);
    play.client.limits().set(&Target::kind("k"), cap).await.unwrap();
    play.cap("kind:k", 2);
    jobs(play).await;
    assert_eq!(play.take(A, 3).await.len(), 2);
    recovered(play, &play.config).await;
    play.drain().await;
    play.ran("a", 4);
}

pub async fn recover_and_kill_under_a_cap(play: &Play<'_>) {
    play.client.limits().set(&Target::kind("k"), Rule::new().cap(1)).await.unwrap();
    play.cap("kind:k", 1);
    jobs(play).await;
    assert_eq!(play.take(A, 1).await.len(), 1);
    recovered(play, &Config { crash_limit: 1, ..play.config.clone() }).await;
    play.drain().await;
    play.ran("a", 3);
}

pub async fn release(play: &Play<'_>) {
    jobs(play).await;
    let taken = play.take(A, 3).await;
    play.dying(async |dying| dying.broker.release(QUEUE, A, &held(&taken)).await).await;
    play.drain().await;
    play.ran("a", 4);
}

pub async fn leave(play: &Play<'_>) {
    jobs(play).await;
    play.broker.beat(A, LATER, &[("queues", QUEUE.into())]).await.unwrap();
    play.take(A, 3).await;
    play.dying(async |dying| {
        while dying.broker.leave(A, &[QUEUE]).await? > 0 {}
        Ok(())
    })
    .await;
    play.drain().await;
    play.ran("a", 4);
}

pub async fn renew(play: &Play<'_>) {
    jobs(play).await;
    let taken = play.take(A, 3).await;
    play.dying(async |dying| {
        dying.broker.renew(QUEUE, A, &held(&taken)).await?;
        dying.broker.beat(A, LATER, &[("queues", QUEUE.into())]).await
    })
    .await;
    assert!(play.broker.renew(QUEUE, A, &held(&taken)).await.unwrap().is_empty(), "it holds all");
    play.drain().await;
    play.ran("a", 4);
}

/// A living worker never heard of what it took: that comes back once it was not renewed for a lease.
pub async fn recover_what_a_living_worker_never_heard_of(play: &Play<'_>) {
    jobs(play).await;
    play.take(A, 3).await;
    play.advance(LATER);
    play.broker.beat(A, LATER, &[("queues", QUEUE.into())]).await.unwrap();
    play.dying(async |dying| dying.broker.recover(QUEUE, &play.config, &[]).await).await;
    play.broker.recover(QUEUE, &play.config, &[]).await.unwrap();
    assert_eq!(play.take(B, 9).await.len(), 4);
    play.drain().await;
    play.ran("a", 4);
}

/// A suspect is run, and whoever runs it dies as well.
pub async fn recover_a_suspect(play: &Play<'_>) {
    jobs(play).await;
    play.take(A, 4).await;
    play.recover(A).await;
    assert_eq!(play.take(B, 1).await.iter().filter(|taken| taken.is_suspect).count(), 1);
    let config = Config { crash_limit: 1, ..play.config.clone() };
    let dead = [B.to_owned()];
    play.dying(async |dying| dying.broker.recover(QUEUE, &config, &dead).await).await;
    play.broker.recover(QUEUE, &config, &dead).await.unwrap();
    assert_eq!(play.look().await.members("dead").count(), 1, "one was to blame, once");
    play.drain().await;
    play.ran("a", 3);
}

/// Somebody dies while telling how far a job is.
pub async fn tell_progress(play: &Play<'_>) {
    let id = play.push(act("a"), kept()).await;
    let taken = play.take(A, 1).await.remove(0);
    let note = || Note::Progress(50, "half");
    play.dying(async |dying| dying.broker.note(&id, A, Held::of(&taken), note()).await).await;
    assert!(play.broker.note(&id, A, Held::of(&taken), note()).await.unwrap());
    play.drain().await;
    play.ran("a", 1);
}

pub async fn compact(play: &Play<'_>) {
    jobs(play).await;
    let taken = play.take(A, 2).await;
    play.take(B, 1).await;
    play.recover(B).await;
    let sparse = Sparse { nodes_min: 1, times: 0 };
    play.dying(async |dying| dying.broker.compact(QUEUE, sparse).await).await;
    assert!(play.broker.renew(QUEUE, A, &held(&taken)).await.unwrap().is_empty(), "it holds all");
    play.drain().await;
    play.ran("a", 4);
}

pub async fn promote(play: &Play<'_>) {
    for options in [kept(), kept().priority(1), kept().queue("else")] {
        play.push(act("a"), options.delay(LATER)).await;
    }
    play.advance(LATER);
    let queues = [QUEUE.to_owned()];
    play.dying(async |dying| dying.broker.promote(State::Scheduled, &queues).await).await;
    play.broker.promote(State::Scheduled, &queues).await.unwrap();
    play.look().await;
    let other = play.look().await;
    let other =
        other.places().keys().find(|id| id.starts_with("else/")).expect("it waits for a queue that it knows");
    let other = JobId::parse(other).unwrap();
    play.client.inspector().remove(&other).await.unwrap();
    play.forget(&other);
    play.drain().await;
    play.ran("a", 2);
}

/// A worker of another kind has parked whatever there was.
async fn parked(play: &Play<'_>) {
    let ignorant = windlass::Worker::new(&play.client).register::<Other>();
    windlass::testing::drain(ignorant).await.unwrap();
}

pub async fn unpark(play: &Play<'_>) {
    jobs(play).await;
    parked(play).await;
    assert_eq!(play.look().await.members("parked").count(), 4);
    play.dying_worker().await;
    play.drain().await;
    play.ran("a", 4);
}

pub async fn pass_and_adopt(play: &Play<'_>) {
    let (lease, kinds) = (play.config.lease, ["k:1".to_owned()]);
    play.client.inspector().ask_for_kinds(QUEUE, true).await.unwrap();
    for _ in 0..2 {
        play.push(act("a"), kept()).await;
    }
    play.broker.know(&[QUEUE], &kinds, lease).await.unwrap();
    let taken = play.take(A, 2).await;
    play.dying(async |dying| {
        for one in &taken {
            dying.broker.pass(QUEUE, A, Held::of(one), ("k", 1), lease).await?;
        }
        let adopted = dying.broker.adopt(&[QUEUE], B, 1, &kinds).await?;
        dying.broker.release(QUEUE, B, &held(&adopted)).await
    })
    .await;
    known_no_more(play).await;
    play.drain().await;
    play.ran("a", 2);
}

/// Nobody knows the kind any more: what was handed over goes back.
async fn known_no_more(play: &Play<'_>) {
    play.advance(LATER);
    play.broker.know(&[QUEUE], &[], play.config.lease).await.unwrap();
    play.look().await;
}

pub async fn know_again(play: &Play<'_>) {
    let (lease, kinds) = (play.config.lease, ["k:1".to_owned()]);
    play.client.inspector().ask_for_kinds(QUEUE, true).await.unwrap();
    play.push(act("a"), kept()).await;
    play.broker.know(&[QUEUE], &kinds, lease).await.unwrap();
    for one in play.take(A, 1).await {
        play.broker.pass(QUEUE, A, Held::of(&one), ("k", 1), lease).await.unwrap();
    }
    play.advance(LATER);
    play.dying(async |dying| dying.broker.know(&[QUEUE], &[], lease).await).await;
    known_no_more(play).await;
    play.drain().await;
    play.ran("a", 1);
}

/// Somebody dies while what is old goes.
async fn pruned(play: &Play<'_>, after: Duration) {
    play.advance(after);
    play.dying(async |dying| {
        while dying.broker.prune(&play.config).await? > 0 {}
        Ok(())
    })
    .await;
    while play.broker.prune(&play.config).await.unwrap() > 0 {}
    play.look().await;
}

pub async fn prune_parked(play: &Play<'_>) {
    let batch =
        play.client.batch().on_complete_with(act("complete"), kept()).on_dead_with(act("dead"), kept());
    batch.push_all_with([act("a"), act("a")], kept().group_key("x")).await.unwrap();
    parked(play).await;
    pruned(play, play.config.parked_age + LATER).await;
    assert_eq!(play.look().await.members("dead").count(), 2);
    play.drain().await;
    play.ran("complete", 1);
    play.ran("dead", 1);
}

pub async fn prune_ended(play: &Play<'_>) {
    for does in [Does::Die, Does::Discard, Does::Cancel] {
        let pushed = play.client.push_with(doing("a", does), kept()).await;
        pushed.unwrap();
    }
    play.work().await;
    assert_eq!(play.look().await.places().len(), 3);
    pruned(play, Keep::default().age + LATER).await;
    assert!(play.look().await.places().is_empty());
}

/// A job opened a batch within its own, did not close it, and does not end.
pub async fn prune_nested_batches(play: &Play<'_>) {
    let batch = play.client.batch().on_complete_with(act("complete"), kept());
    batch.push_all_with([doing("a", Does::NestOpen)], kept()).await.unwrap();
    play.work().await;
    play.ran("inner", 0);
    pruned(play, Keep::default().age + Duration::from_secs(1)).await;
    play.drain().await;
    play.ran("inner", 1);
    play.ran("complete", 1);
}
