//! Whose directory it is, and what may be in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::tempdir;
use windlass_db::{Config, Database, Error};
use windlass_resp::Value;

use crate::store::{ok, open};

pub fn open_error(path: &std::path::Path) -> Error {
    Database::open(path, Config::default()).err().expect("the opening is refused")
}

#[test]
fn a_directory_opened_twice_is_one_database() {
    let parent = tempdir().unwrap();
    let path = parent.path().join("data");
    let (first, _) = open(&path);
    ok(&first.session("test"), "SET k v");
    std::os::unix::fs::symlink(&path, parent.path().join("link")).unwrap();
    let (second, _) = open(&parent.path().join("link"));
    assert_eq!(ok(&second.session("test"), "GET k"), Value::from("v"));
    drop(first);
    assert_eq!(ok(&second.session("test"), "GET k"), Value::from("v"));
}

#[test]
fn threads_that_open_and_drop_one_directory_do_not_get_in_each_others_way() {
    let directory = tempdir().unwrap();
    thread::scope(|scope| {
        for worker in 0..4 {
            let path = directory.path();
            scope.spawn(move || {
                for number in 0..20 {
                    let (database, _) = open(path);
                    ok(&database.session("test"), &format!("SET {worker}-{number} v"));
                }
            });
        }
    });
    assert_eq!(ok(&open(directory.path()).0.session("test"), "DBSIZE"), Value::Integer(80));
}

#[test]
fn threads_that_open_a_new_directory_at_once_all_get_it() {
    for _ in 0..100 {
        let parent = tempdir().unwrap();
        let path = parent.path().join("data");
        let ready = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    ready.wait();
                    ok(&open(&path).0.session("test"), "INCR opened");
                });
            }
        });
        assert_eq!(ok(&open(&path).0.session("test"), "GET opened"), Value::from("4"));
    }
}

#[test]
fn a_directory_that_another_owns_says_who_and_where() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    drop(database);
    // Another open file of the lock stands for another process: the kernel tells them apart alike.
    let lock = fs::File::open(directory.path().join("windlass.lock")).unwrap();
    lock.lock().unwrap();
    let error = open_error(directory.path());
    let Error::Owned { pid, socket, .. } = &error else { panic!("{error}") };
    assert_eq!(*pid, Some(std::process::id()));
    assert_eq!(*socket, directory.path().join("windlass.sock"));
    lock.unlock().unwrap();
    open(directory.path());
}

#[test]
fn only_the_owner_may_read_the_files() {
    let parent = tempdir().unwrap();
    let path = parent.path().join("data");
    let (database, _) = open(&path);
    ok(&database.session("test"), "SET k v");
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("appendonlydir"), 0o700);
    assert_eq!(mode("windlass.lock"), 0o600);
    assert_eq!(mode("appendonlydir/appendonly.aof.1.incr.aof"), 0o600);
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "text").unwrap();
    let error = open_error(directory.path());
    assert!(error.to_string().contains("is not a Windlass directory: it holds `thesis.txt`"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let error = open_error(&directory.path().join("thesis.txt"));
    assert!(error.to_string().ends_with("it is a file; name a directory"), "{error}");
}

#[test]
fn a_log_without_its_manifest_is_refused() {
    let directory = tempdir().unwrap();
    let folder = directory.path().join("appendonlydir");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("appendonly.aof.1.incr.aof"), b"*1\r\n$4\r\nPING\r\n").unwrap();
    assert!(matches!(open_error(directory.path()), Error::Foreign { .. }));
}

#[test]
fn a_socket_whose_path_would_be_too_long_is_elsewhere_and_private() {
    let parent = tempdir().unwrap();
    let short = parent.path().join("data");
    assert_eq!(open(&short).0.socket_path().unwrap(), short.join("windlass.sock"));
    let long = parent.path().join("d".repeat(120));
    let (database, _) = open(&long);
    let socket = database.socket_path().unwrap();
    assert!(socket.as_os_str().len() <= 100, "{}", socket.display());
    assert_eq!(fs::read_to_string(long.join("windlass.sock.path")).unwrap(), socket.to_str().unwrap());
    let folder = socket.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_dir(folder).unwrap();
}

#[test]
fn a_child_that_is_just_being_started_does_not_hold_the_directory() {
    let directory = tempdir().unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        for _ in 0..100 {
            let opened = Database::open(directory.path(), Config::default());
            if let Err(error) = opened.and_then(|(database, _)| database.stop()) {
                is_done.store(true, Ordering::Relaxed);
                panic!("{error}");
            }
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

/// A full disk, as it shows at the first file that is made.
struct FullDisk;

impl windlass_db::Disk for FullDisk {
    fn create(&self, _: &std::path::Path) -> std::io::Result<std::sync::Arc<dyn windlass_db::DiskFile>> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn append(&self, _: &std::path::Path) -> std::io::Result<std::sync::Arc<dyn windlass_db::DiskFile>> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn rename(&self, _: &std::path::Path, _: &std::path::Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn remove(&self, _: &std::path::Path) -> std::io::Result<()> {
        Ok(())
    }

    fn make_folder(&self, _: &std::path::Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn sync_folder(&self, _: &std::path::Path) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_said_to_be_full_and_opens_when_there_is_room() {
    let directory = tempdir().unwrap();
    let clock = windlass_db::SystemClock;
    let error = Database::open_with(directory.path(), Config::default(), clock, FullDisk).err().unwrap();
    assert!(matches!(error, Error::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("its disk is full"), "{error}");
    assert_eq!(ok(&open(directory.path()).0.session("test"), "DBSIZE"), Value::Integer(0));
}

#[test]
fn a_directory_of_a_later_format_is_left_alone() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    ok(&database.session("test"), "SET k v");
    database.stop().unwrap();
    drop(database);
    let path = directory.path().join("appendonlydir/appendonly.aof.manifest");
    let text = fs::read_to_string(&path).unwrap().replace("#WL 1 ", "#WL 2 ");
    fs::write(&path, &text).unwrap();
    let error = open_error(directory.path());
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("a later version of Windlass wrote it"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_directory_without_its_manifest_was_not_copied_whole() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    ok(&database.session("test"), "SET k v");
    database.stop().unwrap();
    drop(database);
    fs::remove_file(directory.path().join("appendonlydir/appendonly.aof.manifest")).unwrap();
    let said = open_error(directory.path()).to_string();
    assert!(said.contains("it was not copied whole") && said.contains("windlass repair"), "{said}");
}

#[test]
fn a_directory_that_is_refused_says_no_other_owner_than_before() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    for line in ["SET a 1", "SET b 2", "SET c 3"] {
        ok(&database.session("test"), line);
    }
    drop(database);
    let log = crate::store::last_file(directory.path());
    let mut bytes = fs::read(&log).unwrap();
    // In the first group, which those behind it know to be synced.
    bytes[40] ^= 1;
    fs::write(&log, bytes).unwrap();
    let lock = directory.path().join("windlass.lock");
    fs::write(&lock, "1 windlass 0\n").unwrap();
    assert!(matches!(open_error(directory.path()), Error::Damaged { .. }));
    assert_eq!(fs::read_to_string(&lock).unwrap(), "1 windlass 0\n");
    fs::remove_file(&lock).unwrap();
    assert!(matches!(open_error(directory.path()), Error::Damaged { .. }));
    assert!(!lock.exists(), "it was made to look, and is of no use");
}

#[test]
fn a_folder_that_cannot_be_looked_into_is_not_taken_for_another_programs() {
    let parent = tempdir().unwrap();
    let path = parent.path().join("loop");
    // As root nothing is forbidden; what leads nowhere cannot be looked into by anybody.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let error = windlass_db::check::check(&path, &windlass_db::check::Depth::Form).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}
