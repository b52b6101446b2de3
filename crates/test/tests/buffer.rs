//! A client that keeps pushes while its store is away.

use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use serde_json::value::RawValue;
use windlass::{Client, Config, Connection, Error, Push, State, Unique};
use windlass_test::redis_server::RedisServer;

/// How long the store may take to be back.
const BACK_MAX: Duration = Duration::from_secs(20);

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("it is JSON")
}

async fn scene(buffer_jobs: usize) -> Option<(RedisServer, Client)> {
    let server = RedisServer::start_or_skip(&["--appendonly", "yes"])?;
    let reconnect_time = Duration::from_millis(50);
    let config = windlass_conn::Config { reconnect_time, ..windlass_conn::Config::default() };
    let connection = Connection::open_with(&server.url(), config).await.expect("it answers");
    let config = Config { buffer_jobs, ..Config::default() };
    Some((server, Client::with_config(connection, config).await.expect("the store is fit")))
}

/// Kills the store, and makes a push find that out: whether that one happened is not known.
async fn kill(server: &mut RedisServer, client: &Client) {
    server.kill();
    loop {
        let error = client.connection().clone().req_packed_command(&redis::cmd("PING")).await.unwrap_err();
        if matches!(windlass_conn::Error::of(&error), Some(windlass_conn::Error::Connect { .. })) {
            return;
        }
    }
}

#[tokio::test]
async fn pushes_wait_for_the_store_and_come_in_order() {
    let Some((mut server, client)) = scene(4).await else { return };
    let push = async |args: &str, options: Push| client.push_raw("k", &json(args), options).await;
    push("0", Push::new()).await.unwrap();
    assert_eq!(client.buffered(), windlass::Buffered::default());
    kill(&mut server, &client).await;
    for number in ["1", "2"] {
        assert!(push(number, Push::new()).await.unwrap().is_buffered());
    }
    assert!(push("3", Push::new().delay(Duration::from_secs(3600))).await.unwrap().is_buffered());
    assert!(push("4", Push::new().key("mine")).await.unwrap().is_buffered());
    let full = push("5", Push::new()).await.unwrap_err();
    assert!(matches!(full, Error::BufferFull { jobs: 4, .. }), "{full}");
    let unique = push("5", Push::new().unique(Unique::until_done())).await.unwrap_err();
    assert!(matches!(unique, Error::Store(_)), "whether an equal one is there nobody can say: {unique}");
    let asked = Instant::now();
    let held = loop {
        let held = client.flush(Duration::from_millis(20)).await;
        if held.error.is_some() || asked.elapsed() > BACK_MAX {
            break held;
        }
    };
    assert_eq!((held.jobs, held.refused), (4, 0));
    let error = held.error.expect("it was tried");
    assert!(held.bytes > 0 && held.waited.is_some() && error.contains("cannot connect"), "{error}");
    server.start_again().unwrap();
    let left = client.flush(BACK_MAX).await;
    assert_eq!((left.jobs, left.bytes, left.refused, left.error), (0, 0, 0, None));
    let jobs = client.inspector().list(State::Enqueued, Some("default"), None, 10).await.unwrap().jobs;
    let args = |envelope: &[u8]| windlass::Envelope::parse(envelope).unwrap().args.get().to_owned();
    assert_eq!(jobs.iter().map(|job| args(&job.envelope)).collect::<Vec<_>>(), ["0", "1", "2", "4"]);
    let later = client.inspector().list(State::Scheduled, None, None, 10).await.unwrap().jobs;
    assert_eq!(later.iter().map(|job| args(&job.envelope)).collect::<Vec<_>>(), ["3"]);
    let again = push("9", Push::new().key("mine")).await.unwrap();
    assert_eq!(*again.id(), jobs[3].id, "the key that it was pushed with holds");
    assert!(!push("6", Push::new()).await.unwrap().is_buffered(), "the store is back");
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Greet;

impl windlass::Job for Greet {
    const KIND: &'static str = "greet";
    type Output = ();

    async fn run(self, _: windlass::Context) -> windlass::Outcome<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_handle_learns_its_id_when_the_job_is_sent() {
    let Some((mut server, client)) = scene(10).await else { return };
    kill(&mut server, &client).await;
    let handle = client.push(Greet).await.unwrap();
    assert_eq!((handle.is_buffered(), handle.pushed()), (true, Some(windlass::Pushed::Buffered)));
    assert!(matches!(handle.state().await, Err(Error::Buffered)));
    assert!(windlass::JobId::parse(handle.id().as_str()).is_err(), "no store knows it by that");
    server.start_again().unwrap();
    assert_eq!(client.flush(BACK_MAX).await.jobs, 0);
    assert_eq!((handle.is_buffered(), handle.state().await.unwrap()), (false, Some(State::Enqueued)));
    let worker = windlass::Worker::new(&client).register::<Greet>().exit_when_empty();
    let summary = worker.run().await.unwrap();
    assert_eq!((summary.completed, summary.buffered), (1, 0));
}

#[tokio::test]
async fn a_client_without_a_buffer_fails_as_ever() {
    let Some((mut server, client)) = scene(0).await else { return };
    kill(&mut server, &client).await;
    assert!(matches!(client.push(Greet).await, Err(Error::Store(_))));
    assert_eq!(client.flush(Duration::ZERO).await.jobs, 0);
}
