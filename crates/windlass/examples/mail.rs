//! A batch: a hundred mails in jobs of ten, with progress while they are sent and a job for when all of them are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::{BatchStatus, Client, Context, Job, Outcome, Worker};

#[derive(Serialize, Deserialize)]
struct SendMails(Vec<String>);

impl Job for SendMails {
    const KIND: &'static str = "send-mails";
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Some(batch) = context.batch()
            && let Some(status) = batch.status().await?
        {
            let mails = self.0.len();
            println!("{mails} mails sent, {} of {} jobs done before", status.succeeded, status.total);
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct AllSent;

impl Job for AllSent {
    const KIND: &'static str = "all-sent";
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        let status: BatchStatus = context.previous()?.unwrap_or_default();
        println!("all sent: {} of {} jobs succeeded", status.succeeded, status.total);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    let url = std::env::var("WINDLASS_URL").unwrap_or_else(|_| "windlass-data".into());
    let client = Client::open(&url).await?;
    let addresses: Vec<_> = (1..=100).map(|number| format!("reader-{number}@example.com")).collect();
    let jobs = addresses.chunks(10).map(|chunk| SendMails(chunk.to_vec()));
    // The key makes it one letter, however often this program is ended and started again.
    let letter = client.batch().key("may-letter").description("the May letter").on_success(AllSent);
    let batch = letter.push_all(jobs).await?;
    if let Some(status) = batch.status().await? {
        println!("{} jobs pushed, {} have ended", status.total, status.total - status.pending);
    }
    let worker = Worker::new(&client).register::<SendMails>().register::<AllSent>().concurrency(3);
    println!("{}", worker.exit_when_empty().run().await?);
    Ok(())
}
