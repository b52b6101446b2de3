//! Caps, pauses, order and limits of queues: what is limited waits at the store, whoever dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use windlass::broker::{Asker, Ended, Extra, Fail, Held, Request, Taken};
use windlass::{Chain, Cron, Error, JobId, Order, Outcome, Push, Rate, Retry, Rule, State, Target, Unique};

use super::act::{counts, job, mortal, names, play};
use super::lane::{A, B, args_of, drain, end, is_clean, push_all};
use super::world::{Beside, Store, World, json};

/// How long something takes, or lasts, when a case does not care.
const AGE: Duration = Duration::from_secs(600);

pub(super) async fn set(world: &World, target: Target, rule: Rule) {
    world.client.limits().set(&target, rule).await.expect("the rule can be used");
}

/// Ends a taken job without success, as a worker does.
pub(super) async fn fail(world: &World, consumer: &str, taken: &Taken, state: State) -> JobId {
    let id = taken.job_id("default");
    let history = format!(r#"{{"state":"{state}"}}"#).into_bytes();
    let fail =
        Fail { held: Held::of(taken), id: id.clone(), state, history, delay: Duration::ZERO, result: None };
    assert!(
        world.broker.fail_ruled("default", consumer, &fail, &world.config.retention, None).await.unwrap()
    );
    id
}

pub(super) async fn promote(world: &World, state: State) {
    world.broker.promote(state, &["default".to_owned()]).await.unwrap();
}

async fn take_args(world: &World, consumer: &str, count: usize) -> Vec<String> {
    args_of(&world.take(consumer, count).await)
}

pub(super) async fn a_queue_is_capped_over_all_workers(store: &Store) {
    let world = store.world().await;
    world.push_numbers(6).await;
    set(&world, Target::queue("default"), Rule::new().cap(2)).await;
    let first = world.take(A, 9).await;
    assert_eq!(args_of(&first), ["0", "1"]);
    assert!(world.take(B, 9).await.is_empty());
    assert_eq!(end(&world, A, &first[..1]).await, 0);
    assert_eq!(take_args(&world, B, 9).await, ["2"]);
    // What a dead worker had is taken again, and counts again.
    assert_eq!(world.recover(&[A]).await.suspects, 1);
    let again = world.take(B, 9).await;
    assert_eq!((args_of(&again), again[0].count), (vec!["1".to_owned()], 2));
    assert!(world.take(A, 9).await.is_empty());
    assert!(world.client.limits().remove(&Target::queue("default")).await.unwrap());
    assert_eq!(take_args(&world, A, 9).await, ["3", "4", "5"]);
}

pub(super) async fn a_kind_is_capped_in_all_queues(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().cap(2)).await;
    world.push("k", "1", Push::new()).await;
    world.push("k", "2", Push::new().queue("other")).await;
    world.push("else", "3", Push::new()).await;
    world.push("k", "4", Push::new().group_key("g")).await;
    world.push("k", "5", Push::new().priority(3)).await;
    let queues = ["default", "other"];
    let mut waiting = vec![];
    let mut seen = Vec::new();
    loop {
        let request = Request { consumer: A, count: 9, may_suspect: true, woken: None };
        let taken = world.broker.fetch(&queues, request).await.unwrap();
        if taken.is_empty() && waiting.is_empty() {
            break;
        }
        seen.extend(args_of(&taken));
        waiting.extend(taken);
        let limited = waiting.iter().filter(|job| args_of(std::slice::from_ref(job)) != ["3"]).count();
        assert!(limited <= 2, "{seen:?}");
        // What ends makes room, in whatever queue it was.
        let ended = waiting.remove(0);
        let queue = queues[ended.queue];
        let extras = [Extra::of(&ended, ended.job_id(queue), None)];
        let held = [Held::of(&ended)];
        let refused = world.broker.finish(A, Ended { queue, held: &held, extras: &extras }).await.unwrap();
        assert!(refused.is_empty());
    }
    assert_eq!(seen[..3], ["5", "1", "3"], "by priority and turn, and no third of the kind");
    seen.sort();
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);
    assert!(is_clean(&world).await);
}

pub(super) async fn each_group_has_its_own_cap(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().cap(1)).await;
    set(&world, Target::key("default", "big"), Rule::new().cap(2)).await;
    for group in ["a", "b", "big"] {
        push_all(&world, 0..3, &Push::new().group_key(group)).await;
    }
    let first = world.take(A, 9).await;
    assert_eq!(first.len(), 4);
    assert!(world.take(B, 9).await.is_empty());
    // A worker that dies keeps what it holds until it is taken back, and nothing is counted twice.
    assert_eq!(world.recover(&[A]).await.suspects, 4);
    let again: Vec<_> = world.take(B, 9).await;
    assert_eq!((again.len(), again[0].is_suspect), (1, true));
    assert_eq!(end(&world, B, &again).await, 0);
    let mut count = 1;
    loop {
        let taken = world.take(B, 1).await;
        if taken.is_empty() {
            break;
        }
        count += taken.len();
        assert_eq!(end(&world, B, &taken).await, 0);
    }
    assert_eq!(count, 9);
    assert!(is_clean(&world).await);
}

pub(super) async fn a_changed_cap_holds_for_what_waits(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().cap(1)).await;
    push_all(&world, 0..9, &Push::new().group_key("a")).await;
    let first = world.take(A, 9).await;
    assert_eq!(first.len(), 1);
    set(&world, Target::each_key("default"), Rule::new().cap(3)).await;
    assert_eq!(take_args(&world, A, 9).await, ["1", "2"]);
    set(&world, Target::key("default", "a"), Rule::new().cap(1)).await;
    assert_eq!(end(&world, A, &first).await, 0);
    assert!(world.take(A, 9).await.is_empty(), "two are held, one may be");
    assert!(world.client.limits().remove(&Target::key("default", "a")).await.unwrap());
    assert!(world.client.limits().remove(&Target::each_key("default")).await.unwrap());
    assert_eq!(world.take(A, 9).await.len(), 6);
}

pub(super) async fn a_paused_kind_is_not_taken(store: &Store) {
    let world = store.world().await;
    let limits = world.client.limits();
    push_all(&world, 0..2, &Push::new()).await;
    push_all(&world, 2..3, &Push::new().priority(5)).await;
    push_all(&world, 3..4, &Push::new().group_key("g")).await;
    let before = world.take("d.1.1.d.1", 2).await;
    assert_eq!(before.len(), 2);
    limits.pause_kind("k").await.unwrap();
    world.push("else", "9", Push::new()).await;
    push_all(&world, 4..5, &Push::new()).await;
    assert_eq!(world.recover(&["d.1.1.d.1"]).await.unstarted, 1);
    let taken = world.take_with(A, 9, false).await;
    assert_eq!(args_of(&taken), ["9"], "only the other kind");
    assert_eq!(end(&world, A, &taken).await, 0);
    assert!(world.take(A, 9).await.is_empty(), "not the one that may have ended its process, either");
    let id = push_all(&world, 5..6, &Push::new()).await.remove(0);
    assert!(world.take(A, 9).await.is_empty());
    let shown = world.client.inspector().show(&id).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.waits_for.as_deref()), (State::Enqueued, Some("kind:k")));
    limits.resume_kind("k").await.unwrap();
    let mut all = drain(&world).await;
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4", "5"]);
    assert!(is_clean(&world).await);
    assert!(limits.list().await.unwrap().is_empty());
}

/// Nothing of it is left to be moved, and its place is free.
pub(super) async fn a_job_whose_entry_is_gone_holds_no_limit(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().cap(1)).await;
    push_all(&world, 0..2, &Push::new()).await;
    let taken = world.take(A, 1).await.remove(0);
    let (stream, id) = (world.broker.keys().stream("default"), taken.job_id("default"));
    let entry = id.as_str().strip_prefix("default/").unwrap();
    assert_eq!(world.ask::<u64>("XDEL", &[&stream, entry]).await, 1);
    let held = Held::of(&taken);
    let history = br#"{"state":"retry"}"#.to_vec();
    let fail = Fail { held, id, state: State::Retry, history, delay: Duration::ZERO, result: None };
    assert!(!world.broker.fail_ruled("default", A, &fail, &world.config.retention, None).await.unwrap());
    assert_eq!(drain(&world).await, ["1"]);
    assert!(is_clean(&world).await);
}

/// However the queue became known, and whoever made it known.
pub(super) async fn a_rule_of_a_kind_holds_for_queues_that_come_later(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().cap(1)).await;
    let cron = Cron::new("c", "@yearly").unwrap();
    let cron = cron.raw("k", &json("1"), Push::new().queue("timed")).unwrap();
    assert!(world.client.cron().put(&cron).await.unwrap());
    for _ in 0..3 {
        world.client.cron().run_now("c").await.unwrap();
    }
    let request = Request { consumer: A, count: 9, may_suspect: true, woken: None };
    assert_eq!(world.broker.fetch(&["timed"], request).await.unwrap().len(), 1);
    // By the recipe in docs/protocol.md; the queue's worker comes later.
    let keys = world.broker.keys();
    let (queues, stream, wake) = (keys.queues(), keys.stream("by-hand"), keys.wake("by-hand"));
    world.client.limits().pause_kind("k").await.unwrap();
    for _ in 0..3 {
        world.ask::<u64>("SADD", &[&queues, "by-hand"]).await;
        world.ask::<String>("XADD", &[&stream, "*", "j", r#"{"v":1,"kind":"k","args":1}"#]).await;
        world.ask::<u64>("ZADD", &[&wake, "0", "w"]).await;
    }
    let run = |_, _| async { Outcome::Ok(json("null")) };
    let worker = windlass::Worker::new(&world.client).queue("by-hand").register_raw("k", Retry::Never, run);
    let summary = worker.exit_when_empty().run().await.unwrap();
    assert_eq!(summary.completed, 0, "the kind is paused");
    let queue = world.client.inspector().queue("by-hand").await.unwrap();
    assert_eq!((queue.enqueued, queue.active), (3, 0));
}

/// What a program says of its kinds as it starts does not undo what somebody paused.
pub(super) async fn a_rule_that_is_set_leaves_a_pause(store: &Store) {
    let world = store.world().await;
    let (limits, kind) = (world.client.limits(), Target::kind("k"));
    push_all(&world, 0..2, &Push::new()).await;
    limits.pause_kind("k").await.unwrap();
    set(&world, kind.clone(), Rule::new().cap(4)).await;
    assert_eq!(limits.get(&kind).await.unwrap(), Some(Rule::new().cap(4).paused()));
    limits.resume_kind("k").await.unwrap();
    assert_eq!(limits.get(&kind).await.unwrap(), Some(Rule::new().cap(4)));
    limits.pause_kind("k").await.unwrap();
    set(&world, kind.clone(), Rule::new()).await;
    assert_eq!(limits.get(&kind).await.unwrap(), Some(Rule::new().paused()));
    assert!(world.take(A, 9).await.is_empty());
    limits.resume_kind("k").await.unwrap();
    assert_eq!(limits.get(&kind).await.unwrap(), None);
    assert_eq!(world.take(A, 9).await.len(), 2);
}

pub(super) async fn the_next_of_a_group_waits_for_a_retry(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().order(Order::Wait)).await;
    push_all(&world, 0..3, &Push::new().group_key("a")).await;
    push_all(&world, 9..10, &Push::new().group_key("b")).await;
    let mut first = world.take(A, 9).await;
    assert_eq!(args_of(&first), ["0", "9"]);
    assert_eq!(end(&world, A, &first.split_off(1)).await, 0);
    fail(&world, A, &first[0], State::Retry).await;
    assert!(world.take(B, 9).await.is_empty(), "it keeps its place while it waits");
    promote(&world, State::Retry).await;
    let again = world.take(B, 9).await;
    assert_eq!(args_of(&again), ["0"], "and comes before the next");
    fail(&world, B, &again[0], State::Scheduled).await;
    assert!(world.take(B, 9).await.is_empty());
    promote(&world, State::Scheduled).await;
    let again = world.take(B, 9).await;
    fail(&world, B, &again[0], State::Dead).await;
    let next = world.take(B, 9).await;
    assert_eq!(args_of(&next), ["1"], "an end for good lets the next one go on");
    let id = fail(&world, B, &next[0], State::Retry).await;
    assert!(world.take(B, 9).await.is_empty());
    assert_eq!(world.client.inspector().cancel(&id).await.unwrap(), windlass::Ending::Ended);
    assert_eq!(drain(&world).await, ["2"], "so does an end by hand");
}

pub(super) async fn others_of_a_group_go_on_when_told_so(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().order(Order::Skip)).await;
    push_all(&world, 0..3, &Push::new().group_key("a")).await;
    let first = world.take(A, 9).await;
    assert_eq!(args_of(&first), ["0"]);
    fail(&world, A, &first[0], State::Retry).await;
    let second = world.take(A, 9).await;
    assert_eq!(args_of(&second), ["1"]);
    promote(&world, State::Retry).await;
    assert!(world.take(A, 9).await.is_empty(), "one at a time");
    assert_eq!(end(&world, A, &second).await, 0);
    assert_eq!(drain(&world).await, ["2", "0"]);
    assert!(is_clean(&world).await);
}

pub(super) async fn weights_share_out_the_turns(store: &Store) {
    let world = store.world().await;
    set(&world, Target::key("default", "heavy"), Rule::new().weight(3.0)).await;
    for group in ["heavy", "light"] {
        for _ in 0..40 {
            world.push("k", &format!("\"{group}\""), Push::new().group_key(group)).await;
        }
    }
    let taken = take_args(&world, A, 40).await;
    let heavy = taken.iter().filter(|args| args.contains("heavy")).count();
    assert!((29..=31).contains(&heavy), "{heavy} of 40");
}

pub(super) async fn what_is_limited_is_not_taken_ahead(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().cap(9)).await;
    push_all(&world, 0..5, &Push::new().group_key("a")).await;
    let request = Request { consumer: A, count: 5, may_suspect: true, woken: None };
    let asker = Asker { free: 2, ends_ruled: false };
    let exchanged = world.broker.exchange_with(None, &["default"], request, asker).await.unwrap();
    assert_eq!(
        args_of(&exchanged.taken),
        ["0", "1"],
        "two can begin, and no others wait in the worker's memory"
    );
    assert_eq!(take_args(&world, B, 9).await, ["2", "3", "4"]);
}

pub(super) async fn a_full_queue_refuses_by_name(store: &Store) {
    let world = store.world().await;
    set(&world, Target::queue("default"), Rule::new().max_jobs(3)).await;
    push_all(&world, 0..1, &Push::new()).await;
    push_all(&world, 1..2, &Push::new().priority(1)).await;
    assert_eq!(world.take(A, 1).await.len(), 1);
    let many = [json("2"), json("3")];
    let many = world.client.push_many_raw("k", many.iter().map(|args| &**args), Push::new()).await;
    let is_full = |error: &Error| matches!(error, Error::QueueFull { queue, rule: "max_jobs", limit: 3, actual: 3 } if queue == "default");
    let Err(Error::Partial { pushed: 1, batch: None, source }) = many else { panic!("{many:?}") };
    assert!(is_full(&source), "the first fits, the second does not");
    for options in [Push::new(), Push::new().front()] {
        let error = world.client.push_raw("k", &json("4"), options).await.unwrap_err();
        assert!(is_full(&error), "{error}");
        assert_eq!(error.to_string(), "the queue `default` is full: its max_jobs is 3, and it has 3");
    }
    world.push("k", "5", Push::new().queue("other")).await;
    assert!(world.client.limits().remove(&Target::queue("default")).await.unwrap());
    push_all(&world, 6..7, &Push::new()).await;
    assert_eq!(world.client.inspector().queue("default").await.unwrap().enqueued, 3);
}

/// However a job comes that is new to the queue; and nothing is left of one that is refused.
pub(super) async fn a_full_queue_refuses_every_new_job(store: &Store) {
    let world = store.world().await;
    set(&world, Target::queue("default"), Rule::new().max_jobs(2)).await;
    let once = || Push::new().key("once");
    let first = world.client.push_raw("k", &json("0"), once()).await.unwrap();
    let batch = world.client.batch().open().await.unwrap();
    batch.push(job("1")).await.unwrap();
    let refused = [
        world.client.push_raw("k", &json("2"), Push::new().key("twice")).await.map(drop),
        world.client.push_raw("k", &json("2"), Push::new().unique(Unique::until_done())).await.map(drop),
        world.client.push_chain(Chain::new().then(job("3")).then(job("4"))).await.map(drop),
        batch.push(job("5")).await.map(drop),
        batch.push_many([job("6"), job("7")]).await.map(drop),
        world.client.batch().push_all([job("8")]).await.map(drop),
    ];
    for (n, refused) in refused.into_iter().enumerate() {
        let error = refused.expect_err("it is full");
        assert!(matches!(error, Error::QueueFull { limit: 2, actual: 2, .. }), "{n}: {error}");
    }
    let unique = Push::new().delay(AGE).unique(Unique::until_done());
    world.client.push_raw("k", &json("2"), unique).await.expect("the refused one left no lock");
    assert_eq!(counts(&batch).await[0], 1, "the batch waits for none that was refused");
    let again = world.client.push_raw("k", &json("0"), once()).await.unwrap();
    assert_eq!(
        (again.id(), again.pushed()),
        (first.id(), Some(windlass::Pushed::Kept)),
        "it is there already"
    );
    world.push("k", "9", Push::new().delay(AGE)).await;
    assert_eq!(world.take(A, 9).await.len(), 2, "what is due later does not count");
}

pub(super) async fn a_queue_is_full_by_bytes(store: &Store) {
    let world = store.world().await;
    const MAX: u64 = 100_000;
    set(&world, Target::queue("default"), Rule::new().max_bytes(MAX)).await;
    let args = json(&format!("\"{}\"", "x".repeat(10_000)));
    for options in [Push::new(), Push::new().priority(1)] {
        let mut pushed = 0;
        let error = loop {
            match world.client.push_raw("k", &args, options.clone()).await {
                Ok(_) => pushed += 1,
                Err(error) => break error,
            }
            assert!(pushed < 12, "it has no end");
        };
        let Error::QueueFull { rule: "max_bytes", limit: MAX, actual, .. } = error else { panic!("{error}") };
        // What the store adds to a job is little beside one of this size.
        assert!(pushed >= 5 && (MAX / 2..=MAX).contains(&actual), "{pushed} jobs, {actual} bytes");
        while let [taken] = &world.take(A, 1).await[..] {
            end(&world, A, std::slice::from_ref(taken)).await;
        }
    }
    push_all(&world, 0..1, &Push::new()).await;
}

pub(super) async fn rules_that_cannot_be_meant_are_refused(store: &Store) {
    let world = store.world().await;
    let limits = world.client.limits();
    let refused = limits.set(&Target::queue("default"), Rule::new().weight(2.0)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the rule of queue:default: weight is for keys");
    assert!(limits.set(&Target::kind("a b"), Rule::new()).await.is_err());
    assert!(world.client.push_raw("k", &json("1"), Push::new().group_key("a\nb")).await.is_err());
    assert!(world.is_empty().await);
    let rule = Rule::new().cap(2).rate(Rate::bucket(5, AGE).burst(7)).order(Order::Skip);
    set(&world, Target::key("default", "a/b"), rule.clone()).await;
    set(&world, Target::kind("k"), Rule::new().breaker(3, AGE, AGE)).await;
    assert_eq!(limits.get(&Target::key("default", "a/b")).await.unwrap(), Some(rule));
    let names: Vec<_> = limits.list().await.unwrap().iter().map(|(target, _)| target.to_string()).collect();
    assert_eq!(names, ["kind:k", "key:default/a/b"]);
}

pub(super) async fn jobs_of_chains_and_batches_wait_in_lanes(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().cap(1)).await;
    let options = || Push::new().priority(1).group_key("g");
    let chain = Chain::new().then_with(job("first"), options()).then_with(job("second"), options());
    world.client.push_chain(chain.catch_with(job("caught"), options())).await.unwrap();
    let batch = world
        .client
        .batch()
        .on_complete_with(job("complete"), options())
        .on_dead_with(job("dead"), options());
    let batch = batch.push_all_with([job("a"), mortal("b")], options()).await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["a", "b", "complete", "dead", "first", "second"]);
    assert!(
        seen.iter().all(|seen| seen.id.as_str().starts_with("default/s")),
        "each was in its lane: {seen:?}"
    );
    assert_eq!(counts(&batch).await, [2, 0, 1, 1, 0]);
    assert!(
        world
            .client
            .inspector()
            .remove(&seen.iter().find(|seen| seen.name == "b").unwrap().id)
            .await
            .unwrap()
            .unwrap()
    );
    assert!(is_clean(&world).await);
}

/// A worker whose jobs take a moment, and how many of them ran at once at most.
fn counting(world: &World, concurrency: usize) -> (windlass::Worker, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (now.clone(), most.clone());
    let run = move |_, _| {
        let (running, peak) = (running.clone(), peak.clone());
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::Ok(json("null"))
        }
    };
    (
        windlass::Worker::new(&world.client).concurrency(concurrency).register_raw("k", Retry::Never, run),
        now,
        most,
    )
}

pub(super) async fn workers_keep_a_cap_and_run_everything(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().cap(2)).await;
    set(&world, Target::key("default", "a"), Rule::new().cap(1)).await;
    let (worker, _, most) = counting(&world, 8);
    let worker = Beside::start(worker);
    for options in
        [Push::new(), Push::new().group_key("a"), Push::new().group_key("b"), Push::new().priority(9)]
    {
        push_all(&world, 0..15, &options).await;
    }
    super::world::eventually(async || is_clean(&world).await.then_some(())).await;
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.failed), (60, 0));
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

pub(super) async fn an_idle_worker_comes_when_a_rate_allows(store: &Store) {
    let world = store.world().await;
    let rate = Rate::bucket(1, Duration::from_millis(40)).burst(1);
    set(&world, Target::each_key("default"), Rule::new().rate(rate)).await;
    let (worker, _, _) = counting(&world, 4);
    let worker = Beside::start(worker);
    let began = Instant::now();
    push_all(&world, 0..6, &Push::new().group_key("a")).await;
    super::world::eventually(async || world.is_empty().await.then_some(())).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(5 * 40), "{took:?}");
    assert!(
        took < Duration::from_secs(5),
        "it is told when to look, and does not find out by chance: {took:?}"
    );
    assert_eq!(worker.stop().await.completed, 6);
}
