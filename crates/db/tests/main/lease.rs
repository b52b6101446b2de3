//! Leases are the idle times of pending entries: neither a jump of the clock nor a time without an owner ages them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use windlass_db::{Clock, Config, Database, ManualClock, Session, Time};
use windlass_resp::Value;

use crate::fault::TestDisk;
use crate::store::ok;

const START_MS: u64 = 1_700_000_000_000;
const HOUR_MS: u64 = 3_600_000;

/// A clock like the system's, set by the test.
#[derive(Clone)]
struct Wall(Arc<AtomicU64>);

impl Wall {
    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for Wall {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn shows_gaps(&self) -> bool {
        true
    }
}

/// Takes an entry of a stream with two.
fn take(session: &Session) {
    ok(session, "XADD q * j 1");
    session.call(&[b"XGROUP", b"CREATE", b"q", b"w", b"0"]);
    ok(session, "XREADGROUP GROUP w worker COUNT 1 STREAMS q >");
}

/// For how many milliseconds each pending entry has been idle.
fn idle(session: &Session) -> Vec<i64> {
    let Value::Array(pending) = ok(session, "XPENDING q w - + 9") else {
        panic!("XPENDING answers an array")
    };
    let idle = |entry| match entry {
        Value::Array(fields) => match fields[2] {
            Value::Integer(idle) => idle,
            _ => panic!("the idle time is a number"),
        },
        _ => panic!("a pending entry is an array"),
    };
    pending.into_iter().map(idle).collect()
}

#[test]
fn a_clock_that_is_set_ages_no_lease() {
    let wall = Wall(Arc::new(AtomicU64::new(START_MS)));
    let database = Database::memory_with(Config::default(), wall.clone()).unwrap();
    let session = database.session("test");
    take(&session);
    // A second is a second.
    wall.set(START_MS + 1000);
    assert_eq!(idle(&session), [1000]);
    wall.set(START_MS + HOUR_MS);
    assert_eq!(idle(&session), [1000]);
    wall.set(START_MS - HOUR_MS);
    assert_eq!(idle(&session), [1000]);
    wall.set(START_MS - HOUR_MS + 500);
    assert_eq!(idle(&session), [1500]);
}

#[test]
fn a_clock_that_is_moved_by_hand_means_it() {
    let clock = ManualClock::new(Time::from_millis(START_MS));
    let database = Database::memory_with(Config::default(), clock.clone()).unwrap();
    let session = database.session("test");
    take(&session);
    clock.advance(Duration::from_millis(HOUR_MS));
    assert_eq!(idle(&session), [HOUR_MS.cast_signed()]);
}

#[test]
fn a_time_without_an_owner_ages_no_lease() {
    let directory = tempfile::tempdir().unwrap();
    let open = |ms| {
        let clock = ManualClock::new(Time::from_millis(ms));
        let opened =
            Database::open_with(directory.path(), Config::default(), clock.clone(), TestDisk::default());
        (opened.unwrap().0, clock)
    };
    let (database, clock) = open(START_MS);
    take(&database.session("test"));
    clock.advance(Duration::from_secs(4));
    take(&database.session("test"));
    database.stop().unwrap();
    drop(database);
    for later in [START_MS + HOUR_MS, START_MS - HOUR_MS] {
        let (database, _) = open(later);
        assert_eq!(idle(&database.session("test")), [0, 0], "each begins anew");
        database.stop().unwrap();
    }
}
