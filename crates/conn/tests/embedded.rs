//! What only an embedded database has.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redis::{AsyncCommands, cmd};
use windlass_conn::{Connection, TestClock};

#[tokio::test]
async fn memory_is_private_and_named_memory_is_shared() {
    let mut one = Connection::open("memory:").await.expect("memory");
    let mut two = Connection::open("memory:").await.expect("memory");
    let () = one.set("k", 1).await.expect("OK");
    assert_eq!(two.exists::<_, bool>("k").await, Ok(false));
    let mut one = Connection::open("memory:shared").await.expect("memory");
    let mut two = Connection::open("memory:shared").await.expect("memory");
    let () = one.set("k", 1).await.expect("OK");
    assert_eq!(two.exists::<_, bool>("k").await, Ok(true));
    drop((one, two));
    let mut three = Connection::open("memory:shared").await.expect("memory");
    assert_eq!(three.exists::<_, bool>("k").await, Ok(false), "it ended with its last connection");
}

#[tokio::test]
async fn a_directory_opened_twice_is_one_database_and_outlives_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs");
    let path = path.to_str().expect("a plain path");
    let mut one = Connection::open(path).await.expect("a new directory");
    let mut two = Connection::open(&format!("file:{path}/../jobs")).await.expect("the same directory");
    let () = one.set("k", 1).await.expect("OK");
    assert_eq!(two.get::<_, i64>("k").await, Ok(1));
    drop((one, two));
    let mut three = Connection::open(path).await.expect("the directory again");
    assert_eq!(three.get::<_, i64>("k").await, Ok(1));
}

#[tokio::test]
async fn a_wait_ends_when_the_test_moves_its_clock() {
    let clock = TestClock::default();
    let mut connection = Connection::memory_with(clock.clone()).expect("memory");
    let mut command = cmd("BLPOP");
    command.arg("list").arg(60);
    let mut waiting = pin!(command.query_async::<Option<(String, String)>>(&mut connection));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    clock.advance(Duration::from_secs(59));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    clock.advance(Duration::from_secs(1));
    assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(None)));
}

#[tokio::test]
async fn a_session_that_was_killed_ends_its_wait_and_can_wait_again() {
    let mut connection = Connection::open("memory:").await.expect("memory");
    let mut worker = connection.session().await.expect("a session");
    let mut command = cmd("BLPOP");
    command.arg("list").arg(0);
    {
        let mut waiting = pin!(command.query_async::<(String, String)>(&mut worker));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let killed: i64 =
            cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query_async(&mut connection).await.expect("one");
        assert_eq!(killed, 1);
        let error = waiting.await.expect_err("nothing came");
        assert!(error.to_string().contains("the session was ended"), "{error}");
    }
    let mut waiting = pin!(command.query_async::<(String, String)>(&mut worker));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let () = connection.rpush("list", "v").await.expect("OK");
    assert_eq!(waiting.await, Ok(("list".to_owned(), "v".to_owned())));
}

#[tokio::test]
async fn a_dropped_blocking_call_gives_its_wait_up() {
    let mut connection = Connection::open("memory:").await.expect("memory");
    let mut worker = connection.session().await.expect("a session");
    let mut command = cmd("BLPOP");
    command.arg("list").arg(0);
    {
        let mut waiting = pin!(command.query_async::<(String, String)>(&mut worker));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let () = connection.rpush("list", "a").await.expect("a length");
    assert_eq!(connection.llen::<_, usize>("list").await, Ok(1), "nobody waits any more");
    assert_eq!(worker.get::<_, Option<i64>>("k").await, Ok(None), "the session goes on");
}

#[tokio::test]
async fn a_reply_that_was_not_read_waits_for_the_same_call() {
    let mut connection = Connection::open("memory:").await.expect("memory");
    let mut worker = connection.session().await.expect("a session");
    let mut command = cmd("BLPOP");
    command.arg("list").arg(0);
    for element in ["a", "b"] {
        let mut waiting = pin!(command.query_async::<(String, String)>(&mut worker));
        assert!(
            waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() || element == "b"
        );
        let () = connection.rpush("list", element).await.expect("a length");
        // Dropped here: served, but not polled again.
    }
    assert_eq!(
        connection.llen::<_, usize>("list").await,
        Ok(1),
        "the first was taken, the second call got the first"
    );
    let mut other = cmd("BLPOP");
    other.arg("list").arg(1);
    assert_eq!(other.query_async::<(String, String)>(&mut worker).await, Ok(("list".into(), "b".into())));
}

#[tokio::test]
async fn clones_on_many_threads_share_a_session() {
    const CALLS: usize = 200;
    let connection = Connection::open("memory:").await.expect("memory");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = connection.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(async {
                    for _ in 0..CALLS {
                        let (length, sum): (usize, i64) = redis::pipe()
                            .atomic()
                            .rpush("list", "x")
                            .incr("n", 1)
                            .query_async(&mut connection)
                            .await
                            .expect("replies");
                        assert_eq!(length as i64, sum, "nothing came in between");
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let mut connection = connection;
    assert_eq!(connection.get::<_, usize>("n").await, Ok(4 * CALLS));
}
