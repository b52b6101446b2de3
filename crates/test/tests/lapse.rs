//! A worker whose store is away for longer than a lease: another may have its jobs by then.

use std::time::Duration;

use tokio::sync::mpsc;
use windlass::{Client, Config, Context, Push, Retry, Worker};
use windlass_test::redis_server::RedisServer;

/// What is awaited comes within a lease and a renewal; this is far longer.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn jobs_are_cut_short_when_nothing_was_renewed_for_a_lease() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let connection = windlass::Connection::open(&server.url()).await.expect("it answers");
        let config = Config { lease: Duration::from_millis(300), ..Config::default() };
        let client = Client::with_config(connection, config).await.expect("the store is fit");
        let args = serde_json::value::to_raw_value(&()).expect("JSON");
        client.push_raw("long", &args, Push::new()).await.expect("the push is answered");
        let (tell, mut told) = mpsc::unbounded_channel();
        let run = move |args, context: Context| {
            let tell = tell.clone();
            async move {
                tell.send("begun").ok();
                context.cancelled().await;
                tell.send("cut short").ok();
                Ok(args)
            }
        };
        let worker = Worker::new(&client).concurrency(1).register_raw("long", Retry::Never, run);
        let control = worker.control();
        let working = tokio::spawn(worker.run());
        let mut next =
            async || tokio::time::timeout(PATIENCE, told.recv()).await.expect("it comes").expect("a word");
        assert_eq!(next().await, "begun");
        drop(server);
        assert_eq!(next().await, "cut short");
        control.force();
        working.abort();
    });
}
