//! A worker takes jobs, runs them and tells how they ended. It dies, and others go on: a job may run twice, and it ends once.

use std::time::{Duration, SystemTime};

use windlass::{Order, Push, Rate, Rule, State, Target, Unique};

use super::play::{Act, Does, LATER, Play, QUEUE, act, doing, kept};

/// Three jobs, of which a worker dies.
async fn worked(play: &Play<'_>, does: Does, options: impl Fn(usize) -> Push) {
    for n in 0..3 {
        play.push(doing("a", does), options(n)).await;
    }
    play.dying_worker().await;
    play.drain().await;
    play.ran("a", 3);
}

/// What all of them have come to.
async fn all_are(play: &Play<'_>, state: State) {
    let found = play.look().await;
    assert_eq!(found.members(state.as_str()).count(), 3);
    assert_eq!(
        found.hash("stats").get(state.as_str()).map(String::as_str),
        Some("3"),
        "each is counted once"
    );
    assert!(found.results.values().all(|told| *told == [state.as_str()]), "{:?}", found.results);
}

pub async fn with_results(play: &Play<'_>) {
    worked(play, Does::Succeed, |_| kept()).await;
}

pub async fn without_results(play: &Play<'_>) {
    for _ in 0..3 {
        let pushed = play.client.push_with(act("a"), Push::new()).await;
        pushed.unwrap();
    }
    play.unseen(3);
    play.dying_worker().await;
    play.drain().await;
    play.ran("a", 3);
}

pub async fn of_jobs_in_lanes(play: &Play<'_>) {
    worked(play, Does::Succeed, |n| kept().priority(n as u8).group_key(["x", "y"][n % 2])).await;
}

pub async fn of_delayed_jobs(play: &Play<'_>) {
    for n in 0..3 {
        let options = kept().delay(LATER);
        play.push(act("a"), if n == 0 { options.group_key("x") } else { options }).await;
    }
    play.advance(LATER * 2);
    play.dying_worker().await;
    play.drain().await;
    play.ran("a", 3);
}

pub async fn of_unique_jobs(play: &Play<'_>) {
    let options = || kept().unique(Unique::until_done());
    play.push(act("a"), options()).await;
    play.push(doing("b", Does::Die), options()).await;
    play.dying_worker().await;
    play.drain().await;
    // Whoever died between the end and the forgetting of its lock keeps nobody out.
    play.push(act("a"), options()).await;
    play.push(doing("b", Does::Die), options()).await;
    play.drain().await;
    play.ran("a", 2);
    play.ran("b", 2);
}

pub async fn to_retry(play: &Play<'_>) {
    worked(play, Does::Fail, |n| if n == 0 { kept().group_key("x") } else { kept() }).await;
}

pub async fn to_dead(play: &Play<'_>) {
    worked(play, Does::Die, |_| kept()).await;
    all_are(play, State::Dead).await;
}

pub async fn to_snooze(play: &Play<'_>) {
    worked(play, Does::Snooze, |_| kept()).await;
}

pub async fn to_parked_and_back(play: &Play<'_>) {
    for _ in 0..3 {
        play.push(act("a"), kept()).await;
    }
    play.dying(async |dying| {
        let ignorant = windlass::Worker::new(&dying.client).register::<Other>();
        windlass::testing::drain(ignorant).await
    })
    .await;
    play.drain().await;
    play.ran("a", 3);
}

/// A kind that no scene pushes.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Other;

impl windlass::Job for Other {
    const KIND: &'static str = "other";
    type Output = ();

    async fn run(self, _: windlass::Context) -> windlass::Outcome<()> {
        Ok(())
    }
}

pub async fn to_discarded(play: &Play<'_>) {
    worked(play, Does::Discard, |_| kept()).await;
    all_are(play, State::Discarded).await;
}

pub async fn to_cancelled(play: &Play<'_>) {
    worked(play, Does::Cancel, |_| kept()).await;
    all_are(play, State::Cancelled).await;
}

pub async fn expired(play: &Play<'_>) {
    for n in 0..3 {
        let options = kept().expires_at(SystemTime::now() + Duration::from_millis(1));
        play.push(act("a"), if n == 0 { options.group_key("x") } else { options }).await;
    }
    play.advance(LATER);
    play.dying_worker().await;
    play.drain().await;
    // What the dead worker had counts as begun, and goes on.
    let discarded = play.look().await.members("discarded").count();
    assert!(discarded > 0, "one had not begun");
    play.ran("a", 3 - discarded);
}

pub async fn of_garbage(play: &Play<'_>) {
    let stream = play.broker.keys().stream(QUEUE);
    play.broker.add_queue(QUEUE).await.unwrap();
    for fields in [["j", "{"], ["x", "y"]] {
        let _: String = play.ask("XADD", &[&stream, "*", fields[0], fields[1]]).await;
    }
    play.dying_worker().await;
    play.drain().await;
    assert_eq!(play.look().await.members("dead").count(), 2);
}

async fn ruled(play: &Play<'_>, target: Target, rule: Rule, does: Does, options: impl Fn(usize) -> Push) {
    if let Some(cap) = rule.cap.or(rule.order.map(|_| 1)) {
        play.cap(&target.to_string(), cap as i64);
    }
    play.client.limits().set(&target, rule).await.unwrap();
    worked(play, does, options).await;
}

pub async fn under_a_cap(play: &Play<'_>) {
    ruled(play, Target::kind("k"), Rule::new().cap(1), Does::Fail, |_| kept()).await;
}

pub async fn under_a_cap_of_the_queue(play: &Play<'_>) {
    ruled(play, Target::queue(QUEUE), Rule::new().cap(1), Does::Succeed, |_| kept()).await;
}

pub async fn under_a_rate(play: &Play<'_>) {
    let rule = Rule::new().rate(Rate::bucket(1, LATER));
    ruled(play, Target::kind("k"), rule, Does::Succeed, |_| kept()).await;
}

pub async fn under_a_breaker(play: &Play<'_>) {
    let rule = Rule::new().breaker(1, LATER, LATER);
    ruled(play, Target::kind("k"), rule, Does::Fail, |_| kept()).await;
}

pub async fn in_the_order_of_a_key(play: &Play<'_>) {
    let rule = Rule::new().order(Order::Wait);
    ruled(play, Target::key(QUEUE, "x"), rule, Does::Fail, |_| kept().group_key("x")).await;
}

pub async fn of_the_dead_in_the_order_of_a_key(play: &Play<'_>) {
    let rule = Rule::new().order(Order::Wait);
    let one = |name, does| Act { does, ..act(name) };
    play.client.limits().set(&Target::each_key(QUEUE), rule).await.unwrap();
    play.cap("key:default/x", 1);
    for job in [one("a", Does::Die), one("a", Does::Snooze), one("a", Does::Succeed)] {
        play.push(job, kept().group_key("x")).await;
    }
    play.dying_worker().await;
    play.drain().await;
    play.ran("a", 3);
}
