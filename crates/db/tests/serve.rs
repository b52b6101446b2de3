//! The session loop, seen from a client at the other end of a byte stream.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use windlass_db::{Config, Database, serve};

/// A client of a database in memory, and the task that serves it.
struct Client {
    stream: DuplexStream,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<io::Result<()>>,
}

impl Client {
    fn connect(database: &Database) -> Self {
        Self::connect_through(database, 1 << 20)
    }

    /// A client whose stream holds `bytes` that nobody has read.
    fn connect_through(database: &Database, bytes: usize) -> Self {
        let (stream, served_stream) = tokio::io::duplex(bytes);
        let (stop, stopped) = oneshot::channel();
        let session = database.session("test");
        let served = tokio::spawn(serve(served_stream, session, async {
            // A sender that was dropped without a word does not stop the session.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { stream, stop: Some(stop), served }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the session reads");
    }

    /// Sends and checks the replies byte by byte.
    async fn check(&mut self, request: &[u8], replies: &str) {
        self.send(request).await;
        self.receive(replies).await;
    }

    async fn receive(&mut self, expected: &str) {
        let mut got = vec![0; expected.len()];
        self.stream.read_exact(&mut got).await.expect("a reply");
        assert_eq!(String::from_utf8_lossy(&got), expected);
    }

    /// Checks that nothing more comes, and gives how the session ended.
    async fn ended(mut self, last: &str) -> io::Result<()> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        assert_eq!(String::from_utf8_lossy(&rest), last);
        self.served.await.expect("a session does not panic")
    }
}

fn memory() -> Database {
    Database::memory(Config::default()).expect("the default configuration is valid")
}

fn with_password(password: &str) -> Database {
    let mut config = Config::default();
    config.engine.password = password.into();
    Database::memory(config).expect("a password is valid")
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mut client = Client::connect(&memory());
    client.check(b"SET k v\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n", "+OK\r\n$1\r\nv\r\n+PONG\r\n").await;
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let mut client = Client::connect(&memory());
    for byte in b"*2\r\n$4\r\nPING\r\n$3\r\nhey\r\n" {
        client.send(&[*byte]).await;
    }
    client.receive("$3\r\nhey\r\n").await;
}

#[tokio::test]
async fn a_malformed_request_is_answered_and_ends_the_connection() {
    let cases = [
        ("*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n"),
        ("*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("GET \"k\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ];
    for (request, reply) in cases {
        let mut client = Client::connect(&memory());
        client.send(format!("PING\r\n{request}PING\r\n").as_bytes()).await;
        client.ended(&format!("+PONG\r\n{reply}")).await.expect("a clean end");
    }
}

#[tokio::test]
async fn before_the_password_requests_are_short() {
    let mut client = Client::connect(&with_password("secret"));
    client.check(b"GET k\r\n", "-NOAUTH Authentication required.\r\n").await;
    client.send(b"*11\r\n").await;
    client.ended("-ERR Protocol error: unauthenticated multibulk length\r\n").await.expect("a clean end");
}

#[tokio::test]
async fn an_http_request_ends_the_connection_without_an_answer() {
    for request in ["POST / HTTP/1.1\r\nSET k v\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nSET k v\r\n"] {
        let database = memory();
        let mut client = Client::connect(&database);
        client.send(request.as_bytes()).await;
        client.ended("").await.expect("a clean end");
        Client::connect(&database).check(b"GET k\r\n", "$-1\r\n").await;
    }
}

#[tokio::test]
async fn a_misspelt_command_ends_a_connection_only_if_it_is_the_first_line() {
    let mut client = Client::connect(&memory());
    client.send(b"STE k v\r\nSET k v\r\n").await;
    client
        .ended("-ERR unknown command 'STE', with args beginning with: 'k' 'v' \r\n")
        .await
        .expect("a clean end");
    let mut client = Client::connect(&memory());
    let answers = "+PONG\r\n-ERR unknown command 'STE', with args beginning with: 'k' 'v' \r\n+OK\r\n";
    client.check(b"PING\r\nSTE k v\r\nSET k v\r\n", answers).await;
    // Clients of the database send arrays, and may try what a server knows.
    let mut client = Client::connect(&memory());
    let answers = "-ERR unknown command 'STE', with args beginning with: \r\n+PONG\r\n";
    client.check(b"*1\r\n$3\r\nSTE\r\nPING\r\n", answers).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_disconnected_after_the_timeout() {
    let database = memory();
    let begun = tokio::time::Instant::now();
    let mut client = Client::connect(&database);
    client.check(b"CONFIG SET timeout 30\r\n", "+OK\r\n").await;
    tokio::time::advance(Duration::from_secs(29)).await;
    client.check(b"PING\r\n", "+PONG\r\n").await;
    client.ended("").await.expect("a clean end");
    let took = begun.elapsed();
    assert!((Duration::from_secs(59)..Duration::from_secs(60)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_or_listens_is_not_silent() {
    let database = memory();
    let mut client = Client::connect(&database);
    client.check(b"CONFIG SET timeout 30\r\n", "+OK\r\n").await;
    let (mut waiting, mut listening) = (Client::connect(&database), Client::connect(&database));
    waiting.check(b"PING\r\nBLPOP list 0\r\n", "+PONG\r\n").await;
    listening.check(b"SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let mut client = Client::connect(&database);
    client.check(b"RPUSH list a\r\nPUBLISH c hi\r\n", ":1\r\n:1\r\n").await;
    waiting.receive("*2\r\n$4\r\nlist\r\n$1\r\na\r\n").await;
    listening.receive("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n").await;
}

#[tokio::test]
async fn a_reply_above_the_limit_of_its_class_ends_the_connection() {
    let database = memory();
    let mut client = Client::connect(&database);
    client.check(b"CONFIG SET client-output-buffer-limit \"normal 1000 0 0\"\r\n", "+OK\r\n").await;
    let value = "x".repeat(2000);
    client.check(format!("SET k {value}\r\n").as_bytes(), "+OK\r\n").await;
    client.send(b"GET k\r\n").await;
    let error = client.ended("").await.expect_err("it is cut");
    assert_eq!(error.to_string(), "the client does not read what it is sent");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_reads_too_slowly_is_cut_after_the_soft_limit_s_time() {
    let mut config = Config::default();
    config.engine.clients.messages.soft = 1000;
    let database = Database::memory(config).expect("a configuration that can be used");
    let mut listening = Client::connect_through(&database, 64);
    listening.check(b"SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n").await;
    let begun = tokio::time::Instant::now();
    let mut client = Client::connect(&database);
    client.check(format!("PUBLISH c {}\r\n", "x".repeat(2000)).as_bytes(), ":1\r\n").await;
    let error = listening.served.await.expect("no panic").expect_err("it is cut");
    assert_eq!(error.to_string(), "the client does not read what it is sent");
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn a_client_that_leaves_gets_what_it_asked_for() {
    let mut client = Client::connect(&memory());
    client.send(b"SET k v\r\nGET k\r\nGET ").await;
    client.stream.shutdown().await.expect("a stream in memory");
    client.ended("+OK\r\n$1\r\nv\r\n").await.expect("a clean end");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_executed_further() {
    let database = memory();
    let mut client = Client::connect_through(&database, 1024);
    let value = "x".repeat(600 << 10);
    client.check(format!("SET k {}\r\n", &value[..1000]).as_bytes(), "+OK\r\n").await;
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    client.check(set.as_bytes(), "+OK\r\n").await;
    client.send(b"GET k\r\nGET k\r\nSET done 1\r\n").await;
    // Two replies are more than may lie unread, so that the third request waits until this client reads.
    let mut other = Client::connect(&database);
    other.check(b"GET done\r\n", "$-1\r\n").await;
    let reply = format!("${}\r\n{value}\r\n", value.len());
    client.receive(&reply).await;
    client.receive(&reply).await;
    client.receive("+OK\r\n").await;
    other.check(b"GET done\r\n", "$1\r\n1\r\n").await;
}

#[tokio::test]
async fn a_stopped_session_answers_what_ran() {
    let mut client = Client::connect(&memory());
    client.check(b"PING\r\n", "+PONG\r\n").await;
    client.stop.take().expect("not stopped yet").send(()).expect("it is served");
    client.ended("").await.expect("a clean end");
}

#[tokio::test]
async fn a_stopped_database_ends_its_sessions() {
    let database = memory();
    let mut client = Client::connect(&database);
    client.check(b"PING\r\n", "+PONG\r\n").await;
    database.stop().expect("nothing to lose in memory");
    client.ended("").await.expect("a clean end");
}

#[tokio::test]
async fn what_has_come_before_the_end_runs_behind_a_script_too() {
    let database = Database::memory(Config::default()).expect("a database");
    let mut client = Client::connect(&database);
    // A script that is not known yet runs apart, and the end is read before its reply is there.
    client.send(b"EVAL 'for n = 1, 1e6 do end return 7' 0\r\nSET k v\r\nGET k\r\n").await;
    client.stream.shutdown().await.expect("it is open");
    client.ended(":7\r\n+OK\r\n$1\r\nv\r\n").await.expect("the session ends well");
}
