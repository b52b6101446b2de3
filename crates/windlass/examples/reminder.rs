//! A reminder with tests that move the clock: `cargo test --example reminder`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::{Client, Context, Failure, Job, Outcome, Push, Retry, Worker};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reminds somebody of an invoice, a week after it was sent.
#[derive(Debug, Serialize, Deserialize)]
struct Remind {
    invoice: u32,
}

/// Who sends the mails; a test has its own.
trait Post: Send + Sync {
    fn send(&self, text: String) -> Result<(), &'static str>;
}

impl Job for Remind {
    const KIND: &'static str = "remind";
    const MAX_ATTEMPTS: u32 = 3;
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        let post = context.state::<Box<dyn Post>>()?;
        post.send(format!("please pay invoice {}", self.invoice)).map_err(Failure::retry)
    }

    fn retry() -> Retry {
        Retry::Fixed(Duration::from_secs(3600))
    }
}

/// The code under test: what the shop does when it has sent an invoice.
async fn invoice_sent(client: &Client, invoice: u32) -> windlass::Result<()> {
    client.push_with(Remind { invoice }, Push::new().delay(7 * DAY)).await?;
    Ok(())
}

struct Printer;

impl Post for Printer {
    fn send(&self, text: String) -> Result<(), &'static str> {
        println!("{text}");
        Ok(())
    }
}

fn worker(client: &Client, post: impl Post + 'static) -> Worker {
    Worker::new(client).register::<Remind>().state::<Box<dyn Post>>(Box::new(post))
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    let url = std::env::var("WINDLASS_URL").unwrap_or_else(|_| "windlass-data".into());
    let client = Client::open(&url).await?;
    invoice_sent(&client, 17).await?;
    println!("{}", worker(&client, Printer).signals().run().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use windlass::testing::Sandbox;
    use windlass::{Cron, JobStep};

    use super::*;

    /// A post that fails a few times first.
    #[derive(Clone, Default)]
    struct Tape {
        sent: Arc<Mutex<Vec<String>>>,
        failures: Arc<Mutex<u32>>,
    }

    impl Post for Tape {
        fn send(&self, text: String) -> Result<(), &'static str> {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err("the post is closed");
            }
            self.sent.lock().unwrap().push(text);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reminder_comes_a_week_later() {
        let tape = Tape::default();
        let sandbox = Sandbox::new(|client| worker(client, tape.clone())).await.unwrap();
        invoice_sent(sandbox.client(), 17).await.unwrap();
        sandbox.assert_pushed_in(7 * DAY, &Remind { invoice: 17 }).await;

        sandbox.advance(7 * DAY - Duration::from_millis(1));
        assert_eq!(sandbox.drain().await.unwrap().completed(), 0, "not yet");
        sandbox.advance(Duration::from_millis(1));
        assert_eq!(sandbox.drain().await.unwrap().completed(), 1);
        assert_eq!(*tape.sent.lock().unwrap(), ["please pay invoice 17"]);
    }

    #[tokio::test]
    async fn a_closed_post_is_tried_again_every_hour() {
        let tape = Tape::default();
        *tape.failures.lock().unwrap() = 2;
        let sandbox = Sandbox::new(|client| worker(client, tape.clone())).await.unwrap();
        sandbox.client().push(Remind { invoice: 4 }).await.unwrap();

        let drained = sandbox.drain().await.unwrap();
        assert_eq!((drained.failed(), drained.next_due), (1, Some(Duration::from_secs(3600))));
        let passed = sandbox.pass(Duration::from_secs(2 * 3600)).await.unwrap();
        assert_eq!((passed.failed(), passed.completed()), (1, 1));
        assert_eq!(tape.sent.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_monthly_letter_goes_out_on_the_first() {
        let tape = Tape::default();
        let new_years_eve = std::time::UNIX_EPOCH + Duration::from_secs(1_767_139_200); // 2025-12-31 00:00 UTC
        let sandbox = Sandbox::at(new_years_eve, |client| {
            let monthly = Cron::new("letter", "0 9 1 * *").unwrap();
            let letter = monthly.job(&Remind { invoice: 0 }, Push::new()).unwrap();
            worker(client, tape.clone()).cron(letter)
        });
        let sandbox = sandbox.await.unwrap();
        assert_eq!(sandbox.pass(DAY).await.unwrap().count(JobStep::Started), 0);
        assert_eq!(sandbox.pass(31 * DAY).await.unwrap().completed(), 1, "at nine on New Year's Day");
        assert_eq!(sandbox.pass(DAY).await.unwrap().completed(), 1, "and on the first of February");
    }
}
