//! Arguments of `windlass bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::parse_duration;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Push and drain no-op jobs, and measure the way from push to start
    Jobs(BenchJobsArgs),
    /// Measure what priorities, uniqueness, limits, results and groups cost beside plain jobs
    Features(BenchFeaturesArgs),
    /// Measure the store of this program beside a redis-server
    Store(BenchStoreArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct BenchStoreArgs {
    /// The redis-server to measure beside
    #[arg(long, value_name = "PROGRAM", default_value = "redis-server")]
    pub redis_server: PathBuf,
    /// A valkey-server to measure as well; that of the PATH, if there is one, unless told otherwise
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_valkey")]
    pub valkey_server: Option<PathBuf>,
    /// Leave valkey-server out
    #[arg(long)]
    pub no_valkey: bool,
    /// Only these tables
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TABLE,...")]
    pub only: Vec<BenchTable>,
    /// How often each figure is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// How long each load lasts, in seconds
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Where the servers' folders are made, and removed again
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BenchTable {
    /// Commands per second, and the server's processor time
    Commands,
    /// How long commands take at half of the highest rate
    Latency,
    /// Bytes of a million items
    Memory,
    /// What it costs to be safe
    Durable,
    /// What a push waits for while the log is rewritten
    Rewrite,
    /// Bytes of the log for the same jobs
    Log,
    /// For how long everybody is held up while a huge value is freed or grows, or a million keys end
    Stall,
    /// How long a directory with a million delayed jobs takes to be served
    Startup,
}

#[derive(Clone, Debug, clap::Args)]
pub struct BenchJobsArgs {
    /// Jobs to push and to drain
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(50..=100_000_000))]
    pub jobs: u64,
    /// Jobs running at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// Bytes of each job's payload
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    pub payload: usize,
    /// Add so much to each reply of a Redis, as a network would
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub reply_delay: Option<Duration>,
    /// When a directory acknowledges a write [default: always]
    #[arg(long, value_name = "always|everysec|none")]
    pub durability: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub struct BenchFeaturesArgs {
    /// Jobs to push and to drain with each feature
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub jobs: u64,
    /// Jobs running at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// Only these features, beside plain jobs
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FEATURE,...")]
    pub only: Vec<BenchFeature>,
    /// How often each figure is measured; the median counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// When a directory acknowledges a write [default: always]
    #[arg(long, value_name = "always|everysec|none")]
    pub durability: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BenchFeature {
    /// Nothing: what the others are measured by
    Plain,
    /// One of ten priorities
    Priority,
    /// Unique until it has ended, no two equal
    Unique,
    /// A result that is kept
    Results,
    /// One of 1,000 groups that take turns
    Groups,
    /// A cap of the queue that never binds
    Cap,
    /// A rate of the queue that never binds
    Rate,
    /// A cap of the kind that never binds
    KindCap,
    /// A rate of the kind that never binds
    KindRate,
}
