//! A real redis-server starts on our directory, and we start on what it wrote.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::tempdir;
use windlass_db::Config;

use crate::fault::TestDisk;
use crate::store::{assert_same, content, last_file, ok, open, open_on};

/// A redis-server on a directory; stopped in order when it goes.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts one; none when this machine has no redis-server and a run without is allowed.
    fn start(directory: &Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--aof-use-rdb-preamble", "no", "--dir"])
            .arg(directory)
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, port }),
            Err(error) => {
                let is_allowed = std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some();
                assert!(
                    is_allowed,
                    "redis-server cannot be started ({error}); WINDLASS_TEST_NO_REDIS=1 skips this"
                );
                None
            }
        }
    }

    /// Sends inline commands and answers all that comes back, errors included, once the server is up.
    fn ask(&self, lines: &str) -> String {
        const START_MAX: Duration = Duration::from_secs(20);
        let deadline = Instant::now() + START_MAX;
        loop {
            let reply = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
                stream.write_all(format!("{lines}\r\nQUIT\r\n").as_bytes())?;
                let mut reply = String::new();
                stream.read_to_string(&mut reply)?;
                Ok(reply)
            });
            match reply {
                Ok(reply) if !reply.starts_with("-LOADING") => return reply,
                other => assert!(Instant::now() < deadline, "redis-server does not start: {other:?}"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.write_all(b"SHUTDOWN NOSAVE\r\n");
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

const LOOK: &str = "GET text\r\nGET counter\r\nPEXPIRETIME lasting\r\nXRANGE stream - +\r\nXPENDING stream group\r\n\
                    DBSIZE\r\nSELECT 5\r\nGET elsewhere";

#[test]
fn redis_starts_on_our_directory_and_we_on_what_it_added() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    let fill = [
        "SET text before",
        "INCRBY counter 41",
        "SET lasting 1 PXAT 4000000000000",
        "XADD stream 1-1 f v",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group me STREAMS stream >",
        "SELECT 5",
        "SET elsewhere 1",
    ];
    fill.iter().for_each(|line| drop(ok(&session, line)));
    database.compact().unwrap();
    for line in ["SELECT 0", "MULTI", "INCR counter", "SET text after", "EXEC"] {
        ok(&session, line);
    }
    drop(session);
    drop(database);

    let check = Command::new("redis-check-aof")
        .arg(directory.path().join("appendonlydir/appendonly.aof.manifest"))
        .output();
    let Some(server) = Server::start(directory.path()) else { return };
    let check = check.unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let expected = "$5\r\nafter\r\n$2\r\n42\r\n:4000000000000\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n\
                    *4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$2\r\nme\r\n$1\r\n1\r\n\
                    :4\r\n+OK\r\n$1\r\n1\r\n+OK\r\n";
    assert_eq!(server.ask(LOOK), expected);
    server.ask("SET text redis\r\nMULTI\r\nINCR counter\r\nINCR counter\r\nEXEC");
    drop(server);

    let (database, recovery) = open(directory.path());
    assert_eq!(recovery.cut, None);
    let session = database.session("test");
    assert_eq!(ok(&session, "GET text"), "redis".into());
    assert_eq!(ok(&session, "GET counter"), "44".into());
    // Our groups now follow Redis's own records in one file.
    ok(&session, "SET text ours");
    let before = content(&database);
    drop(session);
    drop(database);
    let (database, _) = open(directory.path());
    assert_same(&content(&database), &before, "reopened");
    drop(database);
    let server = Server::start(directory.path()).unwrap();
    assert_eq!(server.ask("GET text"), "$4\r\nours\r\n+OK\r\n");
}

#[test]
fn redis_starts_on_the_log_of_commands_of_ones_own() {
    static COMMANDS: &[windlass_engine::Command] = &[windlass_engine::Command::own(
        "transfer",
        4,
        windlass_engine::Flags::WRITE.and(windlass_engine::Flags::DENY_OOM),
        windlass_engine::Keys::Range(1, 2, 1),
        "Move an amount from one counter to another",
        |context| {
            let [_, from, to, amount] = *context.args() else { unreachable!("the row says so many") };
            context.call(&[b"DECRBY", from, amount])?;
            context.call(&[b"INCRBY", to, amount])
        },
    )];
    let directory = tempdir().unwrap();
    let engine = windlass_engine::Config { commands: COMMANDS, ..windlass_engine::Config::default() };
    let config = Config { engine, ..Config::default() };
    let (database, _) = open_on(directory.path(), &TestDisk::default(), config);
    let session = database.session("test");
    ok(&session, "SET a 10");
    assert_eq!(ok(&session, "TRANSFER a b 4"), 4i64.into());
    drop((session, database));

    let Some(server) = Server::start(directory.path()) else { return };
    assert_eq!(server.ask("GET a\r\nGET b"), "$1\r\n6\r\n$1\r\n4\r\n+OK\r\n");
}

#[test]
fn commands_of_ones_own_that_are_not_well_formed_are_refused_by_name() {
    static COMMANDS: &[windlass_engine::Command] = &[windlass_engine::Command::own(
        "get",
        0,
        windlass_engine::Flags::DENY_OOM,
        windlass_engine::Keys::None,
        "",
        |context| context.call(&[b"PING"]),
    )];
    let engine = windlass_engine::Config { commands: COMMANDS, ..windlass_engine::Config::default() };
    let error = Config { engine, ..Config::default() }.validate().unwrap_err().to_string();
    for part in
        ["`get` has the name of one of Redis's", "takes 0 arguments", "has no summary", "add `Flags::WRITE`"]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn we_start_on_a_directory_that_redis_wrote() {
    let directory = tempdir().unwrap();
    let Some(server) = Server::start(directory.path()) else { return };
    server.ask(
        "SET text before\r\nINCRBY counter 41\r\nSET lasting 1 PXAT 4000000000000\r\nXADD stream 1-1 f v\r\n\
         XGROUP CREATE stream group 0\r\nXREADGROUP GROUP group me STREAMS stream >\r\nSELECT 5\r\nSET elsewhere 1",
    );
    let at_rest =
        |info: String| info.contains("aof_rewrite_in_progress:0") && !info.contains("aof_base_size:0");
    server.ask("BGREWRITEAOF");
    while !at_rest(server.ask("INFO persistence")) {
        std::thread::yield_now();
    }
    server.ask("MULTI\r\nINCR counter\r\nSET text after\r\nEXEC");
    let seen = server.ask(LOOK);
    assert!(seen.starts_with("$5\r\nafter\r\n$2\r\n42\r\n"), "{seen}");
    drop(server);

    let (database, recovery) = open(directory.path());
    assert!(recovery.records > 5);
    let session = database.session("test");
    assert_eq!(ok(&session, "GET text"), "after".into());
    assert_eq!(ok(&session, "GET counter"), "42".into());
    assert_eq!(ok(&session, "PEXPIRETIME lasting"), 4_000_000_000_000i64.into());
    assert_eq!(ok(&session, "XLEN stream"), 1i64.into());
    ok(&session, "SELECT 5");
    assert_eq!(ok(&session, "GET elsewhere"), "1".into());
    let before = content(&database);
    drop(session);
    drop(database);

    // A record of Redis's that a crash has cut is cut by its own rule: what is short goes, what is wrong is refused.
    let file = last_file(directory.path());
    let mut bytes = fs::read(&file).unwrap();
    let length = bytes.len();
    bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$4\r\ntext\r\n$4\r\nhalf\r\n");
    fs::write(&file, &bytes).unwrap();
    let (database, recovery) = open(directory.path());
    assert_eq!(recovery.cut.unwrap().offset, length as u64);
    assert_same(&content(&database), &before, "reopened");
    drop(database);
    fs::write(&file, [&bytes[..length], b"garbage"].concat()).unwrap();
    let error = windlass_db::Database::open(directory.path(), windlass_db::Config::default()).err().unwrap();
    assert!(
        matches!(error, windlass_db::Error::Damaged { offset, .. } if offset == length as u64),
        "{error}"
    );
}

#[test]
fn redis_starts_on_what_a_rewrite_that_was_given_up_left() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    let session = database.session("test");
    ok(&session, "SET text before");
    database.compact().unwrap();
    ok(&session, "SET counter 1");
    disk.fill_for_base();
    database.compact().unwrap_err();
    ok(&session, "SELECT 3");
    ok(&session, "SET elsewhere 2");
    drop((session, database));
    let folder = directory.path().join("appendonlydir");
    let manifest = fs::read_to_string(folder.join("appendonly.aof.manifest")).unwrap();
    assert_eq!(manifest.lines().filter(|line| line.ends_with(" type i")).count(), 2, "{manifest}");

    let Some(server) = Server::start(directory.path()) else { return };
    let seen = server.ask("GET text\r\nGET counter\r\nSELECT 3\r\nGET elsewhere");
    assert_eq!(seen, "$6\r\nbefore\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+OK\r\n");
}
