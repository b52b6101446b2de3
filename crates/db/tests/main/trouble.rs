//! A disk in trouble: the log fails, and comes back by itself.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tempfile::tempdir;
use windlass_db::faults::{Answer, Failure, Fault, FaultDisk, Ledger, Operation};
use windlass_db::{Called, Config, Database, Session, SystemDisk};

/// Longer than anything takes; how long it does take is measured by `windlass torture full`.
const PATIENCE: Duration = Duration::from_secs(30);

fn lasting(operation: Operation, failure: Failure) -> Fault {
    Fault { operation: Some(operation), after: 0, count: usize::MAX, failure }
}

/// Calls until a call is acknowledged.
fn call_until_acknowledged(ledger: &mut Ledger, session: &Session) {
    let start = Instant::now();
    while ledger.call(session) != Answer::Acknowledged {
        assert!(start.elapsed() < PATIENCE, "the log does not come back");
        std::thread::yield_now();
    }
}

#[test]
fn the_log_comes_back_by_itself_once_the_disk_is_well_again() {
    let full = Failure::Error(ErrorKind::StorageFull);
    let broken = Failure::Error(ErrorKind::Other);
    for fault in [lasting(Operation::Write, full), lasting(Operation::Sync, broken)] {
        let directory = tempdir().unwrap();
        let disk = FaultDisk::new(SystemDisk);
        let opened = Database::open_with(directory.path(), Config::default(), Ledger::clock(), disk.clone());
        let (database, _) = opened.unwrap();
        let mut ledger = Ledger::new(4);
        let mut safe = ledger.run(&database, 10);
        let session = database.session("test");
        for _ in 0..3 {
            disk.fail(fault);
            assert_eq!(ledger.call(&session), Answer::Unknown);
            let Answer::Refused(reason) = ledger.call(&session) else { panic!("a write is refused") };
            assert!(reason.starts_with("MISCONF"), "{reason}");
            let Called::Reply(value, position) = session.call(&[b"GET", b"step"]) else {
                panic!("GET is answered")
            };
            assert!(!value.is_error() && database.is_durable(position), "reads go on");
            // Tries that fail, as long as the disk does, leave nothing behind.
            let failures = disk.failures();
            let start = Instant::now();
            while disk.failures() < failures + 2 {
                assert!(start.elapsed() < PATIENCE, "nobody tries again");
                std::thread::yield_now();
            }
            disk.heal();
            call_until_acknowledged(&mut ledger, &session);
            safe = ledger.calls();
        }
        assert_eq!(disk.syncs_of_lost(), 0);
        drop((session, database));
        let (database, recovery) =
            Database::open_with(directory.path(), Config::default(), Ledger::clock(), SystemDisk).unwrap();
        assert_eq!(ledger.judge(&database, safe), Ok(safe));
        assert_eq!(recovery.cut, None);
    }
}

#[test]
fn short_writes_and_signals_are_no_failures() {
    for failure in [Failure::Short, Failure::Interrupted] {
        let directory = tempdir().unwrap();
        let disk = FaultDisk::new(SystemDisk);
        let opened = Database::open_with(directory.path(), Config::default(), Ledger::clock(), disk.clone());
        let (database, _) = opened.unwrap();
        disk.fail(Fault { operation: None, after: 0, count: 20, failure });
        let mut ledger = Ledger::new(5);
        assert_eq!(ledger.run(&database, 20), 20, "{failure:?}");
        drop(database);
        let (database, _) =
            Database::open_with(directory.path(), Config::default(), Ledger::clock(), SystemDisk).unwrap();
        assert_eq!(ledger.judge(&database, 20), Ok(20), "{failure:?}");
    }
}
