//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use windlass::Unique;

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
    Serve(ServeArgs),
    /// Push jobs and look at them
    #[command(subcommand)]
    Job(JobCommand),
    /// Look at queues, pause and resume them
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Push jobs at times of the calendar
    #[command(subcommand)]
    Cron(CronCommand),
    /// Look whether a directory is whole; ends with 1 when it is not. It changes nothing and disturbs no owner
    Check(CheckArgs),
    /// Make a damaged directory one that opens again; without --yes it only shows what it would do
    Repair(RepairArgs),
    /// Copy a directory as it is at one moment; a database that is open goes on. Start on the copy to restore it
    Backup(BackupArgs),
    /// Write a store's keys to a file, FILE.rdb or FILE.jsonl
    Export(ExportArgs),
    /// Put the keys of a file into a store; what is there as in the file stays, so that it can be run again
    Import(ImportArgs),
    /// Carry everything of one store into another while the first one is in use; run again, it goes on
    Move(MoveArgs),
    /// Measure a store
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print a completion script for a shell
    Completion {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The directory of the data; created if absent [default: windlass-data]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// An address to listen on, such as 0.0.0.0:6380 or [::1]:6380; may be given several times
    /// [default: 127.0.0.1:6380]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Vec<String>,
    /// A unix socket to listen on as well
    #[arg(long, value_name = "PATH")]
    pub unixsocket: Option<PathBuf>,
    /// Who may open the unix socket, as permission bits such as 770 [default: 600]
    #[arg(long, value_name = "BITS")]
    pub unixsocketperm: Option<String>,
    /// Listen with TLS on this port of each address as well
    #[arg(long, value_name = "PORT")]
    pub tls_port: Option<u16>,
    /// Listen with TLS only
    #[arg(long, requires = "tls_port")]
    pub tls_only: bool,
    /// The server's certificate in PEM form, with those between it and an authority behind it
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// The key of the certificate in PEM form
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// The authorities whose clients are let in, in PEM form
    #[arg(long, value_name = "FILE")]
    pub tls_ca_cert_file: Option<PathBuf>,
    /// Whether clients must show a certificate [default: yes]
    #[arg(long, value_name = "yes|no|optional")]
    pub tls_auth_clients: Option<String>,
    /// Without a password, serve clients of this machine only [default: yes]
    #[arg(long, value_name = "yes|no")]
    pub protected_mode: Option<String>,
    /// The most clients at one time [default: 10000]
    #[arg(long, value_name = "COUNT")]
    pub maxclients: Option<String>,
    /// Disconnect clients that say nothing for so many seconds; 0 for never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<String>,
    /// Ask whether a client is still there after so many seconds without a word; 0 for never [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub tcp_keepalive: Option<String>,
    /// How much may lie unread of replies and of messages: class, hard limit, soft limit and its seconds, repeated
    /// [default: "normal 0 0 0 pubsub 32mb 8mb 60"]
    #[arg(long, value_name = "LIMITS")]
    pub client_output_buffer_limit: Option<String>,
    /// Answer others that the server is busy once a script has run for so many milliseconds; 0 for never
    /// [default: 5000]
    #[arg(long, value_name = "MS")]
    pub busy_reply_threshold: Option<String>,
    /// When a write is acknowledged: after the sync to disk, or with a sync each second, or none at all [default: always]
    #[arg(long, value_name = "always|everysec|none")]
    pub durability: Option<String>,
    /// A file whose first line is the password that clients must give
    #[arg(long, value_name = "FILE")]
    pub requirepass_file: Option<PathBuf>,
    /// The most memory that data may take, such as 512mb or 2gb; then writes are refused [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub maxmemory: Option<String>,
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
    /// Only keys like this pattern, as SCAN takes it; --namespace narrows to the keys of a namespace
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
    /// Put keys of the file in place of others of their names
    #[arg(long)]
    pub replace: bool,
    /// Write each key by the commands of its type, for a store that does not allow RESTORE
    #[arg(long)]
    pub by_type: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct MoveArgs {
    /// The store to carry from
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The store to carry to; what of it the move concerns has to be empty
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Only keys like this pattern, as SCAN takes it; --namespace narrows to the keys of a namespace
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
pub enum JobCommand {
    /// Push a job
    Push {
        /// The job's kind
        kind: String,
        /// The queue
        #[arg(long, default_value = "default")]
        queue: String,
        /// The arguments, as JSON
        #[arg(long, value_name = "JSON", default_value = "null")]
        args: String,
        /// Run it after a while, such as 90s, 5m, 2h or 1d
        #[arg(long = "in", value_name = "DURATION", value_parser = parse_duration)]
        delay: Option<Duration>,
        /// An enqueue key: pushing again with the same key within 24 hours pushes nothing
        #[arg(long)]
        key: Option<String>,
        /// One of equal jobs is enough: until the first has started, until it is done, for ever, or for a while
        #[arg(long, value_name = "started|done|ever|DURATION", value_parser = parse_unique, conflicts_with = "key")]
        unique: Option<Unique>,
        /// With --unique: equal is what has the same key, rather than the same arguments
        #[arg(long, value_name = "KEY", requires = "unique")]
        unique_key: Option<String>,
        /// With --unique: the later job replaces one that waits
        #[arg(long, requires = "unique")]
        replace: bool,
        /// Discard the job if it has not begun within this time
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<Duration>,
    },
    /// Show one job
    Show {
        /// The job's id, as push printed it
        id: String,
    },
    /// Move a scheduled, failed or dead job to its queue now, or all that are dead
    Retry {
        /// The job's id
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// All of one state, narrowed by --kind and --queue
        #[arg(long)]
        all: bool,
        /// With --all: the state
        #[arg(long, default_value = "dead", requires = "all")]
        state: String,
        /// With --all: only jobs of this kind
        #[arg(long, requires = "all")]
        kind: Option<String>,
        /// With --all: only jobs of this queue
        #[arg(long, requires = "all")]
        queue: Option<String>,
    },
    /// Cancel a job; one that is running is asked to stop
    Cancel {
        /// The job's id
        id: String,
    },
    /// Put a job that is not running among the dead
    Kill {
        /// The job's id
        id: String,
    },
    /// Set when a job that is not running is due
    Reschedule {
        /// The job's id
        id: String,
        /// How long from now, such as 90s, 5m, 2h or 1d
        #[arg(long = "in", value_name = "DURATION", value_parser = parse_duration)]
        delay: Duration,
    },
    /// Give a job that is not running other arguments
    Edit {
        /// The job's id
        id: String,
        /// The arguments, as JSON
        #[arg(long, value_name = "JSON")]
        args: String,
        /// And move it to its queue now
        #[arg(long)]
        retry: bool,
    },
    /// Remove a job that is not running
    Rm {
        /// The job's id
        id: String,
    },
    /// List jobs in a state
    Ls {
        /// The state: enqueued, active, scheduled, retry, dead or parked
        #[arg(long, default_value = "enqueued")]
        state: String,
        /// The queue, for enqueued and active jobs
        #[arg(long, default_value = "default")]
        queue: String,
        /// How many to show
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
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

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Push and drain no-op jobs, and measure the way from push to start
    Jobs(BenchJobsArgs),
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
    /// When a directory acknowledges a write
    #[arg(long, value_name = "always|everysec|none", default_value = "always")]
    pub durability: String,
}

/// For how long a job is unique.
fn parse_unique(text: &str) -> Result<Unique, String> {
    Ok(match text {
        "started" => Unique::until_started(),
        "done" => Unique::until_done(),
        "ever" => Unique::forever(),
        window => Unique::window(
            parse_duration(window).map_err(|problem| format!("not started, done or ever, and {problem}"))?,
        ),
    })
}

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
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| format!("`{text}` is too long"))
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
    fn uniqueness_has_an_end() {
        assert_eq!(parse_unique("done"), Ok(Unique::until_done()));
        assert_eq!(parse_unique("5m"), Ok(Unique::window(Duration::from_secs(300))));
        assert!(parse_unique("soon").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["5", "m", "", "-1s", "5 m", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
