//! The command line of `windlass job`.

use std::time::{Duration, SystemTime};

use clap::Subcommand;
use windlass::Unique;

use super::{parse_duration, parse_time};

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Push a job
    Push(Box<PushArgs>),
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
        #[arg(long = "in", value_name = "DURATION", value_parser = parse_duration, required_unless_present = "time")]
        delay: Option<Duration>,
        /// At a time, such as 2027-01-31T09:00:00Z or 2027-01-31T09:00:00[Europe/Berlin]
        #[arg(long = "at", value_name = "TIME", value_parser = parse_time, conflicts_with = "delay")]
        time: Option<SystemTime>,
    },
    /// Give a job that is not running other arguments
    Edit {
        /// The job's id
        id: String,
        /// The arguments, as JSON
        #[arg(long, value_name = "JSON", required_unless_present_any = ["priority", "max_attempts", "expires_in"])]
        args: Option<String>,
        /// Its priority: 0 comes first, 128 is what others have
        #[arg(long)]
        priority: Option<u8>,
        /// How many attempts may fail, those that have failed included
        #[arg(long, value_name = "COUNT")]
        max_attempts: Option<u32>,
        /// Discard the job if it has not begun within this time
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<Duration>,
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
        /// Only jobs with this tag; given again, with all of them
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// How many to show
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

/// What `windlass job push` is told.
#[derive(Debug, clap::Args)]
pub struct PushArgs {
    /// The job's kind
    pub kind: String,
    /// The queue
    #[arg(long, default_value = "default")]
    pub queue: String,
    /// The arguments, as JSON
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub args: String,
    /// Run it after a while, such as 90s, 5m, 2h or 1d
    #[arg(long = "in", value_name = "DURATION", value_parser = parse_duration)]
    pub delay: Option<Duration>,
    /// Run it at a time, such as 2027-01-31T09:00:00Z or 2027-01-31T09:00:00[Europe/Berlin]; at once if that is past
    #[arg(long = "at", value_name = "TIME", value_parser = parse_time, conflicts_with = "delay")]
    pub time: Option<SystemTime>,
    /// An enqueue key: pushing again with the same key within 24 hours pushes nothing
    #[arg(long)]
    pub key: Option<String>,
    /// One of equal jobs is enough: until the first has started, until it is done, for ever, or for a while
    #[arg(long, value_name = "started|done|ever|DURATION", value_parser = parse_unique, conflicts_with = "key")]
    pub unique: Option<Unique>,
    /// With --unique: equal is what has the same key, rather than the same arguments
    #[arg(long, value_name = "KEY", requires = "unique")]
    pub unique_key: Option<String>,
    /// With --unique: equal is what has this field of its arguments in common; may be given again
    #[arg(long = "unique-field", value_name = "NAME", requires = "unique", conflicts_with = "unique_key")]
    pub unique_fields: Vec<String>,
    /// With --unique: the later job replaces one that waits
    #[arg(long, requires = "unique")]
    pub replace: bool,
    /// With --unique: that an equal job is there is an error
    #[arg(long, requires = "unique", conflicts_with = "replace")]
    pub refuse: bool,
    /// Discard the job if it has not begun within this time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub expires_in: Option<Duration>,
    /// Before jobs of a greater number and behind those of a smaller one: 0 comes first, 128 is what others have
    #[arg(long)]
    pub priority: Option<u8>,
    /// Before every other job of the queue
    #[arg(long, conflicts_with = "priority")]
    pub front: bool,
    /// The group that the job takes its turn with, such as a tenant
    #[arg(long, value_name = "KEY")]
    pub group: Option<String>,
    /// A word to find the job by; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// A value beside the arguments, as JSON or as text; may be given again
    #[arg(long = "meta", value_name = "NAME=VALUE", value_parser = parse_meta)]
    pub metas: Vec<(String, serde_json::Value)>,
    /// Trace context, as in a traceparent header
    #[arg(long, value_name = "TRACEPARENT")]
    pub trace: Option<String>,
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

/// Reads `name=value`; a value that is no JSON is a text.
fn parse_meta(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("it has no `=`; write NAME=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniqueness_has_an_end() {
        assert_eq!(parse_unique("done"), Ok(Unique::until_done()));
        assert_eq!(parse_unique("5m"), Ok(Unique::window(Duration::from_secs(300))));
        assert!(parse_unique("soon").is_err());
    }

    #[test]
    fn values_are_json_or_text() {
        let read = |text| parse_meta(text).map(|(name, value)| (name, value.to_string()));
        assert_eq!(read("rows=12"), Ok(("rows".into(), "12".into())));
        assert_eq!(read("file=a=b.csv"), Ok(("file".into(), "\"a=b.csv\"".into())));
        assert!(read("rows").is_err());
    }
}
