//! A cron expression: which local times it names. What those are in real time is `schedule`'s to say.

use jiff::civil::{Date, DateTime, Time};
use jiff::{ToSpan, civil};

use super::field::{DAY, HOUR, MINUTE, MONTH, Mistake, Numbers, SECOND, WEEKDAY};

/// Longest expression, in bytes.
pub(super) const SPEC_LEN_MAX: usize = 256;

/// Short names of common expressions.
const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Days that each month can have.
const DAYS: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A cron expression that was read. At least one date of the calendar matches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    seconds: Numbers,
    minutes: Numbers,
    hours: Numbers,
    days: Numbers,
    months: Numbers,
    weekdays: Numbers,
}

impl Spec {
    /// Reads an expression of five fields, of six with seconds first, or an alias.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = |problem: String| Mistake { field: "spec", value: shown(text), problem };
        if text.len() > SPEC_LEN_MAX {
            return Err(wrong(format!("has more than {SPEC_LEN_MAX} bytes")));
        }
        let text = text.trim();
        if text.starts_with('@') {
            let known = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(text));
            let names = || ALIASES.map(|(alias, _)| alias).join(", ");
            let (_, meaning) = known.ok_or_else(|| wrong(format!("is none of {}", names())))?;
            return Self::parse(meaning);
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match *fields.as_slice() {
            [a, b, c, d, e] => ("0", [a, b, c, d, e]),
            [second, a, b, c, d, e] => (second, [a, b, c, d, e]),
            _ => {
                let count = fields.len();
                let wanted = "5 (minute, hour, day-of-month, month, day-of-week) or 6 with the second first";
                return Err(wrong(format!(
                    "has {count} field{}, not {wanted}",
                    if count == 1 { "" } else { "s" }
                )));
            }
        };
        let spec = Self {
            seconds: SECOND.parse(second)?,
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: WEEKDAY.parse(weekday)?,
        };
        if spec.has_no_date() {
            let problem = format!("is a day that the month `{month}` never has");
            return Err(Mistake { field: DAY.name, value: day.to_owned(), problem });
        }
        Ok(spec)
    }

    /// Whether no date ever matches, such as February 30. Every date of a leap year falls on every day of
    /// the week at some time, so only the day and the month matter.
    fn has_no_date(&self) -> bool {
        let is_any_weekday_enough = !self.weekdays.is_star && !self.days.is_star;
        let fits = |(days, month): (i8, i8)| self.months.has(month) && self.days.first() <= days;
        !is_any_weekday_enough && !DAYS.into_iter().zip(1..).any(fits)
    }

    /// Whether it names all hours, so that it means every such minute of real time and no time of day.
    pub(super) fn is_of_every_hour(&self) -> bool {
        self.hours.are(24)
    }

    /// The first local time that it names from `from` on; `None` at the end of the calendar.
    pub(super) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        if self.has_date(from.date())
            && let Some(time) = self.time_at_or_after(from.time())
        {
            return Some(from.date().to_datetime(time));
        }
        let first = self.time_at_or_after(Time::midnight())?;
        Some(self.date_after(from.date())?.to_datetime(first))
    }

    fn time_at_or_after(&self, from: Time) -> Option<Time> {
        let (hour, minute) = (from.hour(), from.minute());
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.at_or_after(from.second())
            {
                return Some(civil::time(hour, minute, second, 0));
            }
            if let Some(minute) = self.minutes.at_or_after(minute + 1) {
                return Some(civil::time(hour, minute, self.seconds.first(), 0));
            }
        }
        let hour = self.hours.at_or_after(hour + 1)?;
        Some(civil::time(hour, self.minutes.first(), self.seconds.first(), 0))
    }

    /// Ends at a match or at the end of the calendar: months that do not match are passed over whole.
    fn date_after(&self, date: Date) -> Option<Date> {
        let mut date = date.tomorrow().ok()?;
        while !self.has_date(date) {
            date = if self.months.has(date.month()) {
                date.tomorrow().ok()?
            } else {
                date.first_of_month().checked_add(1.month()).ok()?
            };
        }
        Some(date)
    }

    fn has_date(&self, date: Date) -> bool {
        let is_day = self.days.has(date.day());
        let is_weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        // As in Vixie cron: when both fields restrict the day, one of them is enough.
        let is_either = !self.days.is_star && !self.weekdays.is_star;
        let is_fit = if is_either { is_day || is_weekday } else { is_day && is_weekday };
        is_fit && self.months.has(date.month())
    }

    /// Whether it names this local time: for tests, which compare it with the search.
    #[cfg(test)]
    pub(super) fn has(&self, at: DateTime) -> bool {
        let has_time =
            self.hours.has(at.hour()) && self.minutes.has(at.minute()) && self.seconds.has(at.second());
        has_time && self.has_date(at.date())
    }
}

/// The beginning of what was given, for a message.
fn shown(text: &str) -> String {
    text.chars().take(SPEC_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(left: &str, right: &str) {
        let [left, right] = [left, right].map(|spec| Spec::parse(spec).unwrap());
        let numbers = |spec: &Spec| {
            let Spec { seconds, minutes, hours, days, months, weekdays } = *spec;
            [seconds, minutes, hours, days, months, weekdays]
                .map(|of| (0..64).filter(|&number| of.has(number)).collect::<Vec<_>>())
        };
        assert_eq!(numbers(&left), numbers(&right));
    }

    #[test]
    fn the_same_can_be_written_in_many_ways() {
        let cases = [
            ("@hourly", "0 * * * *"),
            ("@Daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@weekly", "0 0 * * SUN"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 JAN *"),
            ("@annually", "0 0 1 1 *"),
            ("5 4 * * *", "0 5 4 * * *"),
            ("  5   4 * *\t* ", "5 4 * * *"),
            ("*/15 * * * *", "0,15,30,45 * * * *"),
            ("5/20 * * * *", "5,25,45 * * * *"),
            ("10-20/5 * * * *", "10,15,20 * * * *"),
            ("0 0 * jan-mar,DEC *", "0 0 * 1,2,3,12 *"),
            ("0 0 * * mon-FRI", "0 0 * * 1-5"),
            ("0 0 * * 7", "0 0 * * 0"),
            ("0 0 * * 5-7", "0 0 * * 0,5,6"),
            ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
            ("0 0 * * SUN-TUE", "0 0 * * 0-2"),
            ("0 0 * * */2", "0 0 * * 0,2,4,6"),
            ("0 0 * * 1/2", "0 0 * * 1,3,5,7"),
            ("*/1 * * * *", "* * * * *"),
            ("00 09 * * *", "0 9 * * *"),
        ];
        for (left, right) in cases {
            same(left, right);
        }
    }

    #[test]
    fn a_mistake_names_its_field() {
        let cases = [
            ("", "spec", "has 0 fields"),
            ("* * * *", "spec", "has 4 fields"),
            ("0 0 0 1 1 1 2026", "spec", "has 7 fields"),
            ("@reboot", "spec", "is none of @yearly"),
            ("60 0 * * * *", "second", "is out of range 0 to 59"),
            ("60 * * * *", "minute", "is out of range 0 to 59"),
            ("5,99999999999 * * * *", "minute", "has 99999999999, out of range 0 to 59"),
            ("*/0 * * * *", "minute", "has the step 0, out of range 1 to 59"),
            ("*/60 * * * *", "minute", "has the step 60, out of range 1 to 59"),
            ("*/x * * * *", "minute", "has the step `x`, which is no number"),
            ("*/5/5 * * * *", "minute", "has the step `5/5`, which is no number"),
            ("1, * * * *", "minute", "has ``, which is no number"),
            ("-5 * * * *", "minute", "has ``, which is no number"),
            ("+5 * * * *", "minute", "is no number"),
            ("** * * * *", "minute", "is no number"),
            ("0 24 * * *", "hour", "is out of range 0 to 23"),
            ("0 17-9 * * *", "hour", "has the range 17-9, which goes backwards"),
            ("0 0 0 * *", "day-of-month", "is out of range 1 to 31"),
            ("0 0 32 * *", "day-of-month", "is out of range 1 to 31"),
            ("0 0 L * *", "day-of-month", "is no number"),
            ("0 0 ? * *", "day-of-month", "is no number"),
            ("0 0 30 2 *", "day-of-month", "is a day that the month `2` never has"),
            ("0 0 31 4,6,SEP,11 *", "day-of-month", "is a day that the month `4,6,SEP,11` never has"),
            ("0 0 30 FEB */2", "day-of-month", "is a day that the month `FEB` never has"),
            ("0 0 * 13 *", "month", "is out of range 1 to 12"),
            ("0 0 * MAI *", "month", "is neither a number nor a name from JAN to DEC"),
            ("0 0 * * 8", "day-of-week", "is out of range 0 to 7"),
            (
                "0 0 * * MON-XYZ",
                "day-of-week",
                "has `XYZ`, which is neither a number nor a name from SUN to SAT",
            ),
            ("0 0 * * */7", "day-of-week", "has the step 7, out of range 1 to 6"),
        ];
        for (spec, field, problem) in cases {
            let mistake = Spec::parse(spec).expect_err(spec);
            assert_eq!(mistake.field, field, "{spec}");
            assert!(mistake.problem.starts_with(problem), "{spec}: {}", mistake.problem);
        }
        assert_eq!(Spec::parse(&"1,".repeat(SPEC_LEN_MAX)).unwrap_err().field, "spec");
    }

    #[test]
    fn either_field_of_days_is_enough_when_both_restrict() {
        let days = |spec: &str| {
            let spec = Spec::parse(spec).unwrap();
            let mut at = civil::date(2026, 11, 1).at(0, 0, 0, 0);
            let mut days = Vec::new();
            while let Some(next) = spec.at_or_after(at)
                && next.month() == 11
            {
                days.push(next.day());
                at = next.checked_add(1.second()).unwrap();
            }
            days
        };
        // November 2026 begins on a Sunday.
        assert_eq!(days("0 0 13 * *"), [13]);
        assert_eq!(days("0 0 * * FRI"), [6, 13, 20, 27]);
        assert_eq!(days("0 0 13,14 * FRI"), [6, 13, 14, 20, 27]);
        assert_eq!(days("0 0 */10 * *"), [1, 11, 21]);
        assert_eq!(days("0 0 */10 * SUN"), [1], "a field that begins with a star does not restrict alone");
    }

    #[test]
    fn rare_dates_are_found_and_the_end_of_the_calendar_is_none() {
        let from = civil::date(2026, 1, 1).at(0, 0, 0, 0);
        let next = |spec: &str, from| Spec::parse(spec).unwrap().at_or_after(from);
        assert_eq!(next("0 0 29 2 *", from), Some(civil::date(2028, 2, 29).at(0, 0, 0, 0)));
        // February 29 on a Saturday or Sunday: both must match, since the field of the week begins with a star.
        assert_eq!(next("0 0 29 2 */6", from), Some(civil::date(2032, 2, 29).at(0, 0, 0, 0)));
        assert_eq!(next("0 0 1 1 *", civil::date(9999, 12, 31).at(0, 0, 1, 0)), None);
    }
}
