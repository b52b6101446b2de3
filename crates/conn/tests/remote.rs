//! What only a server can do: hang, break and come back.

use std::time::Duration;

use redis::AsyncCommands;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use windlass_conn::{Config, Connection, Error, may_have_happened};

use crate::server::Server;

/// A server that answers as a test says.
struct Fake {
    listener: UnixListener,
    folder: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { listener: UnixListener::bind(folder.path().join("s")).expect("a socket"), folder }
    }

    fn url(&self) -> String {
        format!("unix:{}", self.folder.path().join("s").display())
    }

    /// Lets a client in, answers what it says at the beginning, and hands the connection over.
    async fn accept(&self, with_ping: bool) -> UnixStream {
        let (mut stream, _) = self.listener.accept().await.expect("a client");
        // CLIENT SETINFO twice, and the first PING of a new connection.
        receive(&mut stream, "LIB-VER").await;
        stream.write_all(b"+OK\r\n+OK\r\n").await.expect("the client reads");
        if with_ping {
            receive(&mut stream, "PING").await;
            stream.write_all(b"+PONG\r\n").await.expect("the client reads");
        }
        stream
    }
}

/// Reads until a word has come, and the rest of its request.
async fn receive(stream: &mut UnixStream, word: &str) {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).split_once(word).is_some_and(|(_, rest)| rest.ends_with("\r\n")) {
        assert_ne!(stream.read_buf(&mut got).await.expect("a request"), 0, "the client left");
    }
}

fn impatient() -> Config {
    Config {
        response_time: Duration::from_millis(300),
        reconnect_time: Duration::from_secs(5),
        ..Config::default()
    }
}

/// A server, a client of it, and their connection.
async fn opened() -> (Fake, Connection, UnixStream) {
    let fake = Fake::new();
    let (connection, stream) =
        tokio::join!(async { Connection::open_with(&fake.url(), impatient()).await }, fake.accept(true));
    (fake, connection.expect("it answers"), stream)
}

#[tokio::test]
async fn a_command_that_was_sent_and_not_answered_has_an_unknown_outcome() {
    let (fake, mut connection, mut stream) = opened().await;
    let served = async {
        receive(&mut stream, "INCR").await;
        drop(stream);
    };
    let (error, ()) = tokio::join!(async { connection.incr::<_, _, i64>("n", 1).await }, served);
    let error = error.expect_err("the connection broke");
    assert!(may_have_happened(&error), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("the outcome is unknown, because the command was sent but not answered")
    );
    // The next command finds a new connection.
    let served = async {
        let mut stream = fake.accept(false).await;
        receive(&mut stream, "INCR").await;
        stream.write_all(b":1\r\n").await.expect("the client reads");
        stream
    };
    let (sum, _stream) = tokio::join!(async { connection.incr::<_, _, i64>("n", 1).await }, served);
    assert_eq!(sum, Ok(1));
}

#[tokio::test]
async fn a_command_on_a_connection_that_broke_before_is_sent_on_a_new_one() {
    let (fake, mut connection, stream) = opened().await;
    drop(stream);
    let served = async {
        let mut stream = fake.accept(false).await;
        receive(&mut stream, "INCR").await;
        stream.write_all(b":1\r\n").await.expect("the client reads");
        stream
    };
    let (sum, _stream) = tokio::join!(async { connection.incr::<_, _, i64>("n", 1).await }, served);
    assert_eq!(sum, Ok(1), "not a byte of it had been sent on the old one");
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_response_time() {
    let (_fake, mut connection, _stream) = opened().await;
    let error = connection.get::<_, i64>("k").await.expect_err("no answer");
    assert_eq!(
        error.to_string(),
        "the outcome is unknown, because the command was sent but not answered (no answer within 300ms)"
    );
}

#[tokio::test]
async fn a_blocking_command_outlasts_the_response_time() {
    let Some(server) = Server::start(&[]).await else { return };
    let mut connection = Connection::open_with(&server.url(), impatient()).await.expect("it answers");
    let nothing: Option<(String, String)> = connection.blpop("list", 1.0).await.expect("no timeout of ours");
    assert_eq!(nothing, None);
}

#[tokio::test]
async fn a_connection_comes_back_with_its_server() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let mut connection = server.connect().await;
    let () = connection.set("k", 1).await.expect("OK");
    server.kill();
    server.restart().await;
    assert_eq!(connection.get::<_, Option<i64>>("k").await, Ok(None), "the server is new and empty");
}

#[tokio::test]
async fn a_session_keeps_its_database_over_a_new_connection_but_not_its_transaction() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let mut own = server.connect().await.session().await.expect("a session");
    let () = redis::cmd("SELECT").arg(5).exec_async(&mut own).await.expect("OK");
    let () = redis::cmd("WATCH").arg("k").exec_async(&mut own).await.expect("OK");
    server.kill();
    server.restart().await;
    let error = redis::pipe().atomic().set("k", 1).exec_async(&mut own).await.expect_err("WATCH was lost");
    assert!(matches!(Error::of(&error), Some(Error::TransactionLost)), "{error}");
    let () = own.set("k", 1).await.expect("OK");
    let keyspace: String = redis::cmd("INFO").arg("keyspace").query_async(&mut own).await.expect("facts");
    assert!(keyspace.contains("db5:keys=1"), "{keyspace}");
}

#[tokio::test]
async fn a_broken_subscription_says_so_once_and_begins_again() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let mut connection = server.connect().await;
    let mut subscription = connection.subscribe().await.expect("a session");
    subscription.subscribe("news").await.expect("a confirmation");
    server.kill();
    let error = subscription.next().await.expect_err("the connection broke");
    assert!(matches!(Error::of(&error), Some(Error::Interrupted { .. })), "{error}");
    server.restart().await;
    subscription.psubscribe("n*").await.expect("both are subscribed again");
    assert_eq!(connection.publish::<_, _, usize>("news", "hello").await, Ok(2));
    assert_eq!(subscription.next().await.expect("a message").payload, b"hello");
}

#[tokio::test]
async fn a_server_that_has_become_a_replica_is_left_by_every_session() {
    let (fake, mut connection, mut first) = opened().await;
    let (session, mut second) = tokio::join!(connection.session(), fake.accept(true));
    let mut session = session.expect("it answers");
    // It says so once, and whoever the address leads to now takes the command.
    let served = async {
        receive(&mut first, "INCR").await;
        first
            .write_all(b"-READONLY You can't write against a read only replica.\r\n")
            .await
            .expect("it reads");
        let mut stream = fake.accept(false).await;
        receive(&mut stream, "INCR").await;
        stream.write_all(b":1\r\n").await.expect("it reads");
        stream
    };
    let (count, mut third) = tokio::join!(connection.incr::<_, _, i64>("n", 1), served);
    assert_eq!(count.expect("the new one took it"), 1);
    // The other session does not go back to the old one either.
    let served = async {
        let mut stream = fake.accept(false).await;
        receive(&mut stream, "GET").await;
        stream.write_all(b"$1\r\n1\r\n").await.expect("it reads");
        stream
    };
    let (count, _fourth) = tokio::join!(session.get::<_, i64>("n"), served);
    assert_eq!(count.expect("it answers"), 1);
    assert_eq!(second.read(&mut [0; 16]).await.expect("an end"), 0, "the old connection is closed");
    // One that stays a replica is not asked for ever.
    let refusal = b"-READONLY You can't write against a read only replica.\r\n";
    let served = async {
        receive(&mut third, "INCR").await;
        third.write_all(refusal).await.expect("it reads");
        let mut stream = fake.accept(false).await;
        receive(&mut stream, "INCR").await;
        stream.write_all(refusal).await.expect("it reads");
    };
    let (error, ()) = tokio::join!(connection.incr::<_, _, i64>("n", 1), served);
    assert_eq!(error.expect_err("it only reads").code(), Some("READONLY"));
}

#[tokio::test]
async fn a_node_that_has_not_the_keys_says_which_one_to_open() {
    let (_fake, mut connection, mut stream) = opened().await;
    let served = async {
        receive(&mut stream, "GET").await;
        stream.write_all(b"-MOVED 3999 127.0.0.1:6381\r\n").await.expect("it reads");
    };
    let (error, ()) = tokio::join!(connection.get::<_, i64>("n"), served);
    let text = error.expect_err("it is elsewhere").to_string();
    assert!(text.contains("open redis://127.0.0.1:6381"), "{text}");
}

#[tokio::test]
async fn a_call_that_a_change_of_roles_unblocks_goes_on_elsewhere() {
    let (fake, mut connection, mut stream) = opened().await;
    let served = async {
        receive(&mut stream, "BLPOP").await;
        let change = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n";
        stream.write_all(change).await.expect("it reads");
        let mut stream = fake.accept(false).await;
        receive(&mut stream, "BLPOP").await;
        stream.write_all(b"*2\r\n$4\r\nlist\r\n$1\r\n1\r\n").await.expect("it reads");
        stream
    };
    let (got, mut stream) = tokio::join!(connection.blpop::<_, (String, i64)>("list", 5.0), served);
    assert_eq!(got.expect("the new one has it"), ("list".into(), 1));
    // Who unblocks a client by hand wants it to know.
    let served = async {
        receive(&mut stream, "BLPOP").await;
        let by_hand = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
        stream.write_all(by_hand).await.expect("it reads");
    };
    let (error, ()) = tokio::join!(connection.blpop::<_, (String, i64)>("list", 5.0), served);
    assert_eq!(error.expect_err("it is told").code(), Some("UNBLOCKED"));
}
