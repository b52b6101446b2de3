//! What a job tells while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use windlass::broker::{Held, Note};
use windlass::{Context, JobId, LOG_LINE_MAX, PROGRESS_NOTES_MAX, PROGRESS_TTL, Push, Retry};

use super::world::{Beside, Store, eventually, json};

const A: &str = "a.1.1.a.2";

pub(super) async fn a_running_job_tells_how_far_it_is(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let handle = world.client.handle::<()>(id.clone());
    assert_eq!(handle.progress().await.unwrap(), None);
    let go_on = Arc::new(Notify::new());
    let waits = go_on.clone();
    let run = move |_, context: Context| {
        let waits = waits.clone();
        async move {
            assert!(context.progress(40, "four of ten").await?);
            assert!(context.log("the fifth is missing").await?);
            waits.notified().await;
            assert!(context.progress(200, "").await?);
            Ok(json("null"))
        }
    };
    let worker = Beside::start(world.worker().register_raw("k", Retry::Never, run));
    let seen =
        eventually(async || handle.progress().await.unwrap().filter(|seen| !seen.log.is_empty())).await;
    assert_eq!((seen.percent, seen.message.as_str()), (40, "four of ten"), "while it runs");
    assert_eq!((seen.log.len(), seen.log[0].text.as_str()), (1, "the fifth is missing"));
    assert!(seen.log[0].at_ms > 0 && seen.log[0].at_ms <= seen.at_ms);
    go_on.notify_one();
    let seen = eventually(async || handle.progress().await.unwrap().filter(|seen| seen.percent > 40)).await;
    assert_eq!((seen.percent, seen.message.as_str(), seen.log.len()), (100, "", 1));
    assert_eq!(worker.stop().await.completed, 1);
    let ttl: u64 = world.ask("PTTL", &[&world.broker.keys().progress(&id)]).await;
    assert!(ttl > 0 && u128::from(ttl) <= PROGRESS_TTL.as_millis());
}

pub(super) async fn a_log_keeps_its_last_lines_and_the_progress(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let held = Held::of(&world.take(A, 1).await[0]);
    assert!(world.broker.note(&id, A, held, Note::Progress(7, "begun")).await.unwrap());
    let numbers = (0..PROGRESS_NOTES_MAX + 20).map(|number| number.to_string());
    for line in numbers.chain(["\u{e9}".repeat(LOG_LINE_MAX)]) {
        assert!(world.broker.note(&id, A, held, Note::Line(&line)).await.unwrap());
    }
    let progress = world.client.inspector().progress(&id).await.unwrap().unwrap();
    assert_eq!((progress.percent, progress.message.as_str()), (7, "begun"));
    assert_eq!((progress.log.len(), progress.log[0].text.as_str()), (PROGRESS_NOTES_MAX, "21"));
    assert_eq!(progress.log.last().unwrap().text.len(), LOG_LINE_MAX);
}

pub(super) async fn a_worker_that_lost_the_job_tells_nothing(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let late = Held::of(&world.take(A, 1).await[0]);
    world.recover(&[A]).await;
    let now = Held::of(&world.take(A, 1).await[0]);
    assert!(!world.broker.note(&id, A, late, Note::Line("late")).await.unwrap());
    assert!(world.broker.note(&id, A, now, Note::Line("now")).await.unwrap());
    let progress = world.client.inspector().progress(&id).await.unwrap().unwrap();
    assert_eq!((progress.log.len(), progress.log[0].text.as_str()), (1, "now"));
}

pub(super) async fn what_a_job_tells_comes_as_it_is_told(store: &Store) {
    let world = store.world().await;
    for keeps in [Some(Duration::from_secs(60)), None] {
        let options = keeps.into_iter().fold(Push::new(), Push::result_ttl);
        let id = world.push("k", "1", options).await;
        let handle = world.client.handle::<()>(id);
        let (tell, told) = tokio::sync::mpsc::unbounded_channel::<(u8, &'static str)>();
        let told = Arc::new(tokio::sync::Mutex::new(told));
        let run = move |args, context: Context| {
            let told = told.clone();
            async move {
                while let Some((percent, line)) = told.lock().await.recv().await {
                    context.progress(percent, "so far").await?;
                    context.log(line).await?;
                }
                Ok(args)
            }
        };
        let worker = Beside::start(world.worker().register_raw("k", Retry::Never, run));
        let mut changes = handle.progress_changes().unwrap();
        // Each of the two notes of a step may be a change of its own.
        for (percent, line) in [(10, "one"), (60, "two")] {
            tell.send((percent, line)).unwrap();
            let mut lines = Vec::new();
            while lines.is_empty() {
                let now = changes.next().await.unwrap().expect("it runs");
                assert_eq!((now.percent, now.message.as_str()), (percent, "so far"));
                lines.extend(now.log.into_iter().map(|line| line.text));
            }
            assert_eq!(lines, [line], "those of before are not told again");
        }
        tell.send((100, "three")).unwrap();
        drop(tell);
        let mut last = Vec::new();
        while let Some(now) = changes.next().await.unwrap() {
            last.push(now);
        }
        assert_eq!(last.last().map(|now| now.percent), Some(100), "nothing is lost at the end");
        assert_eq!(changes.next().await.unwrap(), None);
        // Who comes late hears it all at once.
        let mut late = handle.progress_changes().unwrap();
        let all = late.next().await.unwrap().unwrap();
        let lines: Vec<_> = all.log.iter().map(|line| line.text.as_str()).collect();
        assert_eq!((all.percent, lines), (100, vec!["one", "two", "three"]));
        assert_eq!(late.next().await.unwrap(), None);
        worker.stop().await;
    }
    let nobody = world.client.handle::<()>(JobId::parse("default/1-1").unwrap());
    assert_eq!(nobody.progress_changes().unwrap().next().await.unwrap(), None);
}
