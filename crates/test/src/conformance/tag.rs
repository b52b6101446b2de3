//! Tags, values and trace context beside the arguments.

use std::time::Duration;

use serde_json::json as value;
use windlass::{Chain, Error, Push, Retry, State};

use super::working::Sum;
use super::world::{Store, json};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(super) async fn a_job_reads_its_tags_and_whoever_looks_sees_them(store: &Store) {
    let world = store.world().await;
    let options = Push::new().tag("import").tag("acme").tag("import").meta("file", "a.csv").trace(TRACE);
    let id = world.push("k", "1", options.clone().max_attempts(1)).await;
    let shown = world.client.inspector().show(&id).await.unwrap().unwrap();
    assert_eq!(
        (shown.tags, value!(shown.meta)),
        (vec!["import".into(), "acme".into()], value!({"file": "a.csv"}))
    );
    world.push("k", "2", Push::new().result_ttl(Duration::from_secs(60)).max_attempts(1)).await;
    let worker = world.worker().register_raw("k", Retry::Never, |args, context| async move {
        match args.get() {
            "1" => {
                assert_eq!(
                    (context.tags(), context.trace()),
                    (&["import".to_owned(), "acme".into()][..], Some(TRACE))
                );
                assert_eq!(context.meta()["file"], "a.csv");
            }
            _ => assert_eq!((context.tags().len(), context.meta().len(), context.trace()), (0, 0, None)),
        }
        match args.get() {
            "1" => Err(windlass::Failure::kill("it is kept with all of it")),
            _ => Ok(json("1")),
        }
    });
    let summary = worker.exit_when_empty().run().await.unwrap();
    assert_eq!((summary.completed, summary.failed), (1, 1));
    let dead = world.client.inspector().list(State::Dead, None, None, 10).await.unwrap().jobs;
    assert_eq!(
        (dead[0].tags.as_slice(), dead[0].history.reason.as_deref()),
        (&["import".to_owned(), "acme".into()][..], Some("it is kept with all of it"))
    );
}

pub(super) async fn what_is_too_much_beside_the_arguments_is_refused_by_name(store: &Store) {
    let world = store.world().await;
    let pushed = async |options: Push| world.client.push_raw("k", &json("1"), options).await.map(drop);
    let option = |refused: windlass::Result<()>| match refused.unwrap_err() {
        Error::Push { option, .. } => option,
        other => panic!("{other}"),
    };
    assert_eq!(option(pushed(Push::new().tag("")).await), "tag");
    assert_eq!(option(pushed(Push::new().meta("big", "x".repeat(windlass::META_LEN_MAX))).await), "meta");
    let refused = pushed(Push::new().trace("4bf92f")).await;
    let sentence = refused.as_ref().unwrap_err().to_string();
    assert!(
        sentence.starts_with("the trace of the push is \"4bf92f\", not a traceparent such as 00-"),
        "{sentence}"
    );
    let chain = Chain::new().then(Sum(vec![1])).then_with(Sum(vec![]), Push::new().tag("a\nb"));
    assert_eq!(option(world.client.push_chain(chain).await.map(drop)), "tag");
    let many =
        world.client.push_many_with([Sum(vec![1])], Push::new().tag("x".repeat(windlass::TAG_LEN_MAX + 1)));
    assert!(matches!(many.await, Err(Error::Push { option: "tag", .. })));
    assert!(world.is_empty().await);
}
