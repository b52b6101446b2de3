//! What the cases of chains, batches and groups share: jobs that do as they are told, and moves made by hand.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value, value::RawValue};
use tokio::sync::mpsc;
use windlass::broker::{Fail, Held, Settle, Taken};
use windlass::{
    Batch, BatchStatus, Context, Envelope, Failure, Flow, Job, JobError, JobId, Outcome, Retry, State, Step,
    Worker,
};

use super::world::{World, json};

pub(super) const A: &str = "a.1.1.a.2";
pub(super) const B: &str = "b.1.1.b.2";

/// How long something takes, or lasts, when a case does not care.
pub(super) const AGE: Duration = Duration::from_secs(600);

/// A job that is told what to do: it answers `answer`, or dies of `kill` at its first attempt.
#[derive(Serialize, Deserialize)]
pub(super) struct Act(pub(super) Value);

impl Job for Act {
    const KIND: &'static str = "k";
    type Output = Value;

    async fn run(self, _: Context) -> Outcome<Value> {
        act(&self.0, 1)
    }
}

pub(super) fn act(args: &Value, attempt: u32) -> Outcome<Value> {
    match &args["kill"] {
        Value::String(why) if attempt == 1 => Err(Failure::kill(why)),
        _ => Ok(args["answer"].clone()),
    }
}

/// An act of that name.
pub(super) fn job(name: &str) -> Act {
    Act(value!({"name": name, "answer": name}))
}

/// An act that dies at its first attempt.
pub(super) fn mortal(name: &str) -> Act {
    Act(value!({"name": name, "answer": name, "kill": "no"}))
}

/// What a run of an act knew.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) prev: Option<Value>,
    pub(super) id: JobId,
}

/// A worker of acts, and what they saw.
pub(super) fn actors(world: &World) -> (Worker, mpsc::UnboundedReceiver<Seen>) {
    actors_with(world, |_, _| std::future::ready(()))
}

/// The same with something done in every run.
pub(super) fn actors_with<F, R>(world: &World, also: F) -> (Worker, mpsc::UnboundedReceiver<Seen>)
where
    F: Fn(Value, Context) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let run = move |args: Box<RawValue>, context: Context| {
        let sender = sender.clone();
        let args: Value = serde_json::from_str(args.get()).expect("the arguments of an act");
        let also = also(args.clone(), context.clone());
        async move {
            let name = args["name"].as_str().unwrap_or_default().to_owned();
            let seen = Seen { name, prev: context.previous()?, id: context.id().clone() };
            sender.send(seen).ok();
            also.await;
            act(&args, context.attempt()).map(|answer| json(&answer.to_string()))
        }
    };
    (world.worker().register_raw("k", Retry::Never, run), receiver)
}

/// Runs everything there is with a fresh worker, and answers what its acts saw.
pub(super) async fn play(world: &World) -> Vec<Seen> {
    let (worker, mut seen) = actors(world);
    worker.exit_when_empty().run().await.unwrap();
    let mut all = Vec::new();
    while let Some(one) = seen.recv().await {
        all.push(one);
    }
    all
}

pub(super) fn names(seen: &[Seen]) -> Vec<&str> {
    let mut names: Vec<_> = seen.iter().map(|seen| seen.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// What a worker would tell of a taken job's success.
pub(super) fn success(taken: &Taken, output: &str) -> Settle {
    let flow = flow_of(taken);
    let next = flow.next.first().map(|next| {
        let mut envelope: Value = serde_json::from_str(&next.job).unwrap();
        envelope["prev"] = serde_json::from_str(output).unwrap();
        envelope["flow"] = serde_json::to_value(&flow).unwrap();
        envelope["flow"]["next"].as_array_mut().unwrap().remove(0);
        step(&next.queue, &envelope)
    });
    Settle {
        held: Held::of(taken),
        id: taken.job_id("default"),
        is_moved: taken.id.is_some(),
        result: None,
        batch: flow.batch.clone(),
        item: flow.n.map(|n| (n, format!(r#"{{"v":{output}}}"#).into_bytes())),
        next,
    }
}

pub(super) fn step(queue: &str, envelope: &Value) -> Step {
    serde_json::from_value(value!({"queue": queue, "job": envelope.to_string()})).unwrap()
}

pub(super) fn flow_of(taken: &Taken) -> Flow {
    *Envelope::parse(&taken.envelope).unwrap().flow.expect("it has a flow")
}

pub(super) fn name_of(taken: &Taken) -> String {
    let args: Value = serde_json::from_str(Envelope::parse(&taken.envelope).unwrap().args.get()).unwrap();
    args["name"].as_str().unwrap().to_owned()
}

pub(super) async fn settle(world: &World, consumer: &str, taken: &Taken) -> bool {
    world.broker.settle("default", consumer, &success(taken, "7")).await.unwrap()
}

/// Ends a taken job as dead.
pub(super) async fn kill(world: &World, consumer: &str, taken: &Taken) -> bool {
    let id = taken.job_id("default");
    let history = br#"{"state":"dead"}"#.to_vec();
    let (held, delay) = (Held::of(taken), Duration::ZERO);
    let fail = Fail { held, id, state: State::Dead, history, delay, result: None };
    let (flow, error) = (flow_of(taken), JobError::default());
    world.broker.fail_flow("default", consumer, &fail, &world.config.retention, &flow, &error).await.unwrap()
}

pub(super) async fn status(batch: &Batch) -> BatchStatus {
    batch.status().await.unwrap().expect("the batch is there")
}

/// total, pending, succeeded, dead, cancelled.
pub(super) async fn counts(batch: &Batch) -> [u64; 5] {
    let status = status(batch).await;
    let parts = [status.pending, status.succeeded, status.dead, status.cancelled];
    assert_eq!(status.total, parts.iter().sum::<u64>(), "every job is counted in one place");
    let [pending, succeeded, dead, cancelled] = parts;
    [status.total, pending, succeeded, dead, cancelled]
}
