//! How many connections a worker needs: as many for a thousand jobs as for one.

use std::sync::Arc;

use tokio::sync::Barrier;
use windlass::{Capsule, Client, Push, Retry, Worker};
use windlass_test::redis_server::RedisServer;

const JOBS: usize = 1000;

/// The most connections that such a worker may have, with the client that pushes and the one that counts.
const CONNECTIONS_MAX: usize = 20;

#[tokio::test]
async fn a_thousand_jobs_run_at_once_over_few_connections() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let client = Client::open(&server.url()).await.expect("the server answers");
    let all_run = Arc::new(Barrier::new(JOBS + 1));
    let met = all_run.clone();
    let worker = Worker::new(&client).register_raw("k", Retry::Never, move |args, context| {
        let met = met.clone();
        async move {
            met.wait().await;
            assert!(context.progress(50, "half").await?, "it may talk to the store meanwhile");
            met.wait().await;
            Ok(args)
        }
    });
    // Every pool waits on a connection of its own.
    let half = |name: &str| Capsule::new(name).concurrency(JOBS / 2);
    let worker = worker.capsule(half("one")).capsule(half("two"));
    let args = serde_json::value::RawValue::from_string("1".into()).expect("it is JSON");
    for queue in ["one", "two"] {
        let jobs = (0..JOBS / 2).map(|_| &*args);
        client.push_many_raw("k", jobs, Push::new().queue(queue)).await.expect("they are pushed");
    }
    let control = worker.control();
    let worker = tokio::spawn(worker.run());
    all_run.wait().await;
    let counting = redis::Client::open(server.url()).expect("the URL is right");
    let mut counting = counting.get_multiplexed_async_connection().await.expect("the server answers");
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut counting).await.expect("a list");
    assert!(list.lines().count() <= CONNECTIONS_MAX, "{list}");
    all_run.wait().await;
    control.stop();
    let summary = worker.await.expect("its task ends").expect("it runs");
    assert_eq!(summary.completed, JOBS as u64);
}
