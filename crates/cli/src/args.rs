//! The command line.

mod bench;
mod job;
mod redis;
mod serve;
#[cfg(feature = "torture")]
mod torture;
mod unused;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};

pub use self::bench::{
    BenchCommand, BenchFeature, BenchFeaturesArgs, BenchJobsArgs, BenchStoreArgs, BenchTable,
};
pub use self::job::{JobCommand, PushArgs};
pub use self::redis::explain;
pub use self::serve::ServeArgs;
#[cfg(feature = "torture")]
pub use self::torture::TortureArgs;
use crate::settings::bytes;

/// Durable background jobs with no server to install.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the jobs are and how to answer.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// The store: a directory, memory:NAME, redis://HOST:PORT/DB, rediss://…, unix:PATH
    /// [environment: WINDLASS_URL or REDIS_URL; default: windlass-data]
    #[arg(long, global = true, value_name = "URL")]
    pub store: Option<String>,
    /// The namespace that keeps applications on one store apart [default: default]
    #[arg(long, global = true, value_name = "NS")]
    pub namespace: Option<String>,
    /// Certificates in PEM form that a rediss:// store may be known by, besides those that this machine trusts
    #[arg(long, global = true, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// Answer with JSON, one value a line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a database over the Redis protocol
    Serve(Box<ServeArgs>),
    /// Push jobs and look at them
    #[command(subcommand)]
    Job(JobCommand),
    /// Look at queues, pause and resume them
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Set caps, rates, weights and order of queues, kinds and groups
    #[command(subcommand)]
    Limit(LimitCommand),
    /// Push jobs at times of the calendar
    #[command(subcommand)]
    Cron(CronCommand),
    /// Look whether a directory is whole; ends with 1 when it is not. It changes nothing and disturbs no owner
    Check(CheckArgs),
    /// Make a damaged directory one that opens again; without --yes it only shows what it would do
    Repair(RepairArgs),
    /// Copy a directory as it is at one moment; a database that is open goes on. Start on the copy to restore it
    Backup(BackupArgs),
    /// Write a store's keys and libraries of functions to a file, FILE.rdb or FILE.jsonl
    Export(ExportArgs),
    /// Put the keys and libraries of functions of a file into a store; what is there as in the file stays, so that it can be run again
    Import(ImportArgs),
    /// Carry everything of one store into another while the first one is in use; run again, it goes on
    Move(MoveArgs),
    /// Measure a store
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Prove that nothing acknowledged is lost: kills, torn files, failing disks, power cuts
    #[cfg(feature = "torture")]
    Torture(TortureArgs),
    /// Print a completion script for a shell
    Completion {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// What is logged unless the environment says otherwise.
    pub fn log_level(&self) -> &'static str {
        match self {
            // The trouble that it makes is not worth a warning.
            #[cfg(feature = "torture")]
            Self::Torture(_) => "off",
            _ => "warn",
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The directory
    pub dir: PathBuf,
    /// Look at checksums and forms alone, which takes no memory for the data
    #[arg(long)]
    pub quick: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct RepairArgs {
    /// The directory
    pub dir: PathBuf,
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// Keep whole groups after the damage as well, if they do not rely on what is lost
    #[arg(long)]
    pub keep_later: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// The directory
    pub dir: PathBuf,
    /// The directory to make; it is there when it is whole
    #[arg(long, value_name = "PATH")]
    pub to: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// The file: .rdb for a snapshot that Redis reads as well, .jsonl for lines of JSON
    pub file: PathBuf,
    /// Only keys like this pattern, as SCAN takes it, and no libraries of functions; --namespace narrows to the keys of a
    /// namespace
    #[arg(long = "match", value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
    /// Read each key by the command of its type, for a store that does not allow DUMP
    #[arg(long)]
    pub by_type: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// The file: .rdb or .jsonl
    pub file: PathBuf,
    /// Only keys like this pattern, as SCAN takes it, and no libraries of functions; --namespace narrows to the keys of a
    /// namespace
    #[arg(long = "match", value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Only keys of these types, without libraries of functions
    #[arg(long = "type", value_name = "TYPE,...", value_delimiter = ',', value_enum)]
    pub types: Vec<KeyType>,
    /// Put keys and libraries of the file in place of others of their names
    #[arg(long)]
    pub replace: bool,
    /// Write each key by the commands of its type, for a store that does not allow RESTORE
    #[arg(long)]
    pub by_type: bool,
}

/// A type of key, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyType {
    String,
    List,
    Set,
    Hash,
    Zset,
    Stream,
}

impl KeyType {
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::Zset => "zset",
            Self::Stream => "stream",
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct MoveArgs {
    /// The store to carry from
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The store to carry to; what of it the move concerns has to be empty
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Only keys like this pattern, as SCAN takes it, and no libraries of functions; --namespace narrows to the keys of a
    /// namespace
    #[arg(long = "match", value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Only show what would be moved
    #[arg(long)]
    pub dry_run: bool,
    /// Let the source's writers wait during the last pass, for at most so long (CLIENT PAUSE)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub pause: Option<Duration>,
    /// How often all keys are compared before it is given up, because the source is written to all the time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub passes: u32,
    /// Read and write each key by the commands of its type, for stores that do not allow DUMP and RESTORE
    #[arg(long)]
    pub by_type: bool,
}

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List queues with what waits and runs in them
    Ls,
    /// Let nothing be taken from a queue
    Pause {
        /// The queue
        queue: String,
    },
    /// Let jobs be taken again
    Resume {
        /// The queue
        queue: String,
    },
    /// Forget a queue that has no jobs and no workers; its limits stay
    Rm {
        /// The queue
        queue: String,
        /// Remove its jobs first, those that have ended and are kept included; chains and batches count them as cancelled
        #[arg(long)]
        with_jobs: bool,
    },
    /// Have workers take only jobs of kinds that they registered, or any job
    Kinds {
        /// The queue
        queue: String,
        /// Which jobs a worker takes
        which: KindsTaken,
    },
}

/// Which jobs of a queue a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KindsTaken {
    /// Those of kinds that it registered; others go to a worker that knows them
    Known,
    /// Any; one of a kind that it does not know is parked
    Any,
}

#[derive(Debug, Subcommand)]
pub enum LimitCommand {
    /// List the rules
    Ls,
    /// Set a rule in place of the one that was there
    Set(LimitSetArgs),
    /// Remove a rule
    Rm {
        /// queue:QUEUE, kind:KIND, key:QUEUE or key:QUEUE/KEY
        target: String,
    },
    /// Let no job of a kind be taken
    Pause {
        /// The kind
        kind: String,
    },
    /// Let jobs of a kind be taken again
    Resume {
        /// The kind
        kind: String,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct LimitSetArgs {
    /// What it is for: queue:QUEUE, kind:KIND, key:QUEUE for each group of a queue, or key:QUEUE/KEY for one
    pub target: String,
    /// How many jobs may be active at once, over all workers
    #[arg(long, value_name = "JOBS")]
    pub cap: Option<u64>,
    /// How many may begin in a time, such as 100/1m
    #[arg(long, value_name = "JOBS/DURATION", value_parser = parse_rate)]
    pub rate: Option<(u64, Duration)>,
    /// How the rate counts: in windows, in sliding windows, or by a bucket that fills evenly
    #[arg(long, value_name = "window|sliding|bucket", default_value = "window", requires = "rate")]
    pub form: RateForm,
    /// How many a bucket holds at most
    #[arg(long, value_name = "JOBS", requires = "rate")]
    pub burst: Option<u64>,
    /// How many turns a group has where others have one
    #[arg(long)]
    pub weight: Option<f64>,
    /// Run a group's jobs one after the other: the next one waits for a failed one, or skips it
    #[arg(long, value_name = "wait|skip")]
    pub order: Option<KeyOrder>,
    /// Stop a kind after so many failures within the window, for the cooldown
    #[arg(long, value_name = "FAILURES", requires = "window", requires = "cooldown")]
    pub breaker: Option<u64>,
    /// The window of the breaker
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "breaker")]
    pub window: Option<Duration>,
    /// How long the breaker stops the kind
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "breaker")]
    pub cooldown: Option<Duration>,
    /// How many jobs a queue may have for a push to be let in
    #[arg(long, value_name = "JOBS")]
    pub max_jobs: Option<u64>,
    /// How many bytes they may take in the store, such as 100mb
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub max_bytes: Option<usize>,
}

/// How a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RateForm {
    Window,
    Sliding,
    Bucket,
}

/// What becomes of the order of a group when a job of it fails.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum KeyOrder {
    Wait,
    Skip,
}

/// Reads a number of jobs and a time, as in `100/1m`.
fn parse_rate(text: &str) -> Result<(u64, Duration), String> {
    let (jobs, time) = text.split_once('/').ok_or_else(|| format!("`{text}` is not like 100/1m"))?;
    let jobs = jobs.parse().map_err(|_| format!("`{jobs}` is not a number of jobs"))?;
    Ok((jobs, parse_duration(time)?))
}

#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// List entries with their next times
    Ls,
    /// Add an entry, or change the one of its name
    Add(CronAddArgs),
    /// Push nothing for an entry until it is resumed
    Pause {
        /// The entry's name
        name: String,
    },
    /// Let a paused entry go on with its next time
    Resume {
        /// The entry's name
        name: String,
    },
    /// Remove an entry; jobs that it has pushed stay
    Rm {
        /// The entry's name
        name: String,
    },
    /// Push an entry's job now; its times stay as they are
    Run {
        /// The entry's name
        name: String,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct CronAddArgs {
    /// The entry's name
    pub name: String,
    /// When, such as "*/15 * * * *": minute, hour, day-of-month, month, day-of-week, or six fields with the
    /// second first, or @hourly, @daily, @weekly, @monthly, @yearly
    pub spec: String,
    /// The job's kind
    pub kind: String,
    /// The queue
    #[arg(long, default_value = "default")]
    pub queue: String,
    /// The arguments, as JSON
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub args: String,
    /// The time zone, such as Europe/Berlin
    #[arg(long, default_value = "UTC")]
    pub zone: String,
    /// Run up to this much later, such as 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub jitter: Duration,
    /// What to do about times that passed while no worker ran: skip them, run once, or all:N to run for each of the newest N
    #[arg(long, value_name = "skip|once|all:N", default_value = "once")]
    pub catch_up: String,
    /// What to do when the last job has not ended
    #[arg(long, value_name = "allow|skip", default_value = "allow")]
    pub overlap: String,
}

/// Reads a moment, whose place on the earth it has to tell.
fn parse_time(text: &str) -> Result<SystemTime, String> {
    let zoned = || text.parse::<jiff::Zoned>().map(|zoned| zoned.timestamp());
    text.parse::<jiff::Timestamp>().or_else(|_| zoned()).map(SystemTime::from).map_err(|_| {
        format!("`{text}` is no time; write it as 2027-01-31T09:00:00Z or 2027-01-31T09:00:00[Europe/Berlin]")
    })
}

/// The longest duration: whoever wants more has mistaken the unit, and far beyond it the moments have no dates.
const DURATION_MAX: Duration = Duration::from_secs(365_250 * 86_400);

/// A whole number with a unit: ms, s, m, h or d.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is no duration; write a number and ms, s, m, h or d, such as 5m")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` does not begin with a whole number"))?;
    let duration = number.checked_mul(unit_ms).map(Duration::from_millis);
    duration.filter(|duration| *duration <= DURATION_MAX).ok_or_else(|| {
        format!("`{text}` is too long, the most is {}d, a thousand years", DURATION_MAX.as_secs() / 86_400)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn times_need_a_zone() {
        assert_eq!(
            parse_time("1970-01-01T01:00:05+01:00"),
            Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(5))
        );
        let berlin = parse_time("1970-07-01T01:00:00[Europe/Berlin]");
        assert_eq!(berlin, Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(181 * 86_400)));
        for text in ["2027-01-31", "2027-01-31T09:00:00", "9:00", "2027-01-31T09:00:00[Nowhere/At]"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("365250d"), Ok(DURATION_MAX));
        for text in ["365251d", "99999999999d", "18446744073709551615d"] {
            let problem = parse_duration(text).unwrap_err();
            assert!(problem.contains("too long, the most is 365250d"), "{problem}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["5", "m", "", "-1s", "5 m", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
