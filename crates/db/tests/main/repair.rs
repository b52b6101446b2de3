//! Finding damage, and what of a damaged directory can be kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::{TempDir, tempdir};
use windlass_db::check::{Check, Depth, check};
use windlass_db::repair::{Keep, Repair};
use windlass_db::{EngineConfig, Error};
use windlass_resp::Value;

use crate::directory::open_error;
use crate::store::{last_file, ok, open};

const STAMP: &str = "20261122T080000Z";

/// A directory with a group for each line, closed; and where each group ends.
fn written(lines: &[&str]) -> (TempDir, Vec<usize>) {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    let file = last_file(directory.path());
    let mut ends = vec![0];
    for line in lines {
        ok(&session, line);
        ends.push(fs::metadata(&file).unwrap().len() as usize);
    }
    database.stop().unwrap();
    (directory, ends)
}

fn look(directory: &Path) -> Check {
    let shallow = check(directory, &Depth::Form).unwrap();
    let deep = check(directory, &Depth::Records(Box::default())).unwrap();
    assert_eq!(shallow, deep, "both see damage of the form");
    deep
}

/// Changes a byte of the log's last file.
fn damage(directory: &Path, at: usize) {
    let file = last_file(directory);
    let mut bytes = fs::read(&file).unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
}

fn plan(directory: &Path, keep: Keep) -> windlass_db::Result<Option<Repair>> {
    Repair::plan(directory, &EngineConfig::default(), keep)
}

/// Every file below a directory with its bytes; the lock has the number of a process in it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(
                files(&entry.path()).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else if entry.file_type().unwrap().is_file() && name != "windlass.lock" {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn text(value: &str) -> Value {
    Value::from(value)
}

#[test]
fn a_whole_directory_is_counted_and_left_alone() {
    let (directory, ends) = written(&["SET a 1", "RPUSH l x y", "DEL a"]);
    let before = files(directory.path());
    let found = look(directory.path());
    assert!(found.is_whole());
    assert!(!found.is_open);
    assert_eq!((found.records(), found.bytes()), (4, ends[3] as u64), "SELECT is a record as well");
    assert_eq!((found.files[0].groups, found.files[0].sequence), (3, 3));
    assert!(plan(directory.path(), Keep::Before).unwrap().is_none(), "there is nothing to repair");
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_directory_that_is_open_is_checked_beside_its_owner() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    ok(&database.session("test"), "SET a 1");
    let found = look(directory.path());
    assert!(found.is_whole());
    assert!(found.is_open);
    assert_eq!(found.owner, Some(std::process::id()));
    ok(&database.session("test"), "SET b 2");
}

#[test]
fn a_torn_end_is_no_damage() {
    let (directory, ends) = written(&["SET a 1", "SET b 2"]);
    let file = last_file(directory.path());
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..ends[2] - 3]).unwrap();
    let found = look(directory.path());
    let torn = found.torn.clone().expect("a torn end");
    assert!(found.is_whole());
    assert_eq!((torn.offset as usize, torn.bytes as usize), (ends[1], ends[2] - 3 - ends[1]));
    assert_eq!(fs::read(&file).unwrap().len(), ends[2] - 3, "a check cuts nothing");
}

#[test]
fn damage_is_told_with_its_place_and_its_commands_and_refused() {
    let (directory, ends) = written(&["SET a 1", "SET b 2", "SET c 3"]);
    damage(directory.path(), ends[2] - 3);
    let before = files(directory.path());
    let found = look(directory.path());
    assert_eq!(found.damage.len(), 1);
    let place = &found.damage[0];
    assert_eq!((place.offset as usize, place.bytes as usize), (ends[1], ends[2] - ends[1]));
    assert_eq!((found.before.records, found.before.offset as usize), (2, ends[1]));
    assert_eq!(found.records(), 3, "the group after it is whole");

    let error = open_error(directory.path());
    let said = error.to_string();
    assert!(matches!(error, Error::Damaged { offset, .. } if offset as usize == ends[1]), "{said}");
    let path = directory.path().display();
    assert!(said.contains(&format!("`windlass check {path}`")), "{said}");
    assert!(said.contains(&format!("`windlass repair {path}`")), "{said}");
    assert_eq!(files(directory.path()), before, "nothing was changed");
}

#[test]
fn a_repair_keeps_what_was_before_the_damage_and_the_old_files() {
    let (directory, ends) = written(&["SET a 1", "SET b 2", "SET c 3"]);
    damage(directory.path(), ends[2] - 3);
    let before = files(directory.path());
    let plan = plan(directory.path(), Keep::Before).unwrap().expect("a plan");
    assert_eq!((plan.records_kept, plan.records_lost), (2, 1));
    assert_eq!(plan.bytes_lost as usize, ends[3] - ends[1]);
    assert_eq!(files(directory.path()), before, "a plan changes nothing");

    let repaired = plan.run(STAMP).unwrap();
    assert_eq!(repaired.keys, 1);
    for (name, bytes) in before {
        let name = name.strip_prefix("appendonlydir/").unwrap();
        assert_eq!(fs::read(repaired.aside.join(name)).unwrap(), bytes, "{name} is kept aside");
    }
    assert!(look(directory.path()).is_whole());
    let (database, _) = open(directory.path());
    let session = database.session("test");
    assert_eq!(ok(&session, "GET a"), text("1"));
    assert_eq!(ok(&session, "DBSIZE"), Value::Integer(1));
    ok(&session, "SET d 4");
    drop((session, database));
    assert_eq!(ok(&open(directory.path()).0.session("test"), "GET d"), text("4"));
}

#[test]
fn a_repair_can_keep_what_comes_after_the_damage() {
    let (directory, ends) = written(&["SET a 1", "SET b 2", "SET c 3"]);
    damage(directory.path(), ends[2] - 3);
    let plan = plan(directory.path(), Keep::Later).unwrap().expect("a plan");
    assert_eq!((plan.records_kept, plan.records_lost), (3, 0));
    assert_eq!(plan.bytes_lost as usize, ends[2] - ends[1]);
    plan.run(STAMP).unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    assert_eq!(ok(&session, "MGET a b c"), Value::Array(vec![text("1"), Value::Nil, text("3")]));
}

#[test]
fn later_groups_that_rely_on_lost_ones_are_not_kept() {
    let (directory, ends) = written(&["SET a 1", "XADD s 1-1 f v", "XGROUP CREATE s g 0", "SET c 3"]);
    damage(directory.path(), ends[2] - 3);
    let error = plan(directory.path(), Keep::Later).unwrap_err();
    assert!(matches!(error, Error::Unrepairable { .. }), "{error}");
    assert!(error.to_string().contains("relies on what is lost"), "{error}");
    assert!(plan(directory.path(), Keep::Before).unwrap().is_some());
}

#[test]
fn a_missing_group_is_a_gap_in_the_sequence() {
    let (directory, ends) = written(&["SET a 1", "SET b 2", "SET c 3"]);
    let file = last_file(directory.path());
    let mut bytes = fs::read(&file).unwrap();
    bytes.drain(ends[1]..ends[2]);
    fs::write(&file, bytes).unwrap();
    let found = look(directory.path());
    assert_eq!(found.damage.len(), 1);
    assert_eq!((found.damage[0].offset as usize, found.damage[0].bytes), (ends[1], 0));
    assert!(found.damage[0].reason.contains("group 3 follows where group 2 belongs"), "{found:?}");
    plan(directory.path(), Keep::Later).unwrap().expect("a plan").run(STAMP).unwrap();
    assert_eq!(ok(&open(directory.path()).0.session("test"), "GET c"), text("3"));
}

#[test]
fn a_missing_base_is_named_and_its_changes_can_be_kept() {
    let (directory, _) = written(&["SET a 1"]);
    let (database, _) = open(directory.path());
    database.compact().unwrap();
    ok(&database.session("test"), "SET b 2");
    database.stop().unwrap();
    drop(database);
    let folder = directory.path().join("appendonlydir");
    let base = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let base = base.into_iter().find(|path| path.to_string_lossy().contains(".base.")).unwrap();
    fs::remove_file(&base).unwrap();
    let before = files(directory.path());

    let error = open_error(directory.path());
    assert!(matches!(&error, Error::Missing { is_base: true, .. }), "{error}");
    assert!(
        error.to_string().contains("as the base, which holds the content before all other files"),
        "{error}"
    );
    let found = look(directory.path());
    assert_eq!(found.damage[0].file, base);
    let error = plan(directory.path(), Keep::Before).unwrap_err();
    assert!(error.to_string().contains("nothing would be left of it; `--keep-later`"), "{error}");
    assert_eq!(files(directory.path()), before);

    plan(directory.path(), Keep::Later).unwrap().expect("a plan").run(STAMP).unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    assert_eq!(ok(&session, "MGET a b"), Value::Array(vec![Value::Nil, text("2")]));
}

#[test]
fn a_manifest_that_is_gone_is_guessed_by_the_names() {
    let (directory, _) = written(&["SET a 1", "SET b 2"]);
    fs::remove_file(directory.path().join("appendonlydir/appendonly.aof.manifest")).unwrap();
    assert!(matches!(open_error(directory.path()), Error::Foreign { .. }));
    assert!(!look(directory.path()).is_whole());
    plan(directory.path(), Keep::Later).unwrap().expect("a plan").run(STAMP).unwrap();
    assert_eq!(ok(&open(directory.path()).0.session("test"), "DBSIZE"), Value::Integer(2));
}

#[test]
fn a_directory_that_is_open_is_not_repaired() {
    let (directory, ends) = written(&["SET a 1", "SET b 2", "SET c 3"]);
    damage(directory.path(), ends[2] - 3);
    let plan = plan(directory.path(), Keep::Before).unwrap().expect("a plan");
    let lock = fs::File::open(directory.path().join("windlass.lock")).unwrap();
    lock.try_lock().unwrap();
    let before = files(directory.path());
    assert!(matches!(plan.run(STAMP), Err(Error::Owned { .. })));
    assert_eq!(files(directory.path()), before);
}

#[test]
fn what_is_no_database_is_not_checked() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "not ours").unwrap();
    for path in
        [directory.path().to_owned(), directory.path().join("notes.txt"), directory.path().join("absent")]
    {
        assert!(matches!(check(&path, &Depth::Form), Err(Error::Foreign { .. })), "{path:?}");
    }
}
