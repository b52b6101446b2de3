//! One field of a cron expression: which of its numbers it names.

/// A field that has a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Which field of the entry.
    pub(crate) field: &'static str,
    /// What was given.
    pub(crate) value: String,
    /// What is wrong with it, as the end of a sentence.
    pub(crate) problem: String,
}

/// What a field may hold.
pub(super) struct Field {
    pub(super) name: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "second", min: 0, max: 59, names: &[] };
pub(super) const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
pub(super) const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
pub(super) const DAY: Field = Field { name: "day-of-month", min: 1, max: 31, names: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// Sunday is 0 and 7.
pub(super) const WEEKDAY: Field =
    Field { name: "day-of-week", min: 0, max: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

/// The numbers that a field names, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    bits: u64,
    /// Whether the field begins with `*`, which decides how the two fields of days go together.
    pub(super) is_star: bool,
}

impl Numbers {
    /// Whether the number is among them.
    pub(super) fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits.checked_shr(number).unwrap_or(0) & 1 == 1)
    }

    /// The least of them that is not less than `number`.
    pub(super) fn at_or_after(self, number: i8) -> Option<i8> {
        let number = u32::try_from(number).unwrap_or(0);
        let rest = self.bits.checked_shr(number).unwrap_or(0);
        (rest != 0).then(|| (number + rest.trailing_zeros()) as i8)
    }

    /// The least of them; a field names one at least.
    pub(super) fn first(self) -> i8 {
        self.bits.trailing_zeros() as i8
    }

    /// Whether these are `count` numbers.
    pub(super) fn are(self, count: u32) -> bool {
        self.bits.count_ones() == count
    }
}

impl Field {
    /// Reads a list of numbers, names, ranges and steps.
    pub(super) fn parse(&self, text: &str) -> Result<Numbers, Mistake> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= self.parse_item(item, text)?;
        }
        // Sunday has two numbers; one is enough from here on.
        if self.max == WEEKDAY.max && bits & (1 << WEEKDAY.max) != 0 {
            bits = (bits | 1) & !(1 << WEEKDAY.max);
        }
        Ok(Numbers { bits, is_star: text.starts_with('*') })
    }

    fn parse_item(&self, item: &str, text: &str) -> Result<u64, Mistake> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.parse_step(step, text)?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => {
                let (first, mut last) = (self.parse_one(first, text)?, self.parse_one(last, text)?);
                // FRI-SUN ends a week that began on Monday.
                if self.max == WEEKDAY.max && last == 0 && first > 0 {
                    last = WEEKDAY.max;
                }
                if first > last {
                    return Err(self.mistake(text, format!("has the range {range}, which goes backwards")));
                }
                (first, last)
            }
            // As in other crons, 5/15 begins at 5 and goes on to the end.
            None => {
                let first = self.parse_one(range, text)?;
                (first, if step.is_some() { self.max } else { first })
            }
        };
        // The second Sunday must not shift the days of a step that goes through the week: */2 ends on Saturday.
        let last = if self.max == WEEKDAY.max && range == "*" { WEEKDAY.max - 1 } else { last };
        Ok((first..=last).step_by(usize::from(step.unwrap_or(1))).fold(0, |bits, number| bits | 1 << number))
    }

    fn parse_step(&self, step: &str, text: &str) -> Result<u8, Mistake> {
        let most = if self.max == WEEKDAY.max { 6 } else { self.max };
        match number(step) {
            Some(step) if (1..=u16::from(most)).contains(&step) => Ok(step as u8),
            Some(_) => Err(self.mistake(text, format!("has the step {step}, out of range 1 to {most}"))),
            None => Err(self.mistake(text, format!("has the step `{step}`, which is no number"))),
        }
    }

    fn parse_one(&self, one: &str, text: &str) -> Result<u8, Mistake> {
        if let Some(place) = self.names.iter().position(|name| name.eq_ignore_ascii_case(one)) {
            return Ok(place as u8 + self.min);
        }
        match number(one) {
            Some(number) if (u16::from(self.min)..=u16::from(self.max)).contains(&number) => Ok(number as u8),
            Some(_) => {
                let what = if one == text { "is".into() } else { format!("has {one},") };
                Err(self.mistake(text, format!("{what} out of range {} to {}", self.min, self.max)))
            }
            None => {
                let what = if one == text { "is".into() } else { format!("has `{one}`, which is") };
                let known = if self.names.is_empty() { "no number" } else { "neither a number nor a name" };
                let hint = match self.names {
                    [first, .., last] => format!(" from {first} to {last}"),
                    _ => String::new(),
                };
                Err(self.mistake(text, format!("{what} {known}{hint}")))
            }
        }
    }

    fn mistake(&self, value: &str, problem: String) -> Mistake {
        Mistake { field: self.name, value: value.to_owned(), problem }
    }
}

/// Digits only: no sign, and nothing so long that its value would matter.
fn number(text: &str) -> Option<u16> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().unwrap_or(u16::MAX))
}
