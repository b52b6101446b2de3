//! `#[job]`: what a function becomes.

use std::time::Duration;

use windlass::testing::{Performed, Sandbox};
use windlass::{BlockingJob, Context, Failure, Job, Outcome, State, Worker, job};

/// Greets somebody.
#[job(queue = "mail", max_attempts = 3, version = 2, timeout_ms = 30_000, soft_timeout_ms = 20_000)]
async fn send_greeting(name: String, context: Context, times: u32) -> Outcome<String> {
    if times == 0 {
        return Err(Failure::discard("nobody to greet"));
    }
    Ok(format!("Hello, {name}, attempt {}", context.attempt()))
}

/// Adds numbers.
#[job(kind = "sum", result_ttl_ms = 1000)]
pub fn add_up(context: Vec<u64>, seen_by: &Context) -> Outcome<u64> {
    assert_eq!(seen_by.kind(), "sum");
    Ok(context.iter().sum())
}

#[job]
async fn nothing() -> Outcome<()> {
    Ok(())
}

fn worker(client: &windlass::Client) -> Worker {
    let worker = Worker::new(client).queue("default").queue("mail");
    worker.register::<SendGreeting>().register_blocking::<AddUp>().register::<Nothing>()
}

#[tokio::test]
async fn a_function_is_pushed_and_run() {
    let sandbox = Sandbox::new(worker).await.unwrap();
    let greeting = SendGreeting { name: "Ada".into(), times: 1 };
    assert_eq!(
        sandbox.perform(greeting).await.unwrap(),
        Performed::Completed("Hello, Ada, attempt 1".into())
    );
    let message = "nobody to greet".into();
    let nobody = sandbox.perform(SendGreeting { name: "nobody".into(), times: 0 }).await.unwrap();
    assert_eq!(nobody, Performed::Failed { state: State::Discarded, message });
    assert_eq!(sandbox.perform(AddUp { context: vec![1, 2, 3] }).await.unwrap(), Performed::Completed(6));
    assert_eq!(sandbox.perform(Nothing {}).await.unwrap(), Performed::Completed(()));
}

#[tokio::test]
async fn the_options_are_those_of_the_kind() {
    assert_eq!((SendGreeting::KIND, SendGreeting::QUEUE), ("send-greeting", "mail"));
    assert_eq!((<SendGreeting as Job>::VERSION, <SendGreeting as Job>::MAX_ATTEMPTS), (2, 3));
    let limits = (<SendGreeting as Job>::timeout(), <SendGreeting as Job>::soft_timeout());
    assert_eq!(limits, (Some(Duration::from_secs(30)), Some(Duration::from_secs(20))));
    assert_eq!(<SendGreeting as Job>::result_ttl(), None);
    assert_eq!(<AddUp as BlockingJob>::KIND, "sum");
    assert_eq!(<AddUp as BlockingJob>::result_ttl(), Some(Duration::from_secs(1)));
    assert_eq!(serde_json::to_string(&AddUp { context: vec![1] }).unwrap(), r#"{"context":[1]}"#);
    let sandbox = Sandbox::new(worker).await.unwrap();
    sandbox.client().push(SendGreeting { name: "Ada".into(), times: 1 }).await.unwrap();
    sandbox.assert_pushed_to("mail", &SendGreeting { name: "Ada".into(), times: 1 }).await;
}

#[test]
fn the_function_stays_a_function() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(nothing()).is_ok());
}
