//! Crash points: for every move, a process dies before and after each of its calls of the store, or the answer to one of
//! them is lost. Then others go on as in real life, and every invariant holds.
//!
//! A scene is an `async fn` that takes a [`Play`]: it prepares a store, has the move made by a client that
//! [dies](Play::dying), and lets healthy ones repeat and [drain](Play::drain). It is run for each of the calls there are.
//! A new move is a function and its name in [`SCENES`].

mod control;
mod cron;
mod ends;
mod flow;
mod play;
mod push;
mod rules;
mod upkeep;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use windlass_conn::Cut;
use windlass_test::clock::ShiftedClock;
use windlass_test::redis_server::RedisServer;

use play::{Play, Stage};

/// How many stores play at once: a client whose answer was lost waits a moment before it asks again.
const STAGES: usize = 4;

/// More calls than any move makes.
const CALLS_MAX: u64 = 300;

/// How long one run may take.
const RUN_MAX: Duration = Duration::from_secs(20);

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Scene {
    name: &'static str,
    run: for<'a> fn(&'a Play<'a>) -> Running<'a>,
}

macro_rules! scenes {
    ($($family:ident: $($name:ident)+;)+) => {
        &[$($(Scene {
            name: concat!(stringify!($family), "::", stringify!($name)),
            run: |play| Box::pin($family::$name(play)),
        }),+),+]
    };
}

const SCENES: &[Scene] = scenes! {
    push:
        one
        many
        large_ones
        into_lanes
        many_into_lanes
        into_a_queue_with_a_limit
        once_by_its_key
        later
        later_once_by_its_key
        unique
        unique_kept
        unique_replaced
        unique_refused
        unique_later
        debounced
        many_unique
        spread
        a_chain;
    ends:
        with_results
        without_results
        of_jobs_in_lanes
        of_delayed_jobs
        of_unique_jobs
        to_retry
        to_dead
        to_snooze
        to_parked_and_back
        to_discarded
        to_cancelled
        expired
        of_garbage
        under_a_cap
        under_a_cap_of_the_queue
        under_a_rate
        under_a_breaker
        in_the_order_of_a_key
        of_the_dead_in_the_order_of_a_key;
    flow:
        a_chain_runs
        a_chain_is_caught
        a_batch_runs
        a_batch_with_a_dead_job_runs
        a_batch_runs_in_lanes
        a_batch_with_a_chain_runs
        a_nested_batch_runs
        a_nested_batch_with_a_dead_job_runs
        a_job_grows_its_batch
        a_group_runs
        a_group_is_caught
        an_empty_group_calls_back
        a_batch_is_opened_filled_and_closed
        a_batch_is_pushed_at_once
        a_batch_is_made_once_by_its_key
        a_group_of_several_calls_is_made_once_by_its_key
        a_batch_is_cancelled
        a_nested_batch_is_cancelled;
    control:
        cancel_scheduled
        cancel_retry
        cancel_parked
        cancel_enqueued
        cancel_in_a_lane
        cancel_in_order
        cancel_active
        cancel_dead
        kill_scheduled
        kill_enqueued
        kill_in_a_lane
        kill_in_order
        requeue_scheduled
        requeue_retry
        requeue_in_order
        requeue_parked
        requeue_dead
        requeue_cancelled
        requeue_into_a_lane
        requeue_all
        requeue_all_into_lanes
        reschedule_scheduled
        reschedule_enqueued
        reschedule_in_a_lane
        reschedule_dead
        edit_scheduled
        edit_enqueued
        edit_in_a_lane
        edit_dead_and_retry
        edit_and_retry_in_order
        remove_scheduled
        remove_enqueued
        remove_in_a_lane
        remove_in_order
        remove_dead
        clear_a_queue
        forget_a_queue
        push_to_a_queue_that_is_forgotten;
    rules:
        are_set
        are_removed
        pause_a_kind
        pause_a_queue
        are_changed_under_jobs;
    cron:
        put
        fire
        fire_missed
        fire_late
        fire_into_lanes
        run_by_hand
        pause_and_resume
        remove;
    upkeep:
        recover
        take_what_came_back
        recover_and_kill
        recover_in_a_batch
        recover_under_a_cap
        recover_and_kill_under_a_cap
        recover_what_a_living_worker_never_heard_of
        recover_a_suspect
        release
        leave
        renew
        tell_progress
        compact
        promote
        unpark
        pass_and_adopt
        know_again
        prune_parked
        prune_ended
        prune_nested_batches;
};

/// Plays every scene on stages that a function makes; tells all that went wrong.
fn play_all(cuts: &[fn(u64) -> Cut], stage: impl Fn() -> Option<Stage> + Sync) {
    let only = std::env::var("SCENE").ok();
    let chosen =
        SCENES.iter().filter(|scene| only.as_ref().is_none_or(|only| scene.name.contains(only.as_str())));
    let (waiting, broken) = (Mutex::new(chosen), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| {
                let Some(stage) = stage() else { return };
                let next = || waiting.lock().expect("nobody panics with the lock").next();
                while let Some(scene) = next() {
                    let problems = play(&stage, scene, cuts);
                    broken.lock().expect("nobody panics with the lock").extend(problems);
                }
            });
        }
    });
    let broken = broken.into_inner().expect("nobody panics with the lock");
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// Plays a scene for each call that it makes, and answers what went wrong.
fn play(stage: &Stage, scene: &Scene, cuts: &[fn(u64) -> Cut]) -> Vec<String> {
    let mut broken = Vec::new();
    for cut in cuts {
        for call in 1..=CALLS_MAX {
            let cut = cut(call);
            match catch_unwind(AssertUnwindSafe(|| run(stage, scene, cut))) {
                Ok(true) => {}
                Ok(false) => break,
                Err(problem) => {
                    broken.push(format!("{}, {cut:?}: {}", scene.name, text(problem.as_ref())));
                    // The others of its sort break in the same way.
                    break;
                }
            }
            assert!(call < CALLS_MAX, "{} does not end", scene.name);
        }
    }
    broken
}

/// Plays a scene once. Answers whether it came to the call.
fn run(stage: &Stage, scene: &Scene, cut: Cut) -> bool {
    // With the runtime everything ends that a process has left behind.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let play = Play::begin(stage, cut).await;
        let played = tokio::time::timeout(RUN_MAX, (scene.run)(&play)).await;
        assert!(played.is_ok(), "it does not end in {RUN_MAX:?}");
        play.end().await
    })
}

fn text(problem: &(dyn Any + Send)) -> &str {
    let text = problem.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| problem.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

#[test]
fn whoever_dies_when_every_move_happens_once_in_memory() {
    play_all(&[Cut::Before, Cut::After, Cut::Answer], || Some(Stage::memory()));
}

#[test]
fn whoever_dies_when_every_move_happens_once_on_redis() {
    let may_skip = std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some();
    // What is done with an error is the library's own and the same on every store.
    play_all(&[Cut::Before, Cut::After], || {
        let clock = match ShiftedClock::new() {
            Ok(clock) => clock,
            Err(_) if may_skip => return None,
            Err(error) => panic!("{error}; or set WINDLASS_TEST_NO_REDIS=1 to test without"),
        };
        Some(Stage::redis(RedisServer::start_by_or_skip(&clock, &[])?, clock))
    });
}
