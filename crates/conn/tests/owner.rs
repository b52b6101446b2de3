//! Two processes and one directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::pin::pin;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

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
        Self::start_as(directory, "owner::holds_a_directory")
    }

    /// Starts a process that does what the test of this name does.
    fn start_as(directory: &str, role: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", role, "--ignored", "--nocapture"])
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
#[ignore = "the other process of a test below"]
async fn holds_a_directory_that_it_reads_when_told() {
    let directory = std::env::var(DIRECTORY).expect("the test says which");
    let (database, opening) =
        windlass_db::Database::begin(directory, Default::default()).expect("it is free");
    let _door = Connection::letting_in(database).expect("the socket opens");
    std::io::stdout().write_all(b"it is open\n").expect("the test reads");
    tokio::task::spawn_blocking(move || {
        let mut lines = std::io::stdin().lines();
        let _ = lines.next();
        let recovery = opening.finish(|_| {}).expect("it is whole");
        let _ = lines.next();
        recovery
    })
    .await
    .expect("no panic");
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

/// The guests that call while their owner ends, and how often that is tried.
const GUESTS: usize = 8;
const ENDINGS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_under_way_when_the_owner_ends_are_answered_or_go_to_the_next_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a plain path");
    let mut expected = 0;
    for ending in 0..ENDINGS {
        let owner = Owner::start(directory);
        let guest = Connection::open(directory).await.expect("the owner lets us in");
        assert!(!guest.is_embedded());
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut calling = tokio::task::JoinSet::new();
        for _ in 0..GUESTS {
            let mut session = guest.session().await.expect("the owner lets us in");
            let stopped = stopped.clone();
            calling.spawn(async move {
                let mut count = 0;
                while !*stopped.borrow() {
                    let counted: RedisResult<i64> = session.incr("calls", 1).await;
                    counted.expect("it ran, or runs elsewhere");
                    count += 1;
                }
                // One more, at the owner that is left: this process.
                let counted: RedisResult<i64> = session.incr("calls", 1).await;
                counted.expect("it runs here");
                count + 1
            });
        }
        tokio::task::spawn_blocking(|| owner.end()).await.expect("it ends");
        stop.send(true).expect("they call");
        expected += calling.join_all().await.into_iter().sum::<i64>();
        let mut heir = Connection::open(directory).await.expect("it is here");
        assert_eq!(heir.get::<_, i64>("calls").await, Ok(expected), "ending {ending}: each call ran once");
    }
}

#[tokio::test]
async fn an_owner_that_reads_its_log_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a plain path");
    Owner::start(directory).end();
    let mut owner = Owner::start_as(directory, "owner::holds_a_directory_that_it_reads_when_told");
    let connect_time = Duration::from_millis(100);
    let config = Config { connect_time, ..Config::default() };
    let mut opening = pin!(Connection::open_with(directory, config));
    let waited = tokio::time::timeout(5 * connect_time, &mut opening).await;
    assert!(waited.is_err(), "longer than for one that is silent");
    owner.process.stdin.as_mut().expect("a pipe").write_all(b"read it\n").expect("it reads");
    let mut guest = opening.await.expect("the owner has read it");
    assert!(!guest.is_embedded());
    assert_eq!(guest.get::<_, i64>("of the owner").await, Ok(1));
}

#[tokio::test]
async fn a_session_is_opened_at_the_owner_that_comes_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().to_str().expect("a plain path");
    let mut owner = Owner::start(directory);
    let config = Config { takes_over: false, ..Config::default() };
    let guest = Connection::open_with(directory, config).await.expect("the owner lets us in");
    owner.process.kill().expect("it runs");
    owner.process.wait().expect("it was started here");
    let mut opening = pin!(guest.session());
    // It is tried once before there is anybody.
    assert!(tokio::time::timeout(Duration::ZERO, &mut opening).await.is_err(), "it goes on trying");
    let next = tokio::task::spawn_blocking({
        let directory = directory.to_owned();
        move || Owner::start(&directory)
    });
    let mut session = opening.await.expect("the next owner lets us in");
    assert_eq!(session.get::<_, i64>("of the owner").await, Ok(1));
    next.await.expect("no panic").end();
}
