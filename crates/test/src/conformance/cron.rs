//! Cron entries: on time, once, and by their policies. Most cases move the store's clock and make the service's
//! moves by hand; the entries are due about half an hour after a case begins and then every hour.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc;
use windlass::broker::{DueCrons, Fired};
use windlass::{CatchUp, Cron, CronInfo, Error, Event, Failure, JobId, Overlap, Push, Retry, State, Worker};

use super::time::MARGIN;
use super::world::{Beside, Store, World, eventually, json};

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: u64 = 3_600_000;
const ONE: &str = "t.1.1.t.1";

/// The store's time.
async fn now_ms(world: &World) -> u64 {
    let (seconds, micros): (u64, u64) = world.ask("TIME", &[]).await;
    seconds * 1000 + micros / 1000
}

/// An entry `c` that is due each hour, the first time between 29 and 30 minutes from now.
async fn hourly(world: &World) -> Cron {
    let minute = (now_ms(world).await / 60_000 + 30) % 60;
    entry("c", &format!("{minute} * * * *"))
}

fn entry(name: &str, spec: &str) -> Cron {
    Cron::new(name, spec).unwrap().raw("k", &json("[7]"), Push::new()).unwrap()
}

/// Puts an entry and answers when it is due.
async fn put(world: &World, cron: &Cron) -> u64 {
    assert!(world.client.cron().put(cron).await.unwrap());
    info(world).await.next_ms.unwrap()
}

/// What is known of the only entry.
async fn info(world: &World) -> CronInfo {
    let mut all = world.client.cron().list().await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Lets time pass until this moment.
async fn go_to(store: &Store, world: &World, moment_ms: u64) {
    store.advance(Duration::from_millis(moment_ms.saturating_sub(now_ms(world).await)));
}

async fn look(world: &World) -> DueCrons {
    world.broker.due_crons(0).await.unwrap()
}

/// Makes the service's move for the first entry that is due; `None` when none is.
async fn fire(world: &World) -> Option<Fired> {
    let found = look(world).await;
    match found.due.first() {
        None => None,
        Some(due) => Some(world.broker.fire_cron(due, found.now_ms).await.unwrap()),
    }
}

/// The times that jobs were pushed for, as they are told.
async fn times(world: &World, jobs: &[JobId]) -> Vec<u64> {
    let mut times = Vec::new();
    for id in jobs {
        let job = world.client.inspector().show(id).await.unwrap().unwrap();
        let envelope: serde_json::Value = serde_json::from_slice(&job.envelope).unwrap();
        assert_eq!(envelope["meta"]["cron"]["name"], "c");
        assert_eq!(envelope["args"], serde_json::json!([7]));
        times.push(envelope["meta"]["cron"]["due"].as_u64().unwrap());
    }
    times
}

async fn length(world: &World) -> usize {
    world.ask("XLEN", &[&world.broker.keys().stream("default")]).await
}

pub(super) async fn a_cron_entry_is_never_early(store: &Store) {
    let world = store.world().await;
    let mut due = put(&world, &hourly(&world).await).await;
    for _ in 0..3 {
        let margin = MARGIN.as_millis() as u64;
        go_to(store, &world, due - margin).await;
        let found = look(&world).await;
        assert!(found.due.is_empty(), "early");
        assert!(found.next.is_some_and(|next| next <= MARGIN), "{:?}", found.next);
        go_to(store, &world, due).await;
        let fired = fire(&world).await.unwrap();
        assert_eq!(times(&world, &fired.jobs).await, [due]);
        assert!(!fired.has_missed && !fired.overlaps && !fired.is_stale);
        assert_eq!(fire(&world).await, None, "once");
        let info = info(&world).await;
        assert_eq!((info.last_ms, info.last_id), (Some(due), fired.jobs.first().cloned()));
        due += HOUR_MS;
        assert_eq!(info.next_ms, Some(due));
    }
    assert_eq!(world.take(ONE, 9).await.len(), 3);
}

pub(super) async fn many_instances_fire_once(store: &Store) {
    let world = store.world().await;
    let mut due = put(&world, &hourly(&world).await).await;
    let brokers =
        [world.broker.clone(), world.broker.session().await.unwrap(), world.broker.session().await.unwrap()];
    for round in 1..=5 {
        go_to(store, &world, due).await;
        // All have seen that it is due before the first one fires.
        let mut seen = Vec::new();
        for broker in &brokers {
            seen.push(broker.due_crons(0).await.unwrap());
        }
        let fire = async |n: usize| brokers[n].fire_cron(&seen[n].due[0], seen[n].now_ms).await.unwrap();
        let (a, b, c) = tokio::join!(fire(0), fire(1), fire(2));
        let fired = [a, b, c];
        assert_eq!(fired.iter().map(|fired| fired.jobs.len()).sum::<usize>(), 1);
        assert_eq!(fired.iter().filter(|fired| fired.is_stale).count(), 2);
        assert_eq!(length(&world).await, round);
        due += HOUR_MS;
    }
}

pub(super) async fn three_workers_fire_once(store: &Store) {
    let world = store.world().await;
    let cron = hourly(&world).await;
    let (sender, mut runs) = mpsc::unbounded_channel();
    let worker = || {
        let sender = sender.clone();
        let run = move |_, context: windlass::Context| {
            sender.send(context.meta()["cron"]["due"].as_u64()).ok();
            async { Ok(json("null")) }
        };
        Beside::start(world.worker().cron(cron.clone()).register_raw("k", Retry::Never, run))
    };
    let workers = [worker(), worker(), worker()];
    let due = eventually(async || world.client.cron().list().await.unwrap().pop()?.next_ms).await;
    for round in 0..2 {
        go_to(store, &world, due + round * HOUR_MS).await;
        assert_eq!(runs.recv().await, Some(Some(due + round * HOUR_MS)));
        // Before the clock goes on, and with it the lease of the job.
        eventually(async || (length(&world).await == 0).then_some(())).await;
    }
    let mut completed = 0;
    for worker in workers {
        completed += worker.stop().await.completed;
    }
    assert_eq!((completed, length(&world).await), (2, 0), "nothing ran twice and nothing is left");
}

pub(super) async fn a_seen_entry_is_left_to_whoever_comes_next(store: &Store) {
    let world = store.world().await;
    let due = put(&world, &hourly(&world).await).await;
    go_to(store, &world, due).await;
    // Whoever looked ended before its next call.
    drop(look(&world).await);
    store.advance(MARGIN);
    assert_eq!(times(&world, &fire(&world).await.unwrap().jobs).await, [due]);
}

pub(super) async fn missed_times_are_made_up_as_the_policy_says(store: &Store) {
    let cases: &[(CatchUp, usize)] =
        &[(CatchUp::Skip, 0), (CatchUp::Once, 1), (CatchUp::All(3), 3), (CatchUp::All(1000), 5)];
    for &(policy, count) in cases {
        let world = store.world().await;
        let due = put(&world, &hourly(&world).await.catch_up(policy).unwrap()).await;
        // Half an hour after the fifth time.
        go_to(store, &world, due + 4 * HOUR_MS + HOUR_MS / 2).await;
        let fired = fire(&world).await.unwrap();
        let expected: Vec<_> = (0..5).map(|n| due + n * HOUR_MS).skip(5 - count).collect();
        assert_eq!(times(&world, &fired.jobs).await, expected, "{policy:?}");
        assert_eq!(fired.has_missed, count < 5, "{policy:?}");
        assert_eq!(fire(&world).await, None, "{policy:?}");
        let info = info(&world).await;
        assert_eq!((info.next_ms, info.last_ms), (Some(due + 5 * HOUR_MS), expected.last().copied()));
        // From here on it is on time again, and no policy matters.
        go_to(store, &world, due + 5 * HOUR_MS).await;
        assert_eq!(times(&world, &fire(&world).await.unwrap().jobs).await, [due + 5 * HOUR_MS], "{policy:?}");
    }
}

pub(super) async fn many_missed_times_are_made_up_in_order(store: &Store) {
    let world = store.world().await;
    let due = put(&world, &entry("c", "* * * * * *").catch_up(CatchUp::All(250)).unwrap()).await;
    store.advance(24 * HOUR);
    let fired = fire(&world).await.unwrap();
    assert!(fired.has_missed && !fired.is_stale);
    let times = times(&world, &fired.jobs).await;
    assert_eq!(times.len(), 250);
    assert!(times.windows(2).all(|pair| pair[1] == pair[0] + 1000), "{times:?}");
    assert!(times[0] > due + 23 * HOUR_MS, "the newest ones");
    let last = times.last().copied();
    assert_eq!(info(&world).await.last_ms, last);
    assert_eq!(info(&world).await.next_ms, last.map(|last| last + 1000));
}

pub(super) async fn an_overlap_is_left_out(store: &Store) {
    let world = store.world().await;
    let cron = hourly(&world).await.overlap(Overlap::Skip).catch_up(CatchUp::All(9)).unwrap();
    let mut due = put(&world, &cron).await;
    let mut next = async || {
        go_to(store, &world, due).await;
        let fired = fire(&world).await.unwrap();
        due += HOUR_MS;
        assert_eq!((fired.jobs.len() == 1, fire(&world).await), (!fired.overlaps, None));
        fired.jobs.into_iter().next()
    };
    next().await.unwrap();
    assert_eq!(next().await, None, "it is enqueued");
    let taken = world.take(ONE, 9).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(next().await, None, "it runs");
    world.finish(ONE, &taken).await;
    let second = next().await.unwrap();
    let fail = |retry, failure: fn() -> Failure| {
        world.worker().register_raw("k", retry, move |_, _| async move { Err(failure()) })
    };
    let run_once = async |worker: Worker, id: &JobId, state| {
        let worker = Beside::start(worker);
        world.until(id, state).await;
        worker.stop().await;
    };
    run_once(fail(Retry::Fixed(100 * HOUR), || Failure::retry("later")), &second, State::Retry).await;
    assert_eq!(next().await, None, "it waits for its retry");
    world.client.inspector().retry(&second).await.unwrap();
    assert_eq!(next().await, None, "it is in its queue under another entry");
    run_once(fail(Retry::Never, || Failure::kill("no")), &second, State::Dead).await;
    let third = next().await.expect("a dead job has ended");
    run_once(fail(Retry::Never, || Failure::discard("no")), &third, State::Discarded).await;
    let fourth = next().await.expect("a discarded job has ended");
    world.client.inspector().cancel(&fourth).await.unwrap();
    assert!(next().await.is_some(), "a cancelled job has ended");
    // To catch up pushes one job only, too.
    world.finish(ONE, &world.take(ONE, 9).await).await;
    store.advance(5 * HOUR);
    let fired = fire(&world).await.unwrap();
    assert!(fired.has_missed && fired.jobs.len() == 1);
}

pub(super) async fn a_pause_pushes_nothing_and_makes_nothing_up(store: &Store) {
    let world = store.world().await;
    let crontab = world.client.cron();
    let cron = hourly(&world).await.catch_up(CatchUp::All(1000)).unwrap();
    let due = put(&world, &cron).await;
    go_to(store, &world, due).await;
    let seen = look(&world).await;
    assert!(crontab.pause("c").await.unwrap());
    assert!(!crontab.pause("c").await.unwrap(), "it was paused");
    // Whoever saw it before the pause comes too late.
    assert!(world.broker.fire_cron(&seen.due[0], seen.now_ms).await.unwrap().is_stale);
    store.advance(5 * HOUR);
    assert_eq!(fire(&world).await, None);
    let paused = info(&world).await;
    assert!(paused.is_paused && paused.next_ms.is_none());
    assert!(!crontab.put(&cron).await.unwrap(), "the same entry again");
    assert!(crontab.put(&cron.catch_up(CatchUp::All(9)).unwrap()).await.unwrap(), "a changed one");
    assert!(info(&world).await.is_paused, "a deploy does not end a pause");
    assert!(crontab.resume("c").await.unwrap());
    assert!(!crontab.resume("c").await.unwrap(), "it was not paused");
    assert_eq!(fire(&world).await, None, "what fell into the pause is left out");
    let next = info(&world).await.next_ms.unwrap();
    assert_eq!(next, due + 6 * HOUR_MS);
    go_to(store, &world, next).await;
    assert_eq!(times(&world, &fire(&world).await.unwrap().jobs).await, [next]);
    for unknown in [crontab.pause("d").await, crontab.resume("d").await] {
        assert!(matches!(unknown, Err(Error::NoCron(name)) if name == "d"));
    }
}

pub(super) async fn a_changed_entry_goes_on_or_begins_anew(store: &Store) {
    let world = store.world().await;
    let crontab = world.client.cron();
    let cron = hourly(&world).await;
    let due = put(&world, &cron).await;
    store.advance(2 * HOUR);
    assert!(!crontab.put(&cron).await.unwrap());
    let seen = look(&world).await;
    assert_eq!(seen.due.len(), 1, "a restart with the same entry loses no time");
    // Another job at the same times goes on with them, as in a deploy after an outage.
    let other = cron.clone().raw("other", &json("1"), Push::new().queue("slow")).unwrap();
    assert!(crontab.put(&other).await.unwrap());
    assert!(world.broker.fire_cron(&seen.due[0], seen.now_ms).await.unwrap().is_stale, "it saw the old job");
    let fired = fire(&world).await.unwrap();
    assert_eq!(fired.jobs[0].queue(), "slow");
    assert_eq!(info(&world).await.next_ms, Some(due + 2 * HOUR_MS));
    assert_eq!((length(&world).await, info(&world).await.kind.as_str()), (0, "other"));
    // Other times begin now.
    store.advance(3 * HOUR);
    let minute = (now_ms(&world).await / 60_000 + 10) % 60;
    assert!(crontab.put(&entry("c", &format!("{minute} * * * *"))).await.unwrap());
    assert_eq!(fire(&world).await, None);
    let soon = info(&world).await.next_ms.unwrap() - now_ms(&world).await;
    assert!(soon <= 600_000, "{soon} ms");
    let zoned = entry("c", "0 3 * * *").zone("Asia/Kolkata").unwrap();
    assert!(crontab.put(&zoned).await.unwrap());
    assert_eq!(info(&world).await.next_ms.unwrap() % (24 * HOUR_MS), 21 * HOUR_MS + HOUR_MS / 2);
}

pub(super) async fn a_removed_entry_pushes_nothing(store: &Store) {
    let world = store.world().await;
    let crontab = world.client.cron();
    let cron = hourly(&world).await;
    let due = put(&world, &cron).await;
    go_to(store, &world, due).await;
    assert_eq!(fire(&world).await.unwrap().jobs.len(), 1);
    store.advance(HOUR);
    let seen = look(&world).await;
    assert!(crontab.remove("c").await.unwrap());
    assert!(!crontab.remove("c").await.unwrap());
    let late = async || world.broker.fire_cron(&seen.due[0], seen.now_ms).await.unwrap();
    assert!(late().await.is_stale);
    assert_eq!(fire(&world).await, None);
    assert_eq!(crontab.list().await.unwrap(), []);
    // One that is put anew is another one, also for whoever saw the first.
    put(&world, &cron).await;
    assert!(late().await.is_stale);
    assert_eq!(length(&world).await, 1, "what was pushed stays");
}

pub(super) async fn jitter_is_waited_for(store: &Store) {
    let world = store.world().await;
    let plain = put(&world, &hourly(&world).await).await;
    assert!(world.client.cron().remove("c").await.unwrap());
    let moment = put(&world, &hourly(&world).await.jitter(HOUR / 2).unwrap()).await;
    assert!((plain..plain + HOUR_MS / 2).contains(&moment), "{plain} {moment}");
    go_to(store, &world, moment.max(plain + 10_000) - 10_000).await;
    let is_early = now_ms(&world).await < moment;
    assert_eq!(fire(&world).await.is_none(), is_early, "early");
    go_to(store, &world, moment).await;
    if is_early {
        assert_eq!(
            times(&world, &fire(&world).await.unwrap().jobs).await,
            [plain],
            "it stands for the time itself"
        );
    }
    let next = info(&world).await.next_ms.unwrap();
    assert!((plain + HOUR_MS..plain + HOUR_MS + HOUR_MS / 2).contains(&next));
}

pub(super) async fn an_unusable_entry_holds_nothing_up(store: &Store) {
    let world = store.world().await;
    let due = put(&world, &hourly(&world).await).await;
    let (cron, next) = (world.broker.keys().cron(), world.broker.keys().cron_next());
    let foreign =
        r#"{"spec":"0 0 * * *","zone":"Mars/Olympus","queue":"default","job":{"v":1,"kind":"k","args":1}}"#;
    for (name, record) in [("a", format!("{{\"rev\":1,\"due\":1}}\n{foreign}")), ("b", "rubbish".into())] {
        world.ask::<()>("HSET", &[&cron, name, &record]).await;
        world.ask::<()>("ZADD", &[&next, "1", name]).await;
    }
    let (sender, mut events) = mpsc::unbounded_channel();
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker.on_event(move |event| drop(sender.send(event.clone()))));
    go_to(store, &world, due).await;
    runs.recv().await.unwrap();
    worker.stop().await;
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::CronUnusable { name, .. } = event {
            told.push(name);
        }
    }
    assert_eq!(told, ["a", "b"], "each is told of once");
    let problems: Vec<_> =
        world.client.cron().list().await.unwrap().into_iter().map(|info| info.problem.is_some()).collect();
    assert_eq!(problems, [true, true, false]);
    // Whatever stands there, the entry can be put anew.
    let wrong = format!("{{\"rev\":1,\"due\":1,\"last\":\"x\"}}\n{foreign}");
    for record in ["rubbish", "rubbish\n{}", "[]\n", &wrong] {
        world.ask::<()>("HSET", &[&cron, "b", record]).await;
        assert!(world.client.cron().put(&entry("b", "@hourly")).await.unwrap());
        let all = world.client.cron().list().await.unwrap();
        assert!(
            all[1].problem.is_none() && all[1].next_ms.is_some_and(|next| next > 1),
            "{record}: {:?}",
            all[1]
        );
    }
}

pub(super) async fn an_entry_in_code_survives_its_worker(store: &Store) {
    let world = store.world().await;
    let cron = hourly(&world).await;
    let start = async || {
        let (worker, runs) = world.recorder(|_| async { Ok(()) });
        let worker = Beside::start(worker.cron(cron.clone()));
        eventually(async || world.client.cron().list().await.unwrap().pop()).await;
        (worker, runs)
    };
    start().await.0.stop().await;
    let due = info(&world).await.next_ms.unwrap();
    go_to(store, &world, due + 30_000).await;
    let (worker, mut runs) = start().await;
    runs.recv().await.expect("what fell due while none ran is made up");
    worker.stop().await;
    world.client.cron().pause("c").await.unwrap();
    start().await.0.stop().await;
    assert!(info(&world).await.is_paused, "a restart does not end a pause");
    assert_eq!(info(&world).await.last_ms, Some(due));
}

pub(super) async fn every_cron_entry_is_listed(store: &Store) {
    let world = store.world().await;
    let crontab = world.client.cron();
    let names: BTreeSet<_> = (0..300).map(|n| format!("entry-{n}")).collect();
    for name in &names {
        assert!(crontab.put(&entry(name, "@hourly")).await.unwrap());
    }
    let listed: Vec<_> = crontab.list().await.unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(listed, names.into_iter().collect::<Vec<_>>());
}

pub(super) async fn a_job_run_by_hand_is_pushed_at_once(store: &Store) {
    let world = store.world().await;
    let crontab = world.client.cron();
    // A leap day that is years away.
    let due = put(&world, &entry("c", "0 0 29 2 *")).await;
    let first = crontab.run_now("c").await.unwrap();
    crontab.pause("c").await.unwrap();
    let second = crontab.run_now("c").await.unwrap();
    crontab.resume("c").await.unwrap();
    let info = info(&world).await;
    assert_eq!((info.next_ms, info.last_ms, info.last_id), (Some(due), None, Some(second.clone())));
    let taken = world.take(ONE, 9).await;
    assert_eq!(taken.iter().map(|job| job.job_id("default")).collect::<Vec<_>>(), [first, second]);
    assert!(matches!(crontab.run_now("d").await, Err(Error::NoCron(name)) if name == "d"));
}

pub(super) async fn an_entry_that_cannot_be_used_is_refused(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 500).await;
    let crontab = world.client.cron();
    let jobless = Cron::new("c", "@hourly").unwrap();
    assert!(matches!(crontab.put(&jobless).await, Err(Error::Cron { field: "job", .. })));
    let large = jobless.clone().raw("k", &json(&format!("\"{}\"", "x".repeat(500))), Push::new()).unwrap();
    assert!(matches!(crontab.put(&large).await, Err(Error::Payload { limit: 500, .. })));
    let refused = world.worker().cron(jobless).run().await;
    assert!(matches!(refused, Err(Error::Config(problems)) if problems.len() == 1));
    assert_eq!(crontab.list().await.unwrap(), []);
}

pub(super) async fn an_entry_of_every_second_runs_in_time(store: &Store) {
    let world = store.world().await;
    let (sender, mut runs) = mpsc::unbounded_channel();
    let run = move |_, context: windlass::Context| {
        let due = context.cron_due().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        sender.send(due.as_millis() as u64).ok();
        async { Ok(json("null")) }
    };
    let worker = world.worker().cron(entry("c", "* * * * * *").catch_up(CatchUp::All(60)).unwrap());
    let worker = Beside::start(worker.register_raw("k", Retry::Never, run));
    let first = runs.recv().await.unwrap();
    let second = runs.recv().await.unwrap();
    assert!(now_ms(&world).await >= second, "early");
    assert_eq!((first % 1000, second), (0, first + 1000));
    worker.stop().await;
}
