//! A job at times of the calendar. Run it twice at once: each time runs once.

use serde::{Deserialize, Serialize};
use windlass::{CatchUp, Client, Context, Cron, Job, Outcome, Overlap, Push, Worker};

#[derive(Serialize, Deserialize)]
struct Report {
    recipient: String,
}

impl Job for Report {
    const KIND: &'static str = "report";
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        println!("a report for {}, as of {:?}", self.recipient, context.cron_due());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    let url = std::env::var("WINDLASS_URL").unwrap_or_else(|_| "windlass-data".into());
    let client = Client::open(&url).await?;
    let report = Report { recipient: "Ada".into() };
    let every_ten_seconds = Cron::new("report", "*/10 * * * * *")?
        .zone("Europe/Berlin")?
        .catch_up(CatchUp::All(3))?
        .overlap(Overlap::Allow)
        .job(&report, Push::new().max_attempts(3))?;
    let worker = Worker::new(&client).register::<Report>().cron(every_ten_seconds);
    let summary = worker.on_event(|event| println!("{event}")).signals().run().await?;
    println!("{summary}");
    Ok(())
}
