//! When a failed job is tried again, by its kind's policy and by its handler's word.

use std::time::Duration;

use windlass::{Context, Details, Failure, JobId, Push, Retry, State};

use super::world::{Beside, Store, World, json};

const MINUTE: Duration = Duration::from_secs(60);

/// Runs a job of the kind `k` with this policy until it has failed, and answers what became of it.
async fn fails(world: &World, retry: Retry, id: &JobId, state: State) -> Details {
    let fail = |args: Box<serde_json::value::RawValue>, _: Context| async move {
        match args.get() {
            "\"parse\"" => Err("x".parse::<u8>().unwrap_err().into()),
            "\"busy\"" => Err(Failure::retry("busy").of_class("Busy")),
            "\"after\"" => Err(Failure::retry("closed").retry_in(30 * MINUTE)),
            _ => Ok(json("null")),
        }
    };
    let worker = Beside::start(world.worker().register_raw("k", retry, fail));
    let details = world.until(id, state).await;
    worker.stop().await;
    details
}

/// How long after its failure a job is due, in whole minutes of the store's clock.
async fn wait_of(world: &World, details: &Details) -> u64 {
    let (now, _): (u64, u64) = world.ask("TIME", &[]).await;
    // The case takes less than half a minute.
    (details.at_ms.expect("it is due") / 1000 + 30).saturating_sub(now) / 60
}

pub(super) async fn a_policy_chooses_by_the_kind_of_error(store: &Store) {
    let world = store.world().await;
    let policy = || {
        Retry::by_error(|failure| match failure.class() {
            "Busy" => Retry::Fixed(10 * MINUTE),
            _ if failure.is::<std::num::ParseIntError>() => Retry::Never,
            _ => Retry::Fixed(20 * MINUTE),
        })
    };
    let parse = world.push("k", "\"parse\"", Push::new()).await;
    let dead = fails(&world, policy(), &parse, State::Dead).await;
    assert_eq!((dead.attempts, dead.history.failed), (1, 1), "it has attempts left, and no use for them");
    let busy = world.push("k", "\"busy\"", Push::new()).await;
    let retry = fails(&world, policy(), &busy, State::Retry).await;
    assert_eq!((wait_of(&world, &retry).await, retry.history.errors[0].class.as_str()), (10, "Busy"));
}

pub(super) async fn a_handlers_word_goes_before_the_policy(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "\"after\"", Push::new()).await;
    let retry = fails(&world, Retry::list([MINUTE]), &id, State::Retry).await;
    assert_eq!(wait_of(&world, &retry).await, 30);
}

pub(super) async fn a_list_says_each_wait_in_turn(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "\"busy\"", Push::new().max_attempts(4)).await;
    for minutes in [5, 9, 9] {
        let retry = fails(&world, Retry::list([5 * MINUTE, 9 * MINUTE]), &id, State::Retry).await;
        assert_eq!(wait_of(&world, &retry).await, minutes);
        assert!(world.client.inspector().retry(&id).await.unwrap());
    }
    assert_eq!(fails(&world, Retry::list([MINUTE]), &id, State::Dead).await.history.failed, 4);
}

pub(super) async fn a_policy_that_panics_is_replaced_by_the_default(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "\"busy\"", Push::new()).await;
    let panics = Retry::function(|_, _| panic!("the policy has a mistake"));
    let retry = fails(&world, panics, &id, State::Retry).await;
    assert_eq!((wait_of(&world, &retry).await, retry.history.failed), (0, 1));
}
