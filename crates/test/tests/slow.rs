//! Subscribers that do not keep up: who does not read is cut at the limit, and nobody else notices. Publishing and
//! reading go in step, so that who is slow, and by how much, is in the test's hands.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_conn::{Connection, Error};
use windlass_db::{Called, Config, Database, Session, serve};
use windlass_resp::Value;
use windlass_test::fixture::Reader;
use windlass_test::our_server::OurServer;

/// What one subscriber may leave unread.
const LIMIT: usize = 1 << 20;

/// The length of every payload.
const PAYLOAD: usize = 32 << 10;

/// More than the system keeps in the buffers of one TCP connection, on its two sides together.
const SYSTEM_MAX: usize = 24 << 20;

fn config() -> Config {
    let mut config = Config::default();
    config.engine.clients.messages.hard = LIMIT;
    config
}

/// A plain client over TCP.
struct Client {
    stream: TcpStream,
    replies: Reader<BufReader<TcpStream>>,
}

impl Client {
    fn connect(server: &OurServer) -> Self {
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        let replies = Reader::new(BufReader::new(stream.try_clone().expect("a handle")));
        Self { stream, replies }
    }

    fn ask(&mut self, request: &[u8]) -> Value {
        self.stream.write_all(request).expect("the server reads");
        self.next().expect("the server answers")
    }

    fn next(&mut self) -> Option<Value> {
        self.replies.read().expect("a whole reply")
    }
}

/// A payload that says its number.
fn payload(number: usize) -> String {
    format!("{number:0PAYLOAD$}")
}

/// Publishes on the channel `c`; answers to how many.
fn publish(session: &Session, number: usize) -> Value {
    match session.call(&[b"PUBLISH", b"c", payload(number).as_bytes()]) {
        Called::Reply(reply, _) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_and_the_others_go_on() {
    let server = OurServer::start_with(config());
    let (mut slow, mut healthy) = (Client::connect(&server), Client::connect(&server));
    let mut publisher = Client::connect(&server);
    for subscriber in [&mut slow, &mut healthy] {
        assert!(matches!(subscriber.ask(b"SUBSCRIBE c\r\n"), Value::Array(_)));
    }
    let mut published = 0;
    loop {
        let request = format!("PUBLISH c {}\r\n", payload(published));
        let receivers = publisher.ask(request.as_bytes());
        let message = ["message", "c", &payload(published)].map(Value::from);
        assert_eq!(healthy.next(), Some(Value::Array(message.to_vec())), "nothing is lost or late");
        published += 1;
        if receivers == Value::Integer(1) {
            break;
        }
        assert_eq!(receivers, Value::Integer(2));
        assert!(published * PAYLOAD < SYSTEM_MAX + LIMIT, "the unread messages pile up");
    }
    assert!(published * PAYLOAD > LIMIT, "it was cut before the limit");
    // What the system had taken can still be read; then the connection ends, within a message as it may.
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut slow.stream, &mut rest);
    assert!(rest.len() < published * (PAYLOAD + 100), "there is an end");
    assert_eq!(publisher.ask(b"PING\r\n"), Value::Simple("PONG".into()));
}

#[tokio::test]
async fn what_is_kept_for_a_client_is_bounded_by_the_setting() {
    const PIPE: usize = 4 * PAYLOAD;
    let database = Database::memory(config()).expect("a database");
    let publisher = database.session("publisher");
    let (mut client, stream) = tokio::io::duplex(PIPE);
    client.write_all(b"SUBSCRIBE c\r\n").await.expect("it is served");
    let served = tokio::spawn(serve(stream, database.session("slow"), std::future::pending()));
    let mut published = 0;
    while !served.is_finished() {
        published += usize::from(publish(&publisher, published) == Value::Integer(1));
        // One thread runs both sides: the other does all that it can.
        tokio::task::yield_now().await;
        assert!(published * PAYLOAD < LIMIT + PIPE + 4 * PAYLOAD, "more is kept than was set");
    }
    let error = served.await.expect("no panic").expect_err("it is cut");
    assert_eq!(error.to_string(), "the client does not read what it is sent");
    assert!(published * PAYLOAD > LIMIT, "it was cut before the limit");
    assert_eq!(publish(&publisher, 0), Value::Integer(0));
}

#[tokio::test]
async fn who_is_sent_more_at_once_than_the_limit_is_cut_as_well() {
    let database = Database::memory(config()).expect("a database");
    let publisher = database.session("publisher");
    let (mut client, stream) = tokio::io::duplex(PAYLOAD);
    let served = tokio::spawn(serve(stream, database.session("slow"), std::future::pending()));
    client.write_all(b"SUBSCRIBE c\r\n").await.expect("it is served");
    // Some messages are on their way and nobody reads them...
    while publish(&publisher, 0) == Value::Integer(0) {
        tokio::task::yield_now().await;
    }
    publish(&publisher, 1);
    tokio::task::yield_now().await;
    // ...when more come than fit, before its task runs again.
    for number in 0..2 * LIMIT / PAYLOAD {
        assert_eq!(publish(&publisher, number), Value::Integer(1));
    }
    let error = served.await.expect("no panic").expect_err("it is cut");
    assert_eq!(error.to_string(), "the client does not read what it is sent");
    assert_eq!(publish(&publisher, 0), Value::Integer(0));
}

#[tokio::test]
async fn a_subscriber_that_lags_but_reads_is_not_cut() {
    const LAG: usize = 8;
    let database = Database::memory(config()).expect("a database");
    let publisher = database.session("publisher");
    let (mut client, stream) = tokio::io::duplex(PAYLOAD);
    let served = tokio::spawn(serve(stream, database.session("lagging"), std::future::pending()));
    client.write_all(b"SUBSCRIBE c\r\n").await.expect("it is served");
    let mut confirmed = [0; "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n".len()];
    client.read_exact(&mut confirmed).await.expect("it is confirmed");
    // Far more than the limit goes by, and there is always something that was not read.
    for number in 0..10 * LIMIT / PAYLOAD {
        assert_eq!(publish(&publisher, number), Value::Integer(1), "cut before message {number}");
        tokio::task::yield_now().await;
        if let Some(number) = number.checked_sub(LAG) {
            let expected = format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${PAYLOAD}\r\n{}\r\n", payload(number));
            let mut got = vec![0; expected.len()];
            client.read_exact(&mut got).await.expect("it is served");
            assert!(got == expected.as_bytes(), "message {number} is another");
        }
    }
    assert!(!served.is_finished());
}

#[tokio::test]
async fn an_embedded_subscription_that_is_not_read_is_cut_and_can_begin_again() {
    let database = Database::memory(config()).expect("a database");
    let publisher = database.session("publisher");
    let mut subscription = Connection::to(database).subscribe().await.expect("it subscribes");
    subscription.subscribe("c").await.expect("it subscribes");
    let below = LIMIT / PAYLOAD - 2;
    for number in 0..below {
        assert_eq!(publish(&publisher, number), Value::Integer(1));
    }
    for number in 0..below {
        let message = subscription.next().await.expect("below the limit nothing is cut");
        assert!(message.payload == payload(number).as_bytes(), "message {number} is another");
    }
    // The publisher does not notice, however much it is.
    for number in 0..10 * below {
        assert_eq!(publish(&publisher, number), Value::Integer(1));
    }
    let error = subscription.next().await.expect_err("messages are missing");
    assert!(matches!(Error::of(&error), Some(Error::Interrupted { .. })), "{error}");
    assert!(error.to_string().contains("too many messages were left unread"), "{error}");
    let next = async { subscription.next().await.expect("it subscribes again") };
    let publish = async {
        while publish(&publisher, 7) != Value::Integer(1) {
            tokio::task::yield_now().await;
        }
    };
    let (message, ()) = tokio::join!(next, publish);
    assert!(message.payload == payload(7).as_bytes());
}
