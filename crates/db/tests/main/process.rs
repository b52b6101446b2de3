//! Two processes and one directory. The second is this test binary again, which then runs only the test `owner`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use tempfile::tempdir;
use windlass_db::{Config, Database, Error};
use windlass_resp::Value;

use crate::store::run;

const DIRECTORY: &str = "WINDLASS_TEST_DIRECTORY";
/// What each acknowledged push prints; the test harness prints lines of its own.
const ACKNOWLEDGED: &str = "acknowledged";
const PUSHES: usize = 50;

#[test]
fn a_killed_owner_leaves_the_directory_free_and_what_it_acknowledged() {
    let directory = tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::owner", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged =
        lines.map(Result::unwrap).filter(|line| line.contains(ACKNOWLEDGED)).take(PUSHES).count();
    assert_eq!(acknowledged, PUSHES);

    let error =
        Database::open(directory.path(), Config::default()).err().expect("the directory has an owner");
    let Error::Owned { pid, socket, .. } = &error else { panic!("{error}") };
    assert_eq!((*pid, socket.clone()), (Some(child.id()), directory.path().join("windlass.sock")));

    child.kill().unwrap();
    child.wait().unwrap();
    let (database, recovery) = Database::open(directory.path(), Config::default()).unwrap();
    assert_eq!(recovery.cut, None);
    assert_eq!(run(&database.session("test"), "LLEN queue"), Value::from(PUSHES));
}

/// The owner's side: pushes, says so, and waits to be killed. Without a directory it is not asked to own one.
#[test]
fn owner() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let (database, _) = Database::open(directory, Config::default()).unwrap();
    let session = database.session("owner");
    for number in 0..PUSHES {
        assert_eq!(run(&session, "RPUSH queue job"), Value::from(number + 1));
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{ACKNOWLEDGED}").and_then(|()| out.flush()).unwrap();
    }
    // Ends with the parent, should that fail before it kills.
    let _ = std::io::stdin().read(&mut [0]);
}
