//! What is stored of an entry: its progress, which scripts write, as one line of JSON, and after it the
//! definition, which stays as it was put. Apart, since a script that wrote the job's arguments again would
//! change their numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{CatchUp, Cron, META, Overlap, Work};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::id::JobId;

/// How an entry is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Definition {
    pub(super) spec: String,
    #[serde(default = "utc", skip_serializing_if = "is_utc")]
    pub(super) zone: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) jitter: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) catch_up: CatchUp,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) overlap: Overlap,
    pub(super) queue: String,
    pub(super) job: Box<RawValue>,
}

fn utc() -> String {
    "UTC".into()
}

fn is_utc(zone: &str) -> bool {
    zone == "UTC"
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How far an entry has come. Scripts write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Another number for each definition that the entry has had.
    pub(crate) rev: u64,
    /// The next time, without jitter.
    pub(crate) due: u64,
    #[serde(default)]
    pub(crate) paused: bool,
    /// The time that the last job was pushed for.
    #[serde(default)]
    pub(crate) last: Option<u64>,
    /// The last job.
    #[serde(default)]
    pub(crate) last_id: Option<String>,
}

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) cron: Cron,
    pub(crate) progress: Progress,
}

/// The two parts of a record.
pub(super) fn split(record: &[u8]) -> Result<(Progress, Definition)> {
    let cut = record.iter().position(|&byte| byte == b'\n');
    let (progress, definition) = record.split_at(cut.ok_or(Error::Answer("a cron entry has one line"))?);
    Ok((serde_json::from_slice(progress)?, serde_json::from_slice(definition)?))
}

impl Entry {
    /// Reads a record.
    pub(crate) fn parse(name: &str, record: &[u8]) -> Result<Self> {
        let (progress, definition) = split(record)?;
        Ok(Self { cron: Cron::of(name, definition)?, progress })
    }
}

impl Cron {
    /// The entry that a definition says, checked like one that a program gives.
    pub(super) fn of(name: &str, definition: Definition) -> Result<Self> {
        let Definition { spec, zone, jitter, catch_up, overlap, queue, job } = definition;
        let mut cron = Self::new(name, &spec)?.zone(&zone)?;
        cron = cron.jitter(Duration::from_millis(jitter))?.catch_up(catch_up)?.overlap(overlap);
        cron.work = Some(Work { queue, envelope: job });
        Ok(cron)
    }

    /// Its definition as stored.
    pub(crate) fn to_definition(&self) -> Result<String> {
        let Work { queue, envelope } = self.parts()?;
        Ok(serde_json::to_string(&Definition {
            spec: self.spec.clone(),
            zone: self.zone.clone(),
            jitter: self.jitter_ms(),
            catch_up: self.catch_up,
            overlap: self.overlap,
            queue: queue.clone(),
            job: envelope.clone(),
        })?)
    }

    /// What decides its times: while this is the same, a changed entry goes on where it was.
    pub(crate) fn times(&self) -> String {
        format!("{} {}", self.spec, self.zone)
    }

    /// The queue that its jobs go to.
    pub(crate) fn queue(&self) -> Result<&str> {
        Ok(&self.parts()?.queue)
    }

    /// The job for the time `due`, or for no time when it is run by hand.
    pub(crate) fn envelope(&self, due: Option<u64>) -> Result<Vec<u8>> {
        let bytes = self.parts()?.envelope.get().as_bytes();
        let mut envelope =
            Envelope::parse(bytes).map_err(|problem| self.wrong("job", String::new(), &problem))?;
        let mut about = serde_json::json!({ "name": self.name });
        if let Some(due) = due {
            about["due"] = due.into();
        }
        envelope.meta.get_or_insert_default().insert(META.to_owned(), about);
        Ok(envelope.to_bytes()?)
    }
}

impl Progress {
    /// The last job, when its id can be read.
    pub(crate) fn last_job(&self) -> Option<JobId> {
        JobId::parse(self.last_id.as_deref()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Push;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let args = RawValue::from_string(r#"{"n":12345678901234567890,"x":1.10}"#.into()).unwrap();
        let cron = Cron::new("n", "*/5 * * * MON-FRI").unwrap().zone("America/New_York").unwrap();
        let cron = cron.jitter(Duration::from_millis(1500)).unwrap().catch_up(CatchUp::All(7)).unwrap();
        let cron = cron.overlap(Overlap::Skip).raw("k", &args, Push::new().queue("q")).unwrap();
        let definition = cron.to_definition().unwrap();
        assert_eq!(
            definition,
            r#"{"spec":"*/5 * * * MON-FRI","zone":"America/New_York","jitter":1500,"catch_up":{"all":7},"overlap":"skip","queue":"q","job":{"v":1,"kind":"k","args":{"n":12345678901234567890,"x":1.10}}}"#
        );
        let record = format!("{{\"rev\":3,\"due\":5}}\n{definition}");
        let entry = Entry::parse("n", record.as_bytes()).unwrap();
        assert_eq!(entry.cron.to_definition().unwrap(), definition);
        assert_eq!(entry.progress, Progress { rev: 3, due: 5, ..Progress::default() });
        let envelope = String::from_utf8(entry.cron.envelope(Some(5)).unwrap()).unwrap();
        assert_eq!(
            envelope,
            r#"{"v":1,"kind":"k","args":{"n":12345678901234567890,"x":1.10},"meta":{"cron":{"due":5,"name":"n"}}}"#
        );
    }

    #[test]
    fn records_that_cannot_be_read_are_errors() {
        for record in
            ["", "{}", "{}\n{}", "{\"rev\":1,\"due\":1}\n{\"spec\":\"x\",\"queue\":\"q\",\"job\":{}}"]
        {
            assert!(Entry::parse("n", record.as_bytes()).is_err(), "{record}");
        }
    }
}
