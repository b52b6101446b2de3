//! What must be the same on an embedded database and on a server.

use redis::{AsyncCommands, ErrorKind, Pipeline, RedisResult, Script, ServerErrorKind, Value, cmd, pipe};
use windlass_conn::{Connection, Error};

use crate::server::Server;

/// Runs a test on an embedded database, and on a real server when there is one.
async fn on_both(test: impl AsyncFn(Connection)) {
    test(Connection::open("memory:").await.expect("memory needs nothing")).await;
    if let Some(server) = Server::start(&[]).await {
        test(server.connect().await).await;
    }
}

fn pipeline(commands: &[&str]) -> Pipeline {
    let mut pipeline = pipe();
    for command in commands {
        let mut words = command.split(' ');
        pipeline.cmd(words.next().expect("a name")).arg(words.collect::<Vec<_>>());
    }
    pipeline
}

async fn run(connection: &mut Connection, command: &str) -> RedisResult<Value> {
    let mut words = command.split(' ');
    cmd(words.next().expect("a name")).arg(words.collect::<Vec<_>>()).query_async(connection).await
}

#[tokio::test]
async fn every_reply_is_the_same_value() {
    const COMMANDS: &[&str] = &[
        "SET k v",
        "GET k",
        "GET none",
        "TYPE k",
        "INCR n",
        "EXISTS k n none",
        "LPUSH list a b c",
        "LRANGE list 0 -1",
        "LPUSH k a",
        "HSET hash a 1 b 2",
        "HGETALL hash",
        "SADD set a",
        "SMEMBERS set",
        "SISMEMBER set a",
        "ZADD sorted 1.5 a 2 b",
        "ZSCORE sorted a",
        "ZRANGE sorted 0 -1 WITHSCORES",
        "XADD stream 1-1 a b",
        "XRANGE stream - +",
        "XREAD STREAMS stream 0",
        "BLPOP list 1",
        "BLPOP none 0.01",
        "LPOP none 1",
        "CONFIG GET appendonly",
        "NOSUCH a",
        "GET",
        "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
        "EVAL return{1,'a',false} 0",
        "PING",
    ];
    let Some(server) = Server::start(&[]).await else { return };
    let mut remote = server.connect().await;
    let mut embedded = Connection::open("memory:").await.expect("memory needs nothing");
    for command in COMMANDS {
        let ours = run(&mut embedded, command).await;
        let theirs = run(&mut remote, command).await;
        match (ours, theirs) {
            (Err(ours), Err(theirs)) => {
                assert_eq!((ours.kind(), ours.to_string()), (theirs.kind(), theirs.to_string()), "{command}");
            }
            (ours, theirs) => assert_eq!(ours, theirs, "{command}"),
        }
    }
}

#[tokio::test]
async fn pipelines_give_one_reply_per_command() {
    on_both(async |mut connection| {
        let (a, b): (String, i64) = pipe()
            .set("k", "v")
            .ignore()
            .get("k")
            .incr("n", 2)
            .query_async(&mut connection)
            .await
            .expect("replies");
        assert_eq!((a.as_str(), b), ("v", 2));
        let failed =
            pipeline(&["SET k v", "LPUSH k a", "GET k"]).query_async::<Vec<Value>>(&mut connection).await;
        let errors = failed.expect_err("LPUSH on a string").into_server_errors().expect("the store's errors");
        assert_eq!((errors.len(), errors[0].0, errors[0].1.code()), (1, 1, "WRONGTYPE"));
        let results: Vec<RedisResult<Value>> = pipeline(&["LPUSH k a", "GET k"])
            .ignore_errors()
            .query_async(&mut connection)
            .await
            .expect("the errors are among the replies");
        assert_eq!((results[0].is_err(), results[1].is_ok()), (true, true));
    })
    .await;
}

#[tokio::test]
async fn transactions_give_one_reply_per_command() {
    on_both(async |mut connection| {
        let (a, b): (String, i64) = pipe()
            .atomic()
            .set("k", "v")
            .ignore()
            .get("k")
            .incr("n", 2)
            .query_async(&mut connection)
            .await
            .expect("replies");
        assert_eq!((a.as_str(), b), ("v", 2));
    })
    .await;
}

#[tokio::test]
async fn an_aborted_transaction_is_an_error_and_nothing_ran() {
    on_both(async |mut connection| {
        let failed = pipeline(&["SET k v", "NOSUCH"]).atomic().query_async::<Value>(&mut connection).await;
        assert_eq!(failed.expect_err("unknown").kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));
        assert_eq!(connection.exists::<_, bool>("k").await, Ok(false));
    })
    .await;
}

#[tokio::test]
async fn a_script_is_loaded_when_it_is_missing() {
    on_both(async |mut connection| {
        let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
        for expected in [3, 6] {
            let sum: i64 = script.key("n").arg(3).invoke_async(&mut connection).await.expect("a sum");
            assert_eq!(sum, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn scanning_goes_through_every_key() {
    on_both(async |mut connection| {
        for number in 0..500 {
            let () = connection.set(format!("k{number}"), number).await.expect("OK");
        }
        let mut keys = std::collections::BTreeSet::new();
        let mut cursor = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.cursor_arg(cursor).arg("COUNT").arg(50);
            let (next, batch): (u64, Vec<String>) = scan.query_async(&mut connection).await.expect("a batch");
            keys.extend(batch);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(keys.len(), 500);
    })
    .await;
}

#[tokio::test]
async fn a_shared_session_refuses_what_would_change_it() {
    on_both(async |mut connection| {
        for command in ["WATCH k", "MULTI", "EXEC", "SELECT 1", "SUBSCRIBE c", "HELLO 3", "AUTH x"] {
            let error = run(&mut connection, command).await.expect_err("refused");
            assert!(matches!(Error::of(&error), Some(Error::Refused { .. })), "{command}: {error}");
        }
        let error = run(&mut connection, "select 1").await.expect_err("refused");
        assert_eq!(
            error.to_string(),
            "SELECT is refused here: clones of a connection share one session; use an atomic pipeline, or a \
             connection of your own from `session()`"
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_of_ones_own_takes_transactions_and_databases() {
    on_both(async |mut connection| {
        let mut own = connection.session().await.expect("a session");
        let () = own.set("k", 1).await.expect("OK");
        run(&mut own, "WATCH k").await.expect("OK");
        let () = connection.set("k", 2).await.expect("OK");
        let outcome: Option<Vec<i64>> =
            pipe().atomic().incr("k", 1).query_async(&mut own).await.expect("a reply");
        assert_eq!(outcome, None, "the key changed after WATCH");
        run(&mut own, "SELECT 3").await.expect("OK");
        assert_eq!(own.exists::<_, bool>("k").await, Ok(false));
        assert_eq!(redis::aio::ConnectionLike::get_db(&own), 3);
        assert_eq!(connection.get::<_, i64>("k").await, Ok(2));
    })
    .await;
}

#[tokio::test]
async fn messages_come_by_channel_and_by_pattern() {
    on_both(async |mut connection| {
        let mut subscription = connection.subscribe().await.expect("a session");
        subscription.subscribe("news").await.expect("a confirmation");
        subscription.psubscribe("n*").await.expect("a confirmation");
        let listeners: usize = connection.publish("news", "hello").await.expect("a count");
        assert_eq!(listeners, 2);
        let first = subscription.next().await.expect("a message");
        let second = subscription.next().await.expect("a message");
        assert_eq!((&*first.channel, first.pattern, &*first.payload), (&b"news"[..], None, &b"hello"[..]));
        assert_eq!((&*second.channel, second.pattern.as_deref()), (&b"news"[..], Some(&b"n*"[..])));
        subscription.unsubscribe("news").await.expect("a confirmation");
        subscription.punsubscribe("n*").await.expect("a confirmation");
        assert_eq!(connection.publish::<_, _, usize>("news", "nobody").await, Ok(0));
    })
    .await;
}

#[tokio::test]
async fn a_blocking_call_is_served_by_a_push() {
    on_both(async |mut connection| {
        let mut worker = connection.session().await.expect("a session");
        let waiting = tokio::spawn(async move { worker.blpop::<_, (String, String)>("list", 0.0).await });
        wait_for_blocked(&mut connection, 1).await;
        let () = connection.rpush("list", "a").await.expect("a length");
        assert_eq!(waiting.await.expect("no panic"), Ok(("list".into(), "a".into())));
    })
    .await;
}

#[tokio::test]
async fn a_reply_taken_for_a_dropped_call_goes_to_the_next_one_like_it() {
    on_both(async |mut connection| {
        let worker = connection.session().await.expect("a session");
        let mut same = worker.clone();
        let waiting = tokio::spawn({
            let mut worker = worker.clone();
            async move { worker.blpop::<_, (String, String)>("list", 30.0).await }
        });
        wait_for_blocked(&mut connection, 1).await;
        // The push serves the wait; the future that awaited it is dropped before it is polled again, or after: either
        // way the element is there for the next call.
        let mut push = pipe();
        push.rpush("list", "a");
        waiting.abort();
        let () = push.exec_async(&mut connection).await.expect("a length");
        let _ = waiting.await;
        assert_eq!(same.blpop::<_, (String, String)>("list", 30.0).await, Ok(("list".into(), "a".into())));
    })
    .await;
}

/// Waits until so many clients are blocked, as the store itself says.
async fn wait_for_blocked(connection: &mut Connection, count: usize) {
    let line = format!("blocked_clients:{count}\r\n");
    loop {
        let info: String = cmd("INFO").arg("clients").query_async(connection).await.expect("facts");
        if info.contains(&line) {
            return;
        }
        tokio::task::yield_now().await;
    }
}
