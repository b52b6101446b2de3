//! Asks four workers for the 100,000th Fibonacci number, and waits for it.

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use windlass::{BlockingJob, Client, Context, Outcome, Push, Worker};

#[derive(Serialize, Deserialize)]
struct Fibonacci(u32);

impl BlockingJob for Fibonacci {
    const KIND: &'static str = "fibonacci";
    type Output = String;

    fn run(self, _: &Context) -> Outcome<String> {
        let (mut last, mut next) = (BigUint::ZERO, BigUint::from(1u32));
        for _ in 0..self.0 {
            last += &next;
            std::mem::swap(&mut last, &mut next);
        }
        Ok(last.to_string())
    }
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    let client = Client::open("memory:").await?;
    let worker = Worker::new(&client).concurrency(4).register_blocking::<Fibonacci>();
    let control = worker.control();
    let working = tokio::spawn(worker.run());

    let kept = Push::new().result_ttl(Duration::from_secs(60));
    let number = client.push_with(Fibonacci(100_000), kept).await?.result().await?;
    println!("{} digits, the last six are {}", number.len(), &number[number.len() - 6..]);

    control.stop();
    println!("{}", working.await.expect("the worker does not panic")?);
    Ok(())
}
