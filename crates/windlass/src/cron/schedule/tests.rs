//! Times of schedules: a table of what happens where clocks change, and a search by brute force to compare with.

use jiff::{SignedDuration, Zoned};
use proptest::prelude::*;

use super::*;

/// The times after a moment, as RFC 3339 in the zone, without the date where it is the same.
fn times(spec: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(spec, zone);
    let mut at = ms(after);
    let mut times = Vec::new();
    for _ in 0..count {
        at = schedule.next(at).unwrap();
        let zoned = Timestamp::from_millisecond(at as i64).unwrap().to_zoned(schedule.zone.clone());
        times.push(zoned.strftime("%m-%d %H:%M%:z").to_string());
    }
    times
}

fn ms(at: &str) -> u64 {
    at.parse::<Timestamp>().unwrap().as_millisecond() as u64
}

/// What happens around changes of clocks. Each line is a schedule, its zone, a moment, and the times after it.
#[test]
fn clocks_that_change_leave_nothing_out_and_run_nothing_twice() {
    let cases: &[(&str, &str, &str, &[&str])] = &[
        // Berlin, from 02:00 to 03:00 on 2026-03-29: a time in the gap runs once, at its end.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T23:00:00Z",
            &["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"],
        ),
        ("0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["03-29 03:00+02:00", "03-30 02:00+02:00"]),
        // Several times of one gap, and one at its end, are one moment.
        (
            "*/20 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            &["03-29 03:00+02:00", "03-30 02:00+02:00"],
        ),
        (
            "0 2,3,4 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            &["03-29 03:00+02:00", "03-29 04:00+02:00", "03-30 02:00+02:00"],
        ),
        // Real quarter hours, with no hole and no double.
        (
            "*/15 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:29:59Z",
            &["03-29 01:30+01:00", "03-29 01:45+01:00", "03-29 03:00+02:00", "03-29 03:15+02:00"],
        ),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", &["03-29 03:00+02:00", "03-29 04:00+02:00"]),
        // Berlin, from 03:00 back to 02:00 on 2026-10-25: a time that comes twice runs once, the first time.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["10-25 02:30+02:00", "10-26 02:30+01:00"]),
        // Asked between the two: the first has been.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", &["10-26 02:30+01:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", &["10-26 02:30+01:00"]),
        ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["10-25 03:00+01:00", "10-26 03:00+01:00"]),
        // Some hours, though many: times of day.
        ("0 */2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", &["10-25 02:00+02:00", "10-25 04:00+01:00"]),
        // Every hour: the hour that comes twice runs twice.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &["10-25 02:30+02:00", "10-25 02:30+01:00", "10-25 03:30+01:00"],
        ),
        (
            "*/15 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:44:00Z",
            &["10-25 02:45+02:00", "10-25 02:00+01:00", "10-25 02:15+01:00"],
        ),
        // New York, 2026-03-08 and 2026-11-01.
        (
            "15 2 * * SUN",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["03-08 03:00-04:00", "03-15 02:15-04:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &["11-01 01:30-04:00", "11-02 01:30-05:00"],
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-11-01T04:30:00Z",
            &["11-01 01:00-04:00", "11-01 01:00-05:00", "11-01 02:00-05:00"],
        ),
        // Lord Howe changes by half an hour: a gap from 02:00 to 02:30 on 2026-10-04 …
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            &["10-04 02:30+11:00", "10-05 02:15+11:00"],
        ),
        ("30 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["10-04 02:30+11:00"]),
        (
            "*/15 * * * *",
            "Australia/Lord_Howe",
            "2026-10-03T15:10:00Z",
            &["10-04 01:45+10:30", "10-04 02:30+11:00", "10-04 02:45+11:00"],
        ),
        // … and from 02:00 back to 01:30 on 2026-04-05.
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            &["04-05 01:45+11:00", "04-06 01:45+10:30"],
        ),
        (
            "*/15 * * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:44:00Z",
            &["04-05 01:45+11:00", "04-05 01:30+10:30", "04-05 01:45+10:30", "04-05 02:00+10:30"],
        ),
        // A day that never was: Samoa had no 2011-12-30. What it left out runs as the next day begins.
        ("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", &["12-31 00:00+14:00", "12-31 09:00+14:00"]),
        // Zones whose clocks do not change.
        ("30 2 * * *", "Asia/Kolkata", "2026-03-28T20:00:00Z", &["03-29 02:30+05:30", "03-30 02:30+05:30"]),
        ("30 2 * * *", "UTC", "2026-03-29T01:00:00Z", &["03-29 02:30+00:00", "03-30 02:30+00:00"]),
        // Years beyond the table of the zone go on by its rule.
        ("30 2 * * *", "Europe/Berlin", "2060-03-27T12:00:00Z", &["03-28 03:00+02:00", "03-29 02:30+02:00"]),
    ];
    for (spec, zone, after, expected) in cases {
        assert_eq!(times(spec, zone, after, expected.len()), *expected, "{spec} in {zone} after {after}");
    }
}

#[test]
fn seconds_are_kept_and_parts_of_them_are_not() {
    let schedule = Schedule::parse("*/20 * * * * *", "UTC");
    let base = ms("2026-01-01T00:00:00Z");
    assert_eq!(schedule.next(base), Some(base + 20_000));
    assert_eq!(schedule.next(base + 19_999), Some(base + 20_000));
    assert_eq!(schedule.next(base + 20_000), Some(base + 40_000));
    assert_eq!(schedule.next(base + 20_001), Some(base + 40_000));
}

#[test]
fn the_last_time_before_a_moment_is_found() {
    let schedule = Schedule::parse("0 3 * * *", "Europe/Berlin");
    let from = schedule.next(ms("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(schedule.last(from, from), from);
    assert_eq!(schedule.last(from, ms("2026-12-31T23:00:00Z")), ms("2026-12-31T02:00:00Z"));
    assert_eq!(schedule.last(from, ms("2026-07-01T00:59:59.999Z")), ms("2026-06-30T01:00:00Z"));
    assert_eq!(schedule.last(from, ms("2026-07-01T01:00:00Z")), ms("2026-07-01T01:00:00Z"));
    let dense = Schedule::parse("* * * * * *", "UTC");
    assert_eq!(dense.last(1000, 100_000_500), 100_000_000);
}

#[test]
fn times_out_of_the_calendar_are_none() {
    let schedule = Schedule::parse("* * * * *", "UTC");
    for after in [u64::MAX, i64::MAX as u64, 253_402_300_799_000] {
        assert_eq!(schedule.next(after), None, "{after}");
    }
}

fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (1..=max).prop_map(|step| format!("*/{step}")),
        3 => (min..=max).prop_map(|number| number.to_string()),
        2 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (min..=max, min..=max).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Around every change of clocks of a year, the next time is that of a walk from minute to minute.
    #[test]
    fn the_next_time_is_that_of_a_walk_over_all_minutes(
        minute in field(0, 59), hour in field(0, 23), weekday in field(0, 6), zone in zone(),
        change in 0..2_usize, before in 0..180_i64, second in 0..60_i64,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * {weekday}"), zone);
        let base: Timestamp = "2026-01-15T00:00:00Z".parse().unwrap();
        let base = schedule.zone.following(base).nth(change).map_or(base, |change| change.timestamp());
        let after = base - SignedDuration::from_secs(before * 60 + second);
        let mut walk = Timestamp::from_second(after.as_second().div_euclid(60) * 60 + 60).unwrap();
        let end = after + SignedDuration::from_hours(24 * 9);
        while walk < end && !is_time(&schedule, walk) {
            walk += SignedDuration::from_mins(1);
        }
        let next = schedule.next(after.as_millisecond() as u64).unwrap();
        prop_assert_eq!(Timestamp::from_millisecond(next as i64).unwrap(), walk);
    }

    /// The search by halves finds what a walk from time to time finds.
    #[test]
    fn the_last_time_is_that_of_a_walk_over_all_times(
        minute in field(0, 59), hour in field(0, 23), zone in zone(), hours in 0..100_u64, rest in 0..3_600_000_u64,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone);
        let from = schedule.next(ms("2026-10-24T00:00:00Z")).unwrap();
        let until = from + hours * 3_600_000 + rest;
        let mut walk = from;
        while let Some(next) = schedule.next(walk) && next <= until {
            walk = next;
        }
        prop_assert_eq!(schedule.last(from, until), walk);
    }
}

/// Whether the schedule has this moment, said by the rules and without any search.
fn is_time(schedule: &Schedule, at: Timestamp) -> bool {
    let zoned: Zoned = at.to_zoned(schedule.zone.clone());
    let shows = schedule.spec.has(zoned.datetime());
    if schedule.spec.is_of_every_hour() {
        return shows;
    }
    // A change that ends here: some minute of the gap may be due now.
    let before = (at - SignedDuration::from_secs(1)).to_zoned(schedule.zone.clone());
    let skipped = zoned.offset().seconds() - before.offset().seconds();
    let in_gap = (1..=skipped / 60)
        .any(|minutes| schedule.spec.has(zoned.datetime().checked_sub(minutes.minutes()).unwrap()));
    // The second of two rounds: the same local time was there before.
    let first = schedule.zone.to_ambiguous_timestamp(zoned.datetime()).earlier().unwrap();
    in_gap || (shows && first == at)
}
