//! For the tests of programs that use Windlass: a store in memory, a clock that the test moves, and a worker that runs
//! when it is told to.
//!
//! A [`Sandbox`] has all three. What is pushed stays where it is until [`Sandbox::drain`] runs what is due, in the
//! test's own task and one job after the other; so a test that never drains has only recorded what was pushed, and
//! [`assert_pushed`](Sandbox::assert_pushed) looks at that. Hours pass at once, and nothing is due before
//! [`Sandbox::advance`] says so. It is the same engine, the same scripts and the same worker as elsewhere.
//!
//! ```
//! use std::time::Duration;
//! # use serde::{Deserialize, Serialize};
//! # use windlass::{Context, Failure, Job, Outcome, Push, State, Worker};
//! use windlass::testing::Sandbox;
//! # #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! # struct Greet { name: String }
//! # impl Job for Greet {
//! #     const KIND: &'static str = "greet";
//! #     type Output = String;
//! #     async fn run(self, _: Context) -> Outcome<String> { Ok(format!("Hello, {}", self.name)) }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> windlass::Result<()> {
//! let sandbox = Sandbox::new(|client| Worker::new(client).register::<Greet>()).await?;
//! let tomorrow = Push::new().delay(Duration::from_secs(24 * 3600));
//! sandbox.client().push_with(Greet { name: "Ada".into() }, tomorrow).await?;
//!
//! sandbox.assert_pushed(&Greet { name: "Ada".into() }).await;
//! assert_eq!(sandbox.drain().await?.completed(), 0, "not yet");
//! sandbox.advance(Duration::from_secs(24 * 3600));
//! assert_eq!(sandbox.drain().await?.completed(), 1);
//! # Ok(()) }
//! ```

mod assert;
mod drain;
mod sandbox;

pub use assert::Waiting;
pub(crate) use drain::Drainer;
#[doc(hidden)]
pub use drain::drain;
pub use drain::{DRAIN_JOBS_MAX, Drained};
pub use sandbox::{Performed, Sandbox};
