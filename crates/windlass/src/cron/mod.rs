//! Cron: jobs that are pushed at times of the calendar.
//!
//! `field` and `spec` read an expression, `schedule` finds its times in a zone, `plan` says what is to be
//! pushed at a moment; none of them knows the store. `entry` is what is stored, `crontab` manages it. The
//! move itself is `broker/cron.rs` with `lua/cron_fire.lua`; `service/cron.rs` makes it.

mod crontab;
mod entry;
mod field;
mod plan;
mod schedule;
mod spec;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::{Push, envelope_of};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::job::Pushable;
use crate::name::check_name;

pub use crontab::{CronInfo, Crontab};
pub(crate) use entry::{Entry, Progress};
use field::Mistake;
use schedule::Schedule;
use spec::Spec;

/// Longest jitter.
pub const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// Most missed runs that [`CatchUp::All`] makes up.
pub const CATCH_UP_MAX: u32 = 1000;

/// The field of a job's meta that names its entry and its time.
pub(crate) const META: &str = "cron";

/// What is done about times that passed while no worker ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are left out. A run that is late by more than a minute has been missed.
    Skip,
    /// One job stands for all of them.
    #[default]
    Once,
    /// A job for each, but for no more than this many, the newest.
    All(u32),
}

/// What is done when the last job of the entry has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The next one is pushed all the same.
    #[default]
    Allow,
    /// That time is left out. At most one job is pushed at once then, also to catch up.
    Skip,
}

/// A job that is pushed at times of the calendar: give it to [`Worker::cron`](crate::Worker::cron), or at run
/// time to [`Crontab::put`].
///
/// The expression has five fields (minute, hour, day-of-month, month, day-of-week) or six with the second
/// first; lists, ranges, steps, names, and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. When both
/// fields of days restrict the day, either is enough, as in Vixie cron. Every part is checked where it is
/// given; an error names the field.
///
/// The zone's rules hold where its clocks change. An expression that names some hours means times of day: one
/// that a change leaves out runs once, at the first moment after the gap; one that comes twice runs once, the
/// first time. An expression of every hour (`*/15 * * * *`) runs whenever the clocks show such a time.
///
/// Any number of workers may have the same entry; each time is pushed once, never before the store's clock
/// has reached it. The job learns by [`Context::cron_due`](crate::Context::cron_due) which time it stands for.
///
/// ```
/// use std::time::Duration;
/// use serde_json::value::to_raw_value;
/// use windlass::{CatchUp, Cron, Overlap, Push};
///
/// let nightly = Cron::new("nightly", "0 3 * * *")?
///     .zone("Europe/Berlin")?
///     .jitter(Duration::from_secs(300))?
///     .catch_up(CatchUp::Once)?
///     .overlap(Overlap::Skip)
///     .raw("report", &to_raw_value(&"all")?, Push::new().queue("slow"))?;
///
/// let wrong = Cron::new("nightly", "0 25 * * *").unwrap_err();
/// assert_eq!(wrong.to_string(), "the hour `25` of the cron entry `nightly` is out of range 0 to 23");
/// # let _ = nightly;
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Cron {
    name: String,
    spec: String,
    zone: String,
    schedule: Schedule,
    jitter: Duration,
    catch_up: CatchUp,
    overlap: Overlap,
    work: Option<Work>,
}

/// What an entry pushes.
#[derive(Debug, Clone)]
struct Work {
    queue: String,
    envelope: Box<RawValue>,
}

impl Cron {
    /// An entry of this name with these times, in UTC. Its name is its identity: to put another entry of the
    /// same name changes it.
    ///
    /// # Errors
    /// [`Error::Name`], or [`Error::Cron`] with the field of the expression that cannot be read.
    pub fn new(name: impl Into<String>, spec: &str) -> Result<Self> {
        let name = name.into();
        check_name("cron entry", &name)?;
        let schedule = Schedule::new(Spec::parse(spec).map_err(|mistake| mistake.of(&name))?);
        let (spec, zone) = (spec.trim().to_owned(), "UTC".to_owned());
        let (jitter, catch_up, overlap) = (Duration::ZERO, CatchUp::default(), Overlap::default());
        Ok(Self { name, spec, zone, schedule, jitter, catch_up, overlap, work: None })
    }

    /// The zone of the times, by its IANA name. Known are those of the system, or else those of the release of
    /// the library.
    ///
    /// # Errors
    /// [`Error::Cron`] when no such zone is known.
    pub fn zone(mut self, zone: &str) -> Result<Self> {
        self.zone = self.schedule.set_zone(zone).map_err(|mistake| mistake.of(&self.name))?;
        Ok(self)
    }

    /// Each run is late by a different part of `jitter`, so that not everybody's jobs begin at the full hour;
    /// never so late that the next one is due. Default: not at all.
    ///
    /// # Errors
    /// [`Error::Cron`] when it is more than [`JITTER_MAX`].
    pub fn jitter(mut self, jitter: Duration) -> Result<Self> {
        if jitter > JITTER_MAX {
            return Err(self.wrong("jitter", format!("{jitter:?}"), "is out of range 0 to 24 hours"));
        }
        self.jitter = jitter;
        Ok(self)
    }

    /// What is done about times that passed while no worker ran. Default: [`CatchUp::Once`]. A pause is no such
    /// time: nothing that fell into it is made up.
    ///
    /// # Errors
    /// [`Error::Cron`] when the number is 0 or more than [`CATCH_UP_MAX`].
    pub fn catch_up(mut self, catch_up: CatchUp) -> Result<Self> {
        if let CatchUp::All(most) = catch_up
            && !(1..=CATCH_UP_MAX).contains(&most)
        {
            let problem = format!("is out of range 1 to {CATCH_UP_MAX}");
            return Err(self.wrong("catch_up", most.to_string(), &problem));
        }
        self.catch_up = catch_up;
        Ok(self)
    }

    /// What is done when the last job has not ended: enqueued, active, scheduled, waiting for a retry or
    /// parked. Default: [`Overlap::Allow`].
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// The job that is pushed each time.
    ///
    /// # Errors
    /// [`Error::Cron`] when an option holds for a single push only (a delay, a time, a key, a lock; see
    /// [`overlap`](Self::overlap) for one job at a time), [`Error::Name`]
    /// when a name cannot be part of a key, [`Error::Json`] when the job cannot be written.
    pub fn job<Style, J: Pushable<Style>>(self, job: &J, options: Push) -> Result<Self> {
        let envelope = envelope_of(job, &options);
        self.work(options.queue_or(J::QUEUE), &envelope, &options)
    }

    /// A job whose type is not known here.
    ///
    /// # Errors
    /// As [`job`](Self::job).
    pub fn raw(self, kind: &str, args: &RawValue, options: Push) -> Result<Self> {
        let mut envelope = Envelope::new(kind, args);
        options.apply(&mut envelope);
        self.work(options.queue_or("default"), &envelope, &options)
    }

    fn work(mut self, queue: &str, envelope: &Envelope<'_, impl Serialize>, options: &Push) -> Result<Self> {
        check_name("queue", queue)?;
        check_name("kind", &envelope.kind)?;
        options.lane.check()?;
        crate::tag::check(envelope)?;
        if let Some(option) = options.only_of_one_push() {
            return Err(self.wrong("job", option.into(), "is an option of a single push, not of many"));
        }
        if envelope.meta.as_ref().is_some_and(|meta| meta.contains_key(META)) {
            return Err(self.wrong(
                "meta",
                META.into(),
                "is what tells the job of its entry, use another name",
            ));
        }
        let envelope = serde_json::value::to_raw_value(envelope)?;
        self.work = Some(Work { queue: queue.to_owned(), envelope });
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first time after `after`, without jitter: to show what an expression means. `None` at the end of
    /// the calendar.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// let cron = windlass::Cron::new("noon", "0 12 * * *")?;
    /// assert_eq!(cron.next_after(UNIX_EPOCH), Some(UNIX_EPOCH + Duration::from_secs(12 * 3600)));
    /// # Ok::<(), windlass::Error>(())
    /// ```
    pub fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        let after = after.duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = self.schedule.next(u64::try_from(after.as_millis()).ok()?)?;
        Some(UNIX_EPOCH + Duration::from_millis(next))
    }

    /// Refuses an entry that nothing was said of what to push.
    pub(crate) fn check(&self) -> Result<()> {
        self.parts().map(drop)
    }

    pub(crate) fn overlaps(&self) -> Overlap {
        self.overlap
    }

    fn parts(&self) -> Result<&Work> {
        self.work.as_ref().ok_or_else(|| self.wrong("job", String::new(), "is missing"))
    }

    fn jitter_ms(&self) -> u64 {
        self.jitter.as_millis() as u64
    }

    pub(crate) fn wrong(&self, field: &'static str, value: String, problem: &str) -> Error {
        Mistake { field, value, problem: problem.to_owned() }.of(&self.name)
    }
}

impl Mistake {
    fn of(self, name: &str) -> Error {
        let Self { field, value, problem } = self;
        Error::Cron { name: name.to_owned(), field, value, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NAME_LEN_MAX;

    fn field_of(result: Result<Cron>) -> &'static str {
        match result.unwrap_err() {
            Error::Cron { field, .. } => field,
            Error::Name { what, .. } => what,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn wrong_parts_are_refused_where_they_are_given() {
        let cron = || Cron::new("n", "@daily").unwrap();
        let null = &serde_json::value::to_raw_value(&()).unwrap();
        let raw = |options| cron().raw("k", null, options);
        let now = SystemTime::now();
        assert_eq!(field_of(Cron::new("a b", "@daily")), "cron entry");
        assert_eq!(field_of(Cron::new("n".repeat(NAME_LEN_MAX + 1), "@daily")), "cron entry");
        assert_eq!(field_of(Cron::new("n", "0 0 * 13 *")), "month");
        for zone in ["", "Mars/Olympus", "CEST", "../etc/passwd", "+01:00"] {
            assert_eq!(field_of(cron().zone(zone)), "zone", "{zone}");
        }
        assert_eq!(field_of(cron().jitter(JITTER_MAX + Duration::from_millis(1))), "jitter");
        assert_eq!(field_of(cron().catch_up(CatchUp::All(0))), "catch_up");
        assert_eq!(field_of(cron().catch_up(CatchUp::All(CATCH_UP_MAX + 1))), "catch_up");
        assert_eq!(field_of(cron().raw("a b", null, Push::new())), "kind");
        assert_eq!(field_of(raw(Push::new().queue("a b"))), "queue");
        assert_eq!(field_of(raw(Push::new().delay(Duration::from_secs(1)))), "job");
        assert_eq!(field_of(raw(Push::new().key("k"))), "job");
        assert_eq!(field_of(raw(Push::new().unique(crate::Unique::until_done()))), "job");
        assert_eq!(field_of(raw(Push::new().expires_at(now))), "job");
        assert_eq!(field_of(raw(Push::new().deadline(now))), "job");
        assert_eq!(field_of(raw(Push::new().meta("cron", 1))), "meta");
        assert!(cron().check().is_err() && raw(Push::new()).unwrap().check().is_ok());
    }

    #[test]
    fn an_error_is_a_sentence_that_names_the_entry() {
        let zone = Cron::new("nightly", "@daily").unwrap().zone("Berlin").unwrap_err();
        assert_eq!(
            zone.to_string(),
            "the zone `Berlin` of the cron entry `nightly` is not an IANA time zone that is known here, such as Europe/Berlin"
        );
        assert_eq!(
            Cron::new("n", "@daily").unwrap().check().unwrap_err().to_string(),
            "the job `` of the cron entry `n` is missing"
        );
    }

    #[test]
    fn a_zone_is_named_as_its_database_writes_it() {
        assert_eq!(Cron::new("n", "@daily").unwrap().zone("europe/berlin").unwrap().zone, "Europe/Berlin");
    }
}
