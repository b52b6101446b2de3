//! A stream that cannot be rebuilt to its end stays as it is.

use redis::FromRedisValue;
use redis::aio::ConnectionLike;
use windlass::broker::{Broker, Request, Sparse};
use windlass::{Config, Connection};
use windlass_db::Database;
use windlass_test::redis_server::RedisServer;

const QUEUE: &str = "default";

async fn ask<T: FromRedisValue>(connection: &Connection, words: &str) -> T {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().expect("a command has a name"));
    words.for_each(|word| _ = command.arg(word));
    let answer = connection.clone().req_packed_command(&command).await.expect("the command is answered");
    T::from_redis_value(answer).expect("the answer has the type asked for")
}

async fn check(connection: Connection) {
    let broker = Broker::new(connection.clone(), &Config::default()).expect("the namespace is a name");
    let stream = broker.keys().stream(QUEUE);
    let always = Sparse { nodes_min: 1, times: 0 };
    broker.push(QUEUE, &[r#"{"v":1,"kind":"k","args":1}"#; 3]).await.expect("the push is answered");
    let request = Request { consumer: "a.1.1.a.9", count: 2, may_suspect: true, woken: None };
    assert_eq!(broker.fetch(&[QUEUE], request).await.expect("the fetch is answered").len(), 2);
    let looks = [format!("XRANGE {stream} - +"), format!("XPENDING {stream} w"), "DBSIZE".to_owned()];
    let look = async || {
        let mut all = Vec::new();
        for words in &looks {
            all.push(ask::<redis::Value>(&connection, words).await);
        }
        all
    };
    let before = look().await;
    // What is missed first, in the middle, and last.
    for command in ["xadd", "xclaim", "rename"] {
        ask::<()>(&connection, &format!("ACL SETUSER default -{command}")).await;
        broker.compact(QUEUE, always).await.expect_err("a right is missing");
        assert_eq!(look().await, before, "{command}");
        ask::<()>(&connection, &format!("ACL SETUSER default +{command}")).await;
    }
    broker.compact(QUEUE, always).await.expect("it is answered").expect("it is rebuilt");
    assert_eq!(look().await, before);
}

fn run(connect: impl Future<Output = Connection>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async { check(connect.await).await });
}

#[test]
fn a_compaction_that_fails_on_redis_changes_nothing() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    run(async { Connection::open(&server.url()).await.expect("it answers") });
}

#[test]
fn a_compaction_that_fails_in_memory_changes_nothing() {
    let database = Database::memory(windlass_db::Config::default()).expect("a database opens");
    run(async { Connection::to(database) });
}
