//! Copies of a directory that is in use.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tempfile::tempdir;
use windlass_db::Error;
use windlass_db::backup::backup;
use windlass_db::check::{Depth, check};
use windlass_resp::Value;

use crate::fault::TestDisk;
use crate::store::{assert_same, content, last_file, ok, open, open_on, rewritten_at};

/// How many copies are taken while writers and rewrites go on.
const COPIES: usize = 20;

fn number(value: Value) -> i64 {
    match value {
        Value::Bulk(text) => String::from_utf8(text).unwrap().parse().unwrap(),
        Value::Nil => 0,
        other => panic!("{other:?} is no number"),
    }
}

#[test]
fn a_copy_of_a_database_in_use_is_of_one_moment_and_has_all_that_was_acknowledged() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    let config = rewritten_at(1, 100);
    let (database, _) = open_on(&data, &TestDisk::default(), config);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let session = database.session("writer");
            while !stop.load(Ordering::Relaxed) {
                for line in ["MULTI", "INCR one", "RPUSH list an-item-of-some-length", "INCR two", "EXEC"] {
                    ok(&session, line);
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                database.compact().unwrap();
            }
        });
        for copy in 0..COPIES {
            let before = acknowledged.load(Ordering::Relaxed);
            let path = directory.path().join(format!("copy-{copy}"));
            backup(&data, &path).unwrap();
            assert_eq!(check(&path, &Depth::Form).unwrap().torn, None, "it was cut");
            let (opened, _) = open(&path);
            let session = opened.session("test");
            let (one, two) = (number(ok(&session, "GET one")), number(ok(&session, "GET two")));
            assert_eq!(one, two, "of one moment");
            assert!(one >= before, "{one} moves of {before} that were acknowledged");
            let length = ok(&session, "LLEN list");
            assert_eq!(length, Value::Integer(one));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_copy_has_the_same_content_and_goes_its_own_way() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    let (database, _) = open(&data);
    let session = database.session("test");
    for line in ["SET a 1", "PEXPIRE a 100000", "XADD s 1-1 f v", "XGROUP CREATE s g 0", "ZADD z 1.5 m"] {
        ok(&session, line);
    }
    let copy = directory.path().join("copy");
    let taken = backup(&data, &copy).unwrap();
    assert!(taken.records >= 6, "{taken:?}");
    let (opened, _) = open(&copy);
    assert_same(&content(&opened), &content(&database), "the copy");
    ok(&opened.session("test"), "SET b 2");
    assert_eq!(ok(&session, "GET b"), Value::Nil);
}

#[test]
fn what_redis_left_is_copied_as_it_is() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("appendonly.aof"), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n").unwrap();
    let copy = directory.path().join("copy");
    backup(&data, &copy).unwrap();
    assert_eq!(ok(&open(&copy).0.session("test"), "GET k"), Value::from("v"));
}

#[test]
fn a_damaged_directory_and_a_taken_path_leave_nothing() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    let (database, _) = open(&data);
    let session = database.session("test");
    for line in ["SET a 1", "SET b 2", "SET c 3"] {
        ok(&session, line);
    }
    drop((session, database));
    let copy = directory.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("notes.txt"), "not ours").unwrap();
    assert!(matches!(backup(&data, &copy), Err(Error::Exists { .. })));
    fs::remove_dir_all(&copy).unwrap();

    let file = last_file(&data);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(3).position(|window| window == b"\r\nb").unwrap() + 2;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = backup(&data, &copy).unwrap_err();
    assert!(matches!(&error, Error::Damaged { file: named, .. } if *named == file), "{error}");
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["data"], "no part of a copy is left");
}
