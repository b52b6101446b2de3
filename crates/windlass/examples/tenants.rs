//! Fair turns between tenants, drawn as it runs: one has a thousand jobs, the others come later with a few.
//!
//! Each letter is a job that begins. While only `A` has jobs it has every slot; `b` and `c` are served in turn as soon
//! as they come, and `c` has twice the weight.

use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::{Client, Context, Job, Outcome, Push, Rule, Target, Worker};

const SLOTS: usize = 4;

#[derive(Serialize, Deserialize)]
struct Work {
    tenant: char,
}

impl Job for Work {
    const KIND: &'static str = "work";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        print!("{}", self.tenant);
        std::io::stdout().flush()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    let client = Client::open("memory:").await?;
    client.limits().set(&Target::key("default", "c"), Rule::new().weight(2.0)).await?;
    push(&client, 'A', 1000).await?;
    let worker = Worker::new(&client).concurrency(SLOTS).register::<Work>().exit_when_empty();
    let working = tokio::spawn(worker.run());
    tokio::time::sleep(Duration::from_millis(200)).await;
    push(&client, 'b', 20).await?;
    push(&client, 'c', 40).await?;
    println!("\n{}", working.await.expect("the worker does not panic")?);
    Ok(())
}

async fn push(client: &Client, tenant: char, jobs: usize) -> windlass::Result<()> {
    let jobs = std::iter::repeat_with(|| Work { tenant }).take(jobs);
    client.push_many_with(jobs, Push::new().group_key(tenant)).await.map(drop)
}
