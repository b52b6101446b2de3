//! Power cuts: what was acknowledged is there, whatever of the rest is. `windlass torture power` does this at every step
//! with many more seeds; here is each thing that was once wrong.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};
use windlass_db::faults::{Ledger, PowerDisk};
use windlass_db::{Config, Database, Durability};

/// How many of the states that a power cut could leave are looked at.
const SEEDS: u64 = 12;

/// A disk beneath a folder, and another folder for what a power cut leaves of it.
struct Bench {
    _folder: TempDir,
    live: PathBuf,
    left: PathBuf,
    disk: PowerDisk,
}

impl Bench {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let [live, left] = ["live", "left"].map(|name| folder.path().join(name));
        [&live, &left].iter().for_each(|path| fs::create_dir(path).unwrap());
        let disk = PowerDisk::new(&live).unwrap();
        Self { _folder: folder, live, left, disk }
    }

    fn open(&self, durability: Durability) -> Database {
        open(&self.live, &self.disk, durability)
    }

    /// Cuts the power now, in many ways, and holds that so many calls are there.
    fn cut(&self, ledger: &Ledger, acknowledged: usize) {
        let cut = self.disk.cut_after(self.disk.steps());
        for seed in 0..SEEDS {
            cut.survive(seed, &self.left).unwrap();
            let disk = PowerDisk::new(&self.left).unwrap();
            ledger
                .judge(&open(&self.left, &disk, Durability::Always), acknowledged)
                .unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        }
    }
}

fn open(folder: &Path, disk: &PowerDisk, durability: Durability) -> Database {
    let config = Config { durability, log_retry_ms: 0, ..Config::default() };
    Database::open_with(folder.join("data/jobs"), config, Ledger::clock(), disk.clone()).unwrap().0
}

#[test]
fn a_directory_that_was_made_is_there_when_a_call_in_it_was_acknowledged() {
    let bench = Bench::new();
    let mut ledger = Ledger::new(1);
    let acknowledged = ledger.run(&bench.open(Durability::Always), 3);
    assert_eq!(acknowledged, 3);
    bench.cut(&ledger, acknowledged);
}

#[test]
fn what_an_opening_found_is_safe_before_anybody_sees_it() {
    let mut bench = Bench::new();
    let mut ledger = Ledger::new(2);
    let database = bench.open(Durability::None);
    let written = ledger.run(&database, 5);
    bench.disk = bench.disk.next_process();
    drop(database);
    let database = bench.open(Durability::Always);
    assert_eq!(ledger.judge(&database, written), Ok(written), "a killed process loses nothing");
    bench.cut(&ledger, written);
}

#[test]
fn a_process_killed_anywhere_and_a_power_cut_after_the_next_opening_lose_nothing() {
    let steps = {
        let bench = Bench::new();
        let mut ledger = Ledger::new(3);
        let database = bench.open(Durability::Always);
        ledger.run(&database, 2);
        database.compact().unwrap();
        bench.disk.steps()
    };
    for killed in 1..steps {
        let mut bench = Bench::new();
        let mut ledger = Ledger::new(3);
        bench.disk.kill_after(killed);
        let config = Config { log_retry_ms: 0, ..Config::default() };
        let opened =
            Database::open_with(bench.live.join("data/jobs"), config, Ledger::clock(), bench.disk.clone());
        let acknowledged = opened.map_or(0, |(database, _)| {
            let acknowledged = ledger.run(&database, 2);
            // It is killed meanwhile.
            let _ = database.compact();
            acknowledged
        });
        let before = bench.disk.steps();
        bench.disk = bench.disk.next_process();
        let found = ledger.judge(&bench.open(Durability::Always), acknowledged).unwrap();
        for step in before..bench.disk.steps() + 1 {
            let cut = bench.disk.cut_after(step);
            for seed in 0..SEEDS {
                cut.survive(seed, &bench.left).unwrap();
                let disk = PowerDisk::new(&bench.left).unwrap();
                // Once it is open, what it found was seen.
                let least = if step == bench.disk.steps() { found } else { acknowledged };
                ledger.judge(&open(&bench.left, &disk, Durability::Always), least).unwrap_or_else(|wrong| {
                    panic!("killed after {killed}, cut after {step}, seed {seed}: {wrong}")
                });
            }
        }
    }
}

#[test]
fn writes_that_no_sync_came_between_are_cut_where_the_first_is_not_whole() {
    let bench = Bench::new();
    let mut ledger = Ledger::new(6);
    ledger.run(&bench.open(Durability::Always), 1);
    let database = bench.open(Durability::None);
    ledger.run(&database, 12);
    let cut = bench.disk.cut_after(bench.disk.steps());
    for seed in 0..100 {
        cut.survive(seed, &bench.left).unwrap();
        let disk = PowerDisk::new(&bench.left).unwrap();
        let config = Config { log_retry_ms: 0, ..Config::default() };
        let directory = bench.left.join("data/jobs");
        // Whatever is whole behind it: it is a power cut and no damage.
        let (database, _) = Database::open_with(directory, config, Ledger::clock(), disk).unwrap();
        ledger.judge(&database, 1).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn a_file_whose_first_group_did_not_get_whole_is_opened_without_it() {
    for durability in [Durability::Always, Durability::None] {
        let bench = Bench::new();
        let database = bench.open(durability);
        let session = database.session("test");
        // Several sectors each, of which a power cut may leave any.
        session.call(&[b"SET", b"key", &[b'x'; 2_500]]);
        database.compact().expect("the disk is sound");
        session.call(&[b"SET", b"short", b"y"]);
        session.call(&[b"SET", b"key", &[b'y'; 2_500]]);
        session.call(&[b"APPEND", b"key", &[b'z'; 2_500]]);
        drop((session, database));
        for step in 0..bench.disk.steps() + 1 {
            let cut = bench.disk.cut_after(step);
            for seed in 0..SEEDS + SEEDS / 2 {
                cut.survive(seed, &bench.left).unwrap();
                let config = Config { durability, log_retry_ms: 0, ..Config::default() };
                let disk = PowerDisk::new(&bench.left).unwrap();
                let opened = Database::open_with(bench.left.join("data/jobs"), config, Ledger::clock(), disk);
                assert!(opened.is_ok(), "{durability:?}, step {step}, seed {seed}: {:?}", opened.err());
            }
        }
    }
}
