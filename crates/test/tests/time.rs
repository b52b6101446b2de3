//! The cases of the conformance suite that move the store's time, each on a store of its own: a database of ours by a
//! clock that stands still, and a real redis-server whose time of day is shifted.

use std::time::Duration;

use windlass_test::clock::{Clock, ShiftedClock};
use windlass_test::conformance::{Case, Store, TIME_CASES};
use windlass_test::redis_server::RedisServer;

/// How long one case may take, whatever it waits for.
const CASE_MAX: Duration = Duration::from_secs(30);

/// Runs a case to its end.
fn run(case: &Case, store: &Store) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(CASE_MAX, (case.run)(store)).await });
    ended.unwrap_or_else(|_| panic!("{} did not end in {CASE_MAX:?}", case.name));
}

#[test]
fn time_cases_hold_in_memory() {
    for case in TIME_CASES {
        println!("{}", case.name);
        run(case, &Store::memory_by_clock());
    }
}

#[test]
fn time_cases_hold_on_redis() {
    let may_skip = std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some();
    for case in TIME_CASES {
        println!("{}", case.name);
        let clock = ShiftedClock::new().unwrap_or_else(|error| panic!("{error}"));
        let Some(server) = RedisServer::start_by_or_skip(&clock, &[], may_skip) else {
            return;
        };
        run(case, &Store::by_clock(server.url(), Clock::Shifted(clock)));
    }
}
