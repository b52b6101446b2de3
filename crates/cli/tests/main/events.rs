//! What the command does by hand is among the stored events of a namespace whose workers record them.

use windlass::{Client, Worker};

use super::succeed;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_does_is_among_the_stored_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| succeed(folder.path(), args);
    let before = run(&["job", "push", "k", "--in", "1h"]);
    let store = folder.path().join("windlass-data");
    let client = Client::open(store.to_str().expect("it is text")).await.expect("it is a store");
    let worker = Worker::new(&client).record_events(100).exit_when_empty();
    worker.run().await.expect("it runs");
    let id = run(&["job", "push", "k", "--in", "1h"]);
    run(&["job", "cancel", &id]);
    run(&["job", "kill", &before]);
    run(&["job", "retry", "--all"]);
    run(&["queue", "pause", "mail"]);
    run(&["queue", "ls"]);
    let stored = client.inspector().events(None, 100).await.expect("there are some");
    let by_hand = stored.into_iter().filter(|stored| stored.worker == "windlass");
    let by_hand: Vec<_> = by_hand
        .map(|stored| match (stored.event, stored.of_worker) {
            (Some(event), _) => format!("{} {}", event.id, event.step),
            (_, event) => event.expect("it is one of both").to_string(),
        })
        .collect();
    let expected = [
        format!("{id} scheduled"),
        format!("{id} cancelled"),
        format!("{before} dead"),
        format!("{before} enqueued"),
        "mail is paused".to_owned(),
    ];
    assert_eq!(by_hand, expected);
}
