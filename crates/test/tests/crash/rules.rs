//! Rules that are set, changed and removed while jobs wait, run and hold them.

use windlass::{Client, Order, Result, Rule, Target};

use super::play::{A, B, Does, Play, QUEUE, act, doing, kept};

/// Jobs of three groups, of which a worker has one.
async fn jobs(play: &Play<'_>) {
    for name in ["x", "y", "z", "x"] {
        play.push(doing("a", Does::Succeed), kept().group_key(name)).await;
    }
    play.push(act("a"), kept()).await;
    play.take(A, 1).await;
}

/// Somebody dies at a change, and somebody else makes it again.
async fn changed(play: &Play<'_>, change: impl AsyncFn(&Client) -> Result<()>) {
    play.dying(async |dying| change(&dying.client).await).await;
    change(&play.client).await.unwrap();
    play.look().await;
}

pub async fn are_set(play: &Play<'_>) {
    jobs(play).await;
    changed(play, async |client| {
        client.limits().set(&Target::kind("k"), Rule::new().cap(1)).await?;
        client.limits().set(&Target::each_key(QUEUE), Rule::new().order(Order::Wait)).await.map(drop)
    })
    .await;
    play.drain().await;
    play.ran("a", 5);
}

pub async fn are_removed(play: &Play<'_>) {
    let targets = [Target::kind("k"), Target::key(QUEUE, "x")];
    for target in &targets {
        play.client.limits().set(target, Rule::new().cap(1)).await.unwrap();
        play.cap(&target.to_string(), 1);
    }
    jobs(play).await;
    changed(play, async |client| {
        for target in &targets {
            client.limits().remove(target).await?;
        }
        Ok(())
    })
    .await;
    assert_eq!(play.take(B, 9).await.len(), 4, "nothing waits for what is not there any more");
    play.drain().await;
    play.ran("a", 5);
}

pub async fn pause_a_kind(play: &Play<'_>) {
    jobs(play).await;
    changed(play, async |client| client.limits().pause_kind("k").await).await;
    assert_eq!(play.take(B, 9).await.len(), 0);
    play.work().await;
    play.ran("a", 0);
    play.client.limits().resume_kind("k").await.unwrap();
    play.drain().await;
    play.ran("a", 5);
}

pub async fn pause_a_queue(play: &Play<'_>) {
    jobs(play).await;
    changed(play, async |client| client.inspector().pause(QUEUE).await).await;
    assert_eq!(play.take(B, 9).await.len(), 0);
    play.client.inspector().resume(QUEUE).await.unwrap();
    play.drain().await;
    play.ran("a", 5);
}

/// The one that takes dies in between, too.
pub async fn are_changed_under_jobs(play: &Play<'_>) {
    jobs(play).await;
    play.client.limits().set(&Target::kind("k"), Rule::new().cap(3)).await.unwrap();
    play.take(B, 2).await;
    play.client.limits().set(&Target::kind("k"), Rule::new().cap(1)).await.unwrap();
    play.dying(async |dying| {
        let request =
            windlass::broker::Request { consumer: "c.1.1.c.9", count: 9, may_suspect: true, woken: None };
        dying.broker.recover(QUEUE, &play.config, &[A.to_owned()]).await?;
        dying.broker.fetch(&[QUEUE], request).await
    })
    .await;
    play.drain().await;
    play.ran("a", 5);
}
