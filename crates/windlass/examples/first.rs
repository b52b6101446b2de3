//! The first minute: run it, `kill -9` it while it writes, run it again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::{Client, Context, Job, Outcome, Push, Worker};

#[derive(Serialize, Deserialize)]
struct Report {
    month: String,
}

impl Job for Report {
    const KIND: &'static str = "report";
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        println!("writing the report of {}, attempt {}", self.month, context.attempt());
        tokio::time::sleep(Duration::from_secs(10)).await;
        println!("the report of {} is done", self.month);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    let url = std::env::var("WINDLASS_URL").unwrap_or_else(|_| "windlass-data".into());
    let client = Client::open(&url).await?;
    client.push_with(Report { month: "May".into() }, Push::new().key("report of May")).await?;
    let worker = Worker::new(&client).register::<Report>().on_event(|event| println!("{event}"));
    let summary = worker.exit_when_empty().run().await?;
    println!("{summary}");
    Ok(())
}
