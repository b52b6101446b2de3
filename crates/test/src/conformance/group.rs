//! Groups: results in order, and a callback that always comes.

use serde_json::{Value, json as value};
use windlass::broker::Held;

use super::act::{A, Act, actors, job, mortal, names, play};
use super::world::Store;

pub(super) async fn a_group_keeps_results_in_order(store: &Store) {
    let world = store.world().await;
    let acts = (0..600)
        .map(|n| Act(value!({"name": "item", "answer": if n == 3 { Value::Null } else { n.into() }})));
    let group = world.client.group().then(job("then")).catch(job("catch")).push(acts).await.unwrap();
    assert_eq!(group.results().await.unwrap(), None);
    let (worker, mut seen) = actors(&world);
    worker.concurrency(8).exit_when_empty().run().await.unwrap();
    let mut last = None;
    while let Some(seen) = seen.recv().await {
        last = Some(seen);
    }
    let then = last.unwrap();
    assert_eq!(then.name, "then");
    let list = then.prev.unwrap();
    assert_eq!(
        (list.as_array().unwrap().len(), &list[3], &list[599]),
        (600, &value!({"v": null}), &value!({"v": 599}))
    );
    let results = group.results().await.unwrap().unwrap();
    let numbers: Vec<_> = results.into_iter().map(|result| result.unwrap().as_u64()).collect();
    let expected: Vec<_> = (0..600).map(|n| (n != 3).then_some(n)).collect();
    assert_eq!(numbers, expected, "a null is a result");
    assert!(world.is_empty().await);
}

pub(super) async fn an_empty_group_still_calls_back(store: &Store) {
    let world = store.world().await;
    let group = world.client.group().then(job("then")).catch(job("catch"));
    let group = group.push(Vec::<Act>::new()).await.unwrap();
    let seen = play(&world).await;
    assert_eq!((names(&seen), seen[0].prev.clone()), (vec!["then"], Some(value!([]))));
    assert!(group.results().await.unwrap().unwrap().is_empty());
}

pub(super) async fn a_failed_group_calls_back_by_its_policy(store: &Store) {
    let world = store.world().await;
    let acts = || [job("a"), mortal("b"), job("c")];
    let group = world.client.group().then(job("then")).push(acts()).await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["a", "b", "c", "then"]);
    let list = seen[3].prev.clone().unwrap();
    assert_eq!((&list[0], &list[2]), (&value!({"v": "a"}), &value!({"v": "c"})));
    assert_eq!((&list[1]["e"]["message"], &list[1]["e"]["state"]), (&value!("no"), &value!("dead")));
    let results = group.results().await.unwrap().unwrap();
    assert_eq!(results[1].as_ref().unwrap_err().message, "no");
    // With an error branch that one comes in its place, with the same list.
    world.client.group().then(job("then")).catch(job("catch")).push(acts()).await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["a", "b", "c", "catch"]);
    assert_eq!(seen[3].prev.as_ref().unwrap()[0], value!({"v": "a"}));
    // Nobody but a service sees the end of a job that was removed; the callback comes all the same.
    let group = world.client.group().then(job("then")).push([job("a")]).await.unwrap();
    let taken = world.take(A, 1).await.remove(0);
    assert_eq!(world.broker.release("default", A, &[Held::of(&taken)]).await.unwrap(), 1);
    assert_eq!(world.client.inspector().remove(&taken.job_id("default")).await.unwrap(), Some(true));
    assert_eq!(names(&play(&world).await), ["then"]);
    assert_eq!(group.results().await.unwrap().unwrap()[0].as_ref().unwrap_err().class, "Removed");
}

pub(super) async fn the_results_of_a_group_have_a_bound(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 1000).await;
    let acts = (0..4).map(|n| Act(value!({"name": "item", "answer": n.to_string().repeat(300)})));
    let group = world.client.group().then(job("then")).push(acts).await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["item", "item", "item", "item", "then"]);
    let results = group.results().await.unwrap().unwrap();
    let classes: Vec<_> = results.iter().map(|item| item.as_ref().err().map(|error| &*error.class)).collect();
    assert_eq!(classes.iter().filter(|class| class.is_none()).count(), 2, "{classes:?}");
    assert_eq!(classes.iter().filter(|class| **class == Some("TooLarge")).count(), 2, "{classes:?}");
}

pub(super) async fn a_group_that_is_too_large_is_refused_whole(store: &Store) {
    let world = store.world().await;
    let jobs = || (0..=windlass::GROUP_JOBS_MAX).map(|_| job("a"));
    let mut endless = jobs();
    let refused = [
        world.client.group().then(job("then")).push(jobs()).await,
        world.client.group().then(job("then")).push(std::iter::from_fn(|| endless.next())).await,
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().to_string(), "a group has more than 10000 jobs");
    }
    assert!(world.is_empty().await);
}
