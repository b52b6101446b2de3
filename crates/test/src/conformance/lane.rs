//! Priorities, the front of a queue, and turns between groups, by moves made by hand.

use windlass::broker::{Ended, Extra, Taken};
use windlass::{JobId, Push, State};

use super::world::{Store, World, held};

pub(super) const A: &str = "a.1.1.a.9";
pub(super) const B: &str = "b.1.1.b.9";

/// The arguments of taken jobs, in the order of the taking.
pub(super) fn args_of(taken: &[Taken]) -> Vec<String> {
    let args = |job: &Taken| {
        let envelope: serde_json::Value = serde_json::from_slice(&job.envelope).expect("an envelope");
        envelope["args"].to_string()
    };
    taken.iter().map(args).collect()
}

/// Pushes jobs with one of these numbers each.
pub(super) async fn push_all(world: &World, numbers: std::ops::Range<usize>, options: &Push) -> Vec<JobId> {
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(world.push("k", &number.to_string(), options.clone()).await);
    }
    ids
}

/// Ends taken jobs with success, as a worker does; answers how many were refused.
pub(super) async fn end(world: &World, consumer: &str, taken: &[Taken]) -> usize {
    let mut sorted: Vec<_> = taken.iter().collect();
    sorted.sort_by_key(|job| windlass::broker::Held::of(job));
    let extras: Vec<_> = sorted.iter().map(|job| Extra::of(job, job.job_id("default"), None)).collect();
    let ended = Ended { queue: "default", held: &held(taken), extras: &extras };
    world.broker.finish(consumer, ended).await.expect("the end is answered").len()
}

/// Takes everything one by one, ending each at once; answers the arguments in order.
pub(super) async fn drain(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let taken = world.take(A, 1).await;
        if taken.is_empty() {
            return all;
        }
        all.extend(args_of(&taken));
        assert_eq!(end(world, A, &taken).await, 0);
    }
}

/// Whether nothing is left of lanes and limits but a rate's count.
pub(super) async fn is_clean(world: &World) -> bool {
    let keys = world.broker.keys();
    let left = [keys.permits("default"), keys.caps(), keys.blocked(), keys.waits("default")];
    let found: u64 = world.ask("EXISTS", &left.iter().map(String::as_str).collect::<Vec<_>>()).await;
    found == 0 && world.is_empty().await
}

pub(super) async fn jobs_come_by_priority_and_then_by_their_pushes(store: &Store) {
    let world = store.world().await;
    push_all(&world, 0..2, &Push::new()).await;
    push_all(&world, 2..4, &Push::new().priority(200)).await;
    push_all(&world, 4..6, &Push::new().priority(0)).await;
    push_all(&world, 6..8, &Push::new().front()).await;
    push_all(&world, 8..10, &Push::new().priority(127)).await;
    push_all(&world, 10..11, &Push::new().priority(128)).await;
    let expected = ["6", "7", "4", "5", "8", "9", "0", "1", "10", "2", "3"];
    let taken = world.take(A, 5).await;
    assert_eq!(args_of(&taken), expected[..5]);
    assert_eq!(end(&world, A, &taken).await, 0);
    assert_eq!(drain(&world).await, expected[5..]);
    assert!(is_clean(&world).await);
    assert!(world.take(A, 1).await.is_empty());
    let ruled: u64 = world.ask("HEXISTS", &[&world.broker.keys().gate("default"), "ruled"]).await;
    assert_eq!(ruled, 0, "a queue without lanes is an ordinary one again");
}

pub(super) async fn a_job_in_a_lane_is_found_by_its_id(store: &Store) {
    let world = store.world().await;
    let ids = push_all(&world, 0..3, &Push::new().priority(7)).await;
    let inspector = world.client.inspector();
    let state = async |id: &JobId| inspector.show(id).await.unwrap().map(|job| job.state);
    assert_eq!(state(&ids[0]).await, Some(State::Enqueued));
    let queue = inspector.queue("default").await.unwrap();
    assert_eq!((queue.enqueued, queue.in_lanes, queue.active), (3, 3, 0));
    let mut listed = Vec::new();
    let mut page = None;
    loop {
        let found = inspector.list(State::Enqueued, Some("default"), page.as_deref(), 2).await.unwrap();
        listed.extend(found.jobs.into_iter().map(|job| job.id));
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
    let taken = world.take(A, 1).await;
    assert_eq!((&taken[0].job_id("default"), taken[0].count), (&ids[0], 1));
    assert_eq!(state(&ids[0]).await, Some(State::Active));
    let queue = inspector.queue("default").await.unwrap();
    assert_eq!((queue.enqueued, queue.in_lanes, queue.active), (2, 2, 1));
    assert_eq!(end(&world, A, &taken).await, 0);
    assert_eq!(state(&ids[0]).await, None);
    assert_eq!(inspector.remove(&ids[1]).await.unwrap(), Some(true));
    assert_eq!(state(&ids[1]).await, None);
    assert!(!inspector.retry(&ids[2]).await.unwrap(), "it is in its queue already");
    assert_eq!(args_of(&world.take(A, 9).await), ["2"]);
}

pub(super) async fn a_job_goes_back_to_its_lane_from_everywhere(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let urgent = Push::new().priority(1);
    let ids = push_all(&world, 0..5, &urgent).await;
    push_all(&world, 5..6, &Push::new()).await;
    assert_eq!(inspector.cancel(&ids[0]).await.unwrap(), windlass::Ending::Ended);
    assert!(inspector.retry(&ids[0]).await.unwrap());
    world.broker.reschedule(&ids[1], windlass::broker::Due::In(std::time::Duration::ZERO)).await.unwrap();
    world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap();
    let later = urgent.clone().delay(std::time::Duration::ZERO);
    world.push("k", "6", later).await;
    world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap();
    let unique = windlass::Unique::until_done();
    world.push("k", "7", urgent.clone().unique(unique.clone())).await;
    world.push("k", "7", urgent.clone().unique(unique)).await;
    world.push("k", "8", urgent.clone().key("once")).await;
    world.push("k", "8", urgent.clone().key("once")).await;
    world.client.push_many_raw("k", [&*super::world::json("9")], urgent).await.unwrap();
    assert_eq!(drain(&world).await, ["2", "3", "4", "0", "1", "6", "7", "8", "9", "5"]);
    assert!(is_clean(&world).await);
}

pub(super) async fn a_taken_job_of_a_lane_is_recovered(store: &Store) {
    let world = store.world().await;
    let ids = push_all(&world, 0..3, &Push::new().priority(3)).await;
    push_all(&world, 3..4, &Push::new()).await;
    const DEAD: &str = "d.1.1.d.1";
    assert_eq!(world.take(DEAD, 4).await.len(), 4);
    let recovered = world.recover(&[DEAD]).await;
    assert_eq!((recovered.suspects, recovered.unstarted), (1, 3));
    let taken = world.take(A, 9).await;
    let found: Vec<_> = taken.iter().map(|job| (job.job_id("default"), job.count, job.is_suspect)).collect();
    assert_eq!(found[0], (ids[0].clone(), 2, true), "the first that was begun is the suspect");
    assert_eq!(found[1..3], [(ids[1].clone(), 1, false), (ids[2].clone(), 1, false)]);
    assert_eq!(args_of(&taken)[3], "3");
    assert_eq!(end(&world, A, &taken).await, 0);
    assert!(is_clean(&world).await);
}

pub(super) async fn groups_take_turns(store: &Store) {
    let world = store.world().await;
    push_all(&world, 0..50, &Push::new().group_key("big")).await;
    let first = world.take(A, 4).await;
    push_all(&world, 50..52, &Push::new().group_key("small")).await;
    push_all(&world, 52..53, &Push::new().group_key("other")).await;
    push_all(&world, 53..54, &Push::new()).await;
    let next = args_of(&world.take(B, 6).await);
    assert_eq!(next.iter().filter(|args| args.as_str() == "50").count(), 1, "{next:?}");
    for newcomer in ["50", "52", "53"] {
        assert!(
            next[..4].iter().any(|args| args == newcomer),
            "{newcomer} waits no longer than a turn: {next:?}"
        );
    }
    assert_eq!(args_of(&first), ["0", "1", "2", "3"], "alone it has everything");
    let rest = args_of(&world.take(B, 100).await);
    assert_eq!(rest.len(), 54 - 4 - 6, "nothing is held back: {rest:?}");
}

pub(super) async fn leaving_and_coming_back_gains_nothing(store: &Store) {
    let world = store.world().await;
    push_all(&world, 0..30, &Push::new().group_key("steady")).await;
    let mut counts = [0_u32; 2];
    for round in 0..20 {
        // It has one job at a time, always a new one.
        world.push("k", &format!("{}", 100 + round), Push::new().group_key("hopper")).await;
        let taken = args_of(&world.take(A, 1).await);
        counts[usize::from(taken[0].len() == 3)] += 1;
    }
    assert!(counts[0].abs_diff(counts[1]) <= 1, "{counts:?}");
}

pub(super) async fn a_thousand_groups_are_served_in_turn(store: &Store) {
    let world = store.world().await;
    let mut pushes = Vec::new();
    for round in 0..3 {
        for group in 0..1000 {
            let options = Push::new().group_key(format!("g{group}"));
            pushes.push((format!("[{group},{round}]"), options));
        }
    }
    for chunk in pushes.chunks(250) {
        let client = &world.client;
        let all = chunk.iter().map(|(args, options)| {
            let (client, args, options) = (client.clone(), super::world::json(args), options.clone());
            tokio::spawn(async move { client.push_raw("k", &args, options).await.unwrap() })
        });
        for push in all.collect::<Vec<_>>() {
            push.await.unwrap();
        }
    }
    let mut seen = Vec::new();
    while seen.len() < 3000 {
        let taken = world.take(A, 300).await;
        assert!(!taken.is_empty(), "after {}", seen.len());
        seen.extend(args_of(&taken));
        assert_eq!(end(&world, A, &taken).await, 0);
    }
    for (round, served) in seen.chunks(1000).enumerate() {
        let groups: std::collections::HashSet<_> = served.iter().collect();
        assert_eq!(groups.len(), 1000);
        assert!(served.iter().all(|args| args.ends_with(&format!(",{round}]"))), "round {round}");
    }
    assert!(is_clean(&world).await);
}
