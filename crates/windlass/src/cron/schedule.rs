//! A cron expression in a time zone: which moments it names, also where the clocks change.
//!
//! An expression that names some hours means a time of day, and has one moment for each: the first moment
//! after the gap for a time that a gap leaves out, the first of the two for a time that comes twice. One of
//! every hour means an interval, and has a moment whenever a clock on the wall shows a time that it names.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::field::Mistake;
use super::spec::Spec;

#[cfg(test)]
mod tests;

/// One second in milliseconds, the grain of schedules.
const SECOND_MS: u64 = 1000;

/// A cron expression in a time zone. Times are in milliseconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    spec: Spec,
    zone: TimeZone,
}

impl Schedule {
    pub(super) fn new(spec: Spec) -> Self {
        Self { spec, zone: TimeZone::UTC }
    }

    /// Sets the zone by its IANA name; answers the name as the database writes it.
    pub(super) fn set_zone(&mut self, name: &str) -> Result<String, Mistake> {
        let zone = TimeZone::get(name).map_err(|_| Mistake {
            field: "zone",
            value: name.chars().take(64).collect(),
            problem: "is not an IANA time zone that is known here, such as Europe/Berlin".into(),
        })?;
        self.zone = zone;
        Ok(self.zone.iana_name().unwrap_or(name).to_owned())
    }

    /// The first time after `after`; `None` at the end of the calendar.
    pub(super) fn next(&self, after: u64) -> Option<u64> {
        let after = Timestamp::from_second(i64::try_from(after / SECOND_MS).ok()?).ok()?;
        let next = if self.spec.is_of_every_hour() { self.next_real(after) } else { self.next_of_day(after) };
        u64::try_from(next?.as_millisecond()).ok()
    }

    /// The last time up to `until`, for a schedule that has the time `from`, which is not after `until`.
    ///
    /// A search by halves over [`next`](Self::next), so that an outage of any length costs some thirty steps.
    pub(super) fn last(&self, from: u64, until: u64) -> u64 {
        let is_reached = |next: Option<u64>| next.is_some_and(|next| next <= until);
        if !is_reached(self.next(from)) {
            return from;
        }
        // The next time after `low` is reached, that after `high` is not.
        let (mut low, mut high) = (from, until);
        while high - low > SECOND_MS {
            let middle = low + (high - low) / 2;
            if is_reached(self.next(middle)) { low = middle } else { high = middle }
        }
        self.next(low).unwrap_or(from)
    }

    /// The next time of day.
    fn next_of_day(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.to_datetime(after);
        loop {
            local = self.spec.at_or_after(local.checked_add(1.second()).ok()?)?;
            let at = self.moment(local)?;
            // Where local times repeat, those of the second round had their moment in the first.
            if at > after {
                return Some(at);
            }
        }
    }

    /// The moment that stands for a local time.
    fn moment(&self, local: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { before, .. } => {
                // By the old offset the time lies at or after the change.
                let shifted = before.to_timestamp(local).ok()?.checked_add(1.second()).ok()?;
                self.zone.preceding(shifted).next().map(|change| change.timestamp())
            }
        }
    }

    /// The next moment at which the wall shows a time of the expression.
    fn next_real(&self, after: Timestamp) -> Option<Timestamp> {
        let mut since = after;
        let mut from = self.zone.to_datetime(after).checked_add(1.second()).ok()?;
        loop {
            let local = self.spec.at_or_after(from)?;
            let at = self.zone.to_offset(since).to_timestamp(local).ok()?;
            match self.zone.following(since).next() {
                // The clocks change before that, so the search begins anew with what they show then.
                Some(change) if change.timestamp() <= at => {
                    since = change.timestamp();
                    from = self.zone.to_datetime(since);
                }
                _ => return Some(at),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn parse(spec: &str, zone: &str) -> Self {
        let mut schedule = Self::new(Spec::parse(spec).unwrap());
        schedule.set_zone(zone).unwrap();
        schedule
    }
}
