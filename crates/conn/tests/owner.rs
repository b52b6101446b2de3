//! Two processes and one directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use redis::{AsyncCommands, RedisResult};
use windlass_conn::{Config, Connection, Error};

/// Where the other process finds what it is to do.
const DIRECTORY: &str = "WINDLASS_TEST_DIRECTORY";

/// Another process that has a directory open until it is told to end.
struct Owner {
    process: Child,
    /// Kept open, or else what the process says at its end would fail.
    _output: BufReader<ChildStdout>,
}

impl Owner {
    fn start(directory: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "owner::holds_a_directory", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("it is open"))
            .expect("it opens");
        Self { process, _output: output }
    }

    /// Ends it in good order, and waits for that.
    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("it was started here").success());
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "the other process of the tests below"]
async fn holds_a_directory() {
    let directory = std::env::var(DIRECTORY).expect("the test says which");
    let mut connection = Connection::open(&directory).await.expect("it is free");
    assert!(connection.is_embedded());
    let () = connection.set("of the owner", 1).await.expect("OK");
    std::io::stdout().write_all(b"it is open\n").expect("the test reads");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .expect("no panic")
        .expect("EOF");
}

#[tokio::test]
async fn a_second_process_reaches_the_owner_and_takes_over_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a plain path");
    let owner = Owner::start(directory);
    let mut guest = Connection::open(directory).await.expect("the owner lets us in");
    assert!(!guest.is_embedded());
    assert_eq!(guest.get::<_, i64>("of the owner").await, Ok(1));
    let () = guest.set("of the guest", 2).await.expect("OK");
    owner.end();
    let mut heir = Connection::open(directory).await.expect("it is free again");
    assert!(heir.is_embedded());
    assert_eq!(heir.get::<_, i64>("of the guest").await, Ok(2));
}

#[tokio::test]
async fn a_guest_takes_over_from_an_owner_that_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a plain path");
    let mut owner = Owner::start(directory);
    let mut guest = Connection::open(directory).await.expect("the owner lets us in");
    let mut other = guest.session().await.expect("the owner lets us in");
    let () = guest.set("of the guest", 2).await.expect("OK");
    owner.process.kill().expect("it runs");
    owner.process.wait().expect("it was started here");
    // The first call may have been on its way to the owner; then its outcome is unknown, and it is for us to repeat.
    let found: i64 = match guest.get("of the guest").await {
        Ok(found) => found,
        Err(error) => {
            assert!(matches!(Error::of(&error), Some(Error::OutcomeUnknown { .. })), "{error}");
            guest.get("of the guest").await.expect("the directory is ours")
        }
    };
    assert_eq!(found, 2, "what was acknowledged is there");
    let seen: RedisResult<i64> = other.incr("of the guest", 1).await;
    if let Err(error) = seen {
        assert!(matches!(Error::of(&error), Some(Error::OutcomeUnknown { .. })), "{error}");
        let () = other.set("of the guest", 3).await.expect("a session follows");
    }
    assert_eq!(guest.get::<_, i64>("of the guest").await, Ok(3), "both go to the same database");
    let next = Connection::open(directory).await.expect("it is in this process");
    assert!(next.is_embedded());
}

#[tokio::test]
async fn an_owner_that_does_not_answer_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a plain path");
    let owner = Owner::start(directory);
    std::fs::remove_file(folder.path().join("windlass.sock")).expect("the owner's socket");
    let config = Config { connect_time: std::time::Duration::from_millis(200), ..Config::default() };
    let error = Connection::open_with(directory, config).await.err().expect("nobody answers");
    let pid = owner.process.id();
    assert!(
        matches!(Error::of(&error), Some(Error::OwnerSilent { pid: Some(found), .. }) if *found == pid),
        "{error}"
    );
    assert!(
        error.to_string().starts_with(&format!("the store {directory} belongs to process {pid}")),
        "{error}"
    );
}
