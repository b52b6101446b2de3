//! `factors`: a small service that factors numbers, one durable job each, and posts the answers back.
//!
//!     cargo run --release --example factors
//!
//! Without arguments it makes its own traffic: 5,000 numbers through HTTP, with a receiver for the post-backs. Stop it
//! at any moment by any means, start it again, and it finishes the rest. `WINDLASS_URL` names another store than the
//! directory `factors-data`, such as `redis://127.0.0.1`. With `--serve` it serves until it is told to stop:
//!
//!     curl -d '{"number": "600851475143"}' -H 'content-type: application/json' http://127.0.0.1:7390/factors
//!     curl 'http://127.0.0.1:7390/factors?number=97'
//!     curl http://127.0.0.1:7390/jobs/factor/1700000000000-0

use std::net::SocketAddr;

use clap::Parser;
use windlass::{Client, State, Worker};

mod guard;
mod http;
mod job;
mod post_back;
mod receiver;
mod report;
mod traffic;

/// Post-backs that wait for their receivers at once.
const POST_BACKS_MAX: usize = 64;

/// Factors numbers in the background and posts the answers back.
#[derive(Debug, Parser)]
struct Args {
    /// Serve until stopped, without own traffic
    #[arg(long)]
    serve: bool,
    /// The address of the service
    #[arg(long, default_value = "127.0.0.1:7390")]
    listen: SocketAddr,
    /// The address of the receiver that the own traffic is posted back to
    #[arg(long, default_value = "127.0.0.1:7391")]
    receiver: SocketAddr,
    /// Numbers of the own traffic
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    numbers: u32,
    /// The most numbers that are factored at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    cap: u32,
    /// A private or loopback address that post-backs may go to; none are allowed otherwise
    #[arg(long, value_name = "ADDRESS:PORT")]
    allow: Vec<SocketAddr>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let url = std::env::var("WINDLASS_URL").unwrap_or_else(|_| "factors-data".into());
    let client = Client::open(&url).await?;
    let found = unfinished(&client).await?;
    if found > 0 {
        println!("found {found} unfinished jobs of an earlier run in {url}; they go on now");
    }

    let mut allowed = args.allow.clone();
    if !args.serve {
        allowed.push(args.receiver);
    }
    post_back::configure(allowed)?;
    let listener = http::bind(args.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let service = tokio::spawn(http::serve(listener, client.clone()));

    // Two pools: numbers keep the processor busy and are capped; post-backs wait for the network and are not held up.
    let (stop, stopped) = tokio::sync::watch::channel(());
    let until = |mut stopped: tokio::sync::watch::Receiver<()>| async move {
        // The sender goes, which is the sign.
        let _ = stopped.changed().await;
    };
    let factoring = Worker::new(&client)
        .queue(job::QUEUE)
        .concurrency(args.cap as usize)
        .register_blocking::<job::Factor>()
        .run_until(until(stopped.clone()));
    let posting = Worker::new(&client)
        .queue(post_back::QUEUE)
        .concurrency(POST_BACKS_MAX)
        .register::<post_back::PostBack>()
        .run_until(until(stopped));
    let workers = tokio::spawn(async move { tokio::try_join!(factoring, posting) });

    if args.serve {
        println!("stop with Ctrl-C");
        tokio::signal::ctrl_c().await?;
    } else {
        tokio::select! {
            run = traffic::run(args.listen, args.receiver, args.numbers) => report::print(&run?, args.cap, &url),
            _ = tokio::signal::ctrl_c() => println!("stopped; start it again and it finishes the rest"),
        }
    }
    drop(stop);
    workers.await??;
    service.abort();
    Ok(())
}

/// How many jobs go on: those that wait in queues or run, and those that wait for their time.
async fn unfinished(client: &Client) -> windlass::Result<u64> {
    let inspector = client.inspector();
    let queued: u64 = inspector.queues().await?.iter().map(|queue| queue.enqueued + queue.active).sum();
    let stored = inspector.stats().await?.stored.into_iter();
    let timed = stored.filter(|(state, _)| matches!(state, State::Scheduled | State::Retry));
    Ok(queued + timed.map(|(_, count)| count).sum::<u64>())
}
