//! Cron entries: each time is pushed once, whoever fires it and whoever dies.

use std::time::Duration;

use windlass::{CatchUp, Client, Cron, Push, Result};

use super::play::{Play, act, kept};

const HOUR: Duration = Duration::from_secs(3600);

fn entry(options: Push) -> Cron {
    let cron = Cron::new("hourly", "0 * * * *").unwrap();
    cron.catch_up(CatchUp::All(9)).unwrap().job(&act("a"), options).unwrap()
}

async fn put_entry(play: &Play<'_>, options: Push) {
    play.client.cron().put(&entry(options)).await.unwrap();
}

/// Removes the entry and runs what it has pushed.
async fn to_the_end(play: &Play<'_>, runs: std::ops::RangeInclusive<usize>) {
    play.client.cron().remove("hourly").await.unwrap();
    play.drain().await;
    play.ran_among("a", runs);
}

pub async fn put(play: &Play<'_>) {
    play.dying(async |dying| dying.client.cron().put(&entry(kept())).await).await;
    put_entry(play, kept()).await;
    play.look().await;
    assert_eq!(play.client.cron().list().await.unwrap().len(), 1);
    play.advance(HOUR);
    play.work().await;
    to_the_end(play, 1..=1).await;
}

/// A worker dies after so many hours, another one looks at the same time.
async fn fired(play: &Play<'_>, options: Push, hours: u32) {
    put_entry(play, options).await;
    play.advance(HOUR * hours);
    play.dying_worker().await;
    play.work().await;
    let hours = hours as usize;
    to_the_end(play, hours..=hours).await;
}

pub async fn fire(play: &Play<'_>) {
    fired(play, kept(), 1).await;
}

pub async fn fire_missed(play: &Play<'_>) {
    fired(play, kept(), 3).await;
}

pub async fn fire_into_lanes(play: &Play<'_>) {
    fired(play, kept().group_key("x"), 2).await;
}

/// Somebody who has seen that it is due, and was slow, fires when it is due again.
pub async fn fire_late(play: &Play<'_>) {
    put_entry(play, kept()).await;
    play.advance(HOUR);
    let seen = play.broker.due_crons(0).await.unwrap();
    play.dying(async |dying| dying.broker.fire_cron(&seen.due[0], seen.now_ms).await).await;
    play.advance(HOUR);
    play.broker.fire_cron(&seen.due[0], seen.now_ms).await.unwrap();
    play.work().await;
    to_the_end(play, 2..=2).await;
}

/// By hand it has no time that could come once: who does not know whether it happened decides.
pub async fn run_by_hand(play: &Play<'_>) {
    put_entry(play, kept()).await;
    let id = play.dying(async |dying| dying.client.cron().run_now("hourly").await).await;
    play.note(&id);
    to_the_end(play, usize::from(id.is_some())..=1).await;
}

pub async fn pause_and_resume(play: &Play<'_>) {
    put_entry(play, kept()).await;
    let toggle = async |client: &Client| -> Result<()> {
        client.cron().pause("hourly").await?;
        client.cron().resume("hourly").await.map(drop)
    };
    play.dying(async |dying| toggle(&dying.client).await).await;
    toggle(&play.client).await.unwrap();
    play.advance(HOUR);
    play.work().await;
    to_the_end(play, 1..=1).await;
}

pub async fn remove(play: &Play<'_>) {
    put_entry(play, kept()).await;
    play.dying(async |dying| dying.client.cron().remove("hourly").await).await;
    play.client.cron().remove("hourly").await.unwrap();
    play.advance(HOUR);
    play.work().await;
    to_the_end(play, 0..=0).await;
}
