//! The bytes that the log takes for the same jobs: pushed, taken and ended.

use windlass::{Client, Context, Job, Outcome, Worker};

use super::server::Log;
use super::{Row, beside};
use crate::args::BenchStoreArgs;

const JOBS: u32 = 100_000;

#[derive(serde::Serialize, serde::Deserialize)]
struct Nop {
    number: u32,
}

impl Job for Nop {
    const KIND: &'static str = "nop";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        Ok(())
    }
}

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let figures = beside(args, Log::Everysec, async |server| {
        let client = Client::open(&server.url()).await?;
        client.push_many((0..JOBS).map(|number| Nop { number })).await?;
        Worker::new(&client).concurrency(50).register::<Nop>().exit_when_empty().run().await?;
        Ok(server.log_bytes()? / f64::from(JOBS))
    })
    .await?;
    Ok(vec![Row::new("log", "a job pushed, taken and ended", "bytes", &figures)])
}
