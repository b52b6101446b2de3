//! What becomes of a job by how its run ended.

use std::time::{Duration, SystemTime};

use windlass::broker::Due;
use windlass::{Envelope, Failure, JobId, Push, Retry, State};

use super::world::{Beside, Run, Store, json};

pub(super) async fn a_failing_job_is_retried_and_dies(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(3)).await;
    let (worker, mut runs) =
        world.recorder(|run: Run| async move { Err(Failure::retry(format!("no {}", run.attempt))) });
    let worker = Beside::start(worker);
    for attempt in 1..=3 {
        let run = runs.recv().await.unwrap();
        assert_eq!((run.id, run.attempt), (id.clone(), attempt));
    }
    let dead = world.until(&id, State::Dead).await;
    let messages: Vec<_> = dead.history.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, ["no 1", "no 2", "no 3"]);
    assert_eq!((dead.history.failed, dead.history.reason.as_deref()), (3, Some("no 3")));
    assert_eq!(worker.stop().await.failed, 3);
}

pub(super) async fn a_failed_attempt_tells_when_and_how_long_and_whose(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(2)).await;
    let began = world.broker_now().await;
    let (worker, _runs) = world.recorder(|run| async move {
        tokio::time::sleep(Duration::from_millis(u64::from(run.attempt) * 20)).await;
        Err(Failure::retry("no").of_class("Mine"))
    });
    let worker = Beside::start(worker);
    let errors = world.until(&id, State::Dead).await.history.errors;
    worker.stop().await;
    assert_eq!(errors.iter().map(|error| error.attempt).collect::<Vec<_>>(), [1, 2]);
    for error in errors {
        assert_eq!((error.class.as_str(), error.message.as_str()), ("Mine", "no"));
        assert!(error.took_ms.is_some_and(|took| took >= 20 * u64::from(error.attempt)), "{error:?}");
        assert!(error.at >= began && !error.worker.is_empty(), "{error:?}");
    }
}

pub(super) async fn a_dead_job_can_be_tried_again(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(1)).await;
    let answer =
        |run: Run| async move { if run.attempt == 1 { Err(Failure::retry("not yet")) } else { Ok(()) } };
    let (worker, mut runs) = world.recorder(answer);
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    world.until(&id, State::Dead).await;
    assert!(world.client.inspector().retry(&id).await.unwrap());
    assert_eq!(runs.recv().await.unwrap().attempt, 2);
    assert_eq!(worker.stop().await.completed, 1);
    assert!(!world.client.inspector().retry(&id).await.unwrap());
    assert!(world.is_empty().await);
}

pub(super) async fn a_snooze_is_not_an_attempt(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(1)).await;
    let count = std::sync::atomic::AtomicU32::new(0);
    let (worker, mut runs) = world.recorder(move |_| {
        let is_first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move { if is_first { Err(Failure::snooze(Duration::from_millis(5))) } else { Ok(()) } }
    });
    let worker = Beside::start(worker);
    let first = runs.recv().await.unwrap();
    let second = runs.recv().await.unwrap();
    assert_eq!((first.id, first.attempt), (id, 1));
    assert_eq!(second.attempt, 1);
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.failed), (1, 0));
    assert!(world.is_empty().await);
}

pub(super) async fn kill_discard_and_cancel_end_where_they_say(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(3).await;
    let (worker, _runs) = world.recorder(|run: Run| async move {
        Err(match run.args.as_str() {
            "0" => Failure::kill("hopeless"),
            "1" => Failure::discard("needless"),
            _ => Failure::cancel(),
        })
    });
    let worker = Beside::start(worker);
    let ends = [(State::Dead, "hopeless"), (State::Discarded, "needless"), (State::Cancelled, "cancelled")];
    for (id, (state, reason)) in ids.iter().zip(ends) {
        assert_eq!(world.until(id, state).await.history.reason.as_deref(), Some(reason));
    }
    worker.stop().await;
}

pub(super) async fn a_panic_is_a_failed_attempt(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(2)).await;
    let answer = |run: Run| async move {
        assert!(run.attempt != 1, "the first attempt panics");
        Ok(())
    };
    let (worker, mut runs) = world.recorder(answer);
    let early = world.push("early", "1", Push::new().max_attempts(1)).await;
    let fails = |_, _| -> std::future::Ready<_> { panic!("at once") };
    let line = line!() - 1;
    let worker = worker.register_raw("early", Retry::Never, fails);
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap().attempt, 1);
    assert_eq!(runs.recv().await.unwrap(), Run { id, attempt: 2, args: "1".into() });
    let dead = world.until(&early, State::Dead).await;
    let trace = dead.history.errors[0].backtrace.as_deref().expect("a panic says where it was");
    assert!(trace.starts_with(&format!("{}:{line}:", file!())), "{trace}");
    // What asks for backtraces is read once by the process, so that this holds as it was started.
    let asked =
        ["RUST_LIB_BACKTRACE", "RUST_BACKTRACE"].into_iter().find_map(|name| std::env::var(name).ok());
    let wants_backtrace = asked.is_some_and(|asked| asked != "0");
    assert_eq!(trace.contains("a_panic_is_a_failed_attempt"), wants_backtrace, "{trace}");
    assert_eq!(
        (dead.history.errors[0].class.as_str(), dead.history.errors[0].message.as_str()),
        ("Panic", "at once")
    );
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.failed), (1, 2));
}

pub(super) async fn a_job_that_takes_too_long_has_failed(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(1).timeout(Duration::from_millis(5))).await;
    let (worker, _runs) = world.recorder(|_| std::future::pending());
    let worker = Beside::start(worker);
    assert_eq!(world.until(&id, State::Dead).await.history.errors[0].class, "Timeout");
    worker.stop().await;
}

pub(super) async fn an_expired_job_is_discarded(store: &Store) {
    let world = store.world().await;
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let future = SystemTime::now() + Duration::from_secs(600);
    let late = world.push("k", "1", Push::new().expires_at(past)).await;
    let overdue = world.push("k", "2", Push::new().deadline(past)).await;
    let fine = world.push("k", "3", Push::new().expires_at(future).deadline(future)).await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap().id, fine);
    world.until(&late, State::Discarded).await;
    world.until(&overdue, State::Discarded).await;
    assert_eq!(worker.stop().await.completed, 1);
}

pub(super) async fn garbage_dies_with_a_reason_and_the_worker_lives(store: &Store) {
    let world = store.world().await;
    let mut ids = world
        .broker
        .push("default", &[&b"{"[..], b"", b"\xff\xfe", br#"{"v":9,"kind":"k","args":1}"#])
        .await
        .unwrap();
    let stream = world.broker.keys().stream("default");
    let entry: String = world.ask("XADD", &[&stream, "*", "something", "else"]).await;
    ids.push(JobId::parse(&format!("default/{entry}")).unwrap());
    let scheduled =
        world.broker.schedule("default", &[(Due::In(Duration::ZERO), b"junk\nmore")]).await.unwrap();
    ids.extend(scheduled);
    let good = world.push("k", "1", Push::new()).await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap().id, good);
    for id in ids {
        let reason = world.until(&id, State::Dead).await.history.reason.unwrap();
        assert!(reason.starts_with("the envelope "), "{reason}");
    }
    assert_eq!(worker.stop().await.completed, 1);
}

pub(super) async fn arguments_of_the_wrong_shape_fail(store: &Store) {
    let world = store.world().await;
    let options = Push::new().max_attempts(1);
    let id = world.push("sum", r#"{"no":"list"}"#, options).await;
    let worker = Beside::start(world.worker().register_blocking::<super::working::Sum>());
    let dead = world.until(&id, State::Dead).await;
    assert_eq!(dead.history.errors[0].class, "Args");
    worker.stop().await;
}

pub(super) async fn an_unknown_kind_is_parked_until_somebody_knows_it(store: &Store) {
    let world = store.world().await;
    let other = world.push("nobody-knows", "0", Push::new()).await;
    let id = world.push("k", "5", Push::new()).await;
    let ignorant =
        Beside::start(world.worker().register_raw("else", Retry::Never, |_, _| async { Ok(json("1")) }));
    let parked = world.until(&id, State::Parked).await;
    world.until(&other, State::Parked).await;
    assert_eq!(parked.history.reason.as_deref(), Some("no worker here knows the kind `k`"));
    ignorant.stop().await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap(), Run { id, attempt: 1, args: "5".into() });
    worker.stop().await;
    assert_eq!(world.until(&other, State::Parked).await.kind, "nobody-knows");
    let parked = world.broker.keys().set(State::Parked).unwrap();
    assert_eq!(world.ask::<u64>("ZCARD", &[&parked]).await, 1);
    assert!(Envelope::parse(&world.until(&other, State::Parked).await.envelope).is_ok());
}

pub(super) async fn a_later_version_of_a_kind_is_parked_until_somebody_knows_it(store: &Store) {
    let world = store.world().await;
    // The second is written as another client might.
    let jobs = [r#"{"v":1,"kind":"sum","kv":2,"args":[1]}"#, r#"{"kv":2,"args":[2],"kind":"sum","v":1}"#];
    let ids = world.broker.push("default", &jobs).await.unwrap();
    let ours = || world.worker().register_blocking::<super::working::Sum>();
    let old = Beside::start(ours());
    for id in &ids {
        let parked = world.until(id, State::Parked).await;
        let reason = "the worker here knows the kind `sum` up to version 1, not 2";
        assert_eq!((parked.history.reason.as_deref(), parked.attempts), (Some(reason), 0));
    }
    old.stop().await;
    // One like it does not take them up again at its start, when it looks at what is parked, as the job behind tells.
    let again = Beside::start(ours());
    let plain = world.push("sum", "[3]", Push::new().result_ttl(Duration::from_secs(60))).await;
    assert_eq!(world.client.handle::<u64>(plain).result().await.unwrap(), 3);
    let queues = ["default".to_owned()];
    assert_eq!(world.broker.unpark(0, &queues, &["sum:1".to_owned()]).await.unwrap(), (2, 0));
    again.stop().await;
    assert_eq!(world.broker.unpark(0, &queues, &["sum:2".to_owned()]).await.unwrap(), (2, 2));
}
