//! BITFIELD: integers of any width at any bit of a string.

use windlass_resp::Value;

use super::STRING_MAX;
use crate::args::Args;
use crate::blob::Blob;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;

/// The form of an integer: `i1` to `i64`, `u1` to `u63`.
#[derive(Clone, Copy)]
struct Form {
    is_signed: bool,
    width: usize,
}

/// What happens to a number that does not fit its form.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

struct Operation {
    form: Form,
    at: usize,
    overflow: Overflow,
    action: Action,
}

impl Form {
    fn parse(text: &[u8]) -> Result<Self> {
        let form = match text {
            [b'i', width @ ..] => width_of(width).filter(|width| *width <= 64).map(|width| (true, width)),
            [b'u', width @ ..] => width_of(width).filter(|width| *width <= 63).map(|width| (false, width)),
            _ => None,
        };
        form.map(|(is_signed, width)| Self { is_signed, width }).ok_or_else(|| {
            Error::new(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )
        })
    }

    fn range(self) -> (i128, i128) {
        let span = 1_i128 << self.width;
        if self.is_signed { (-span / 2, span / 2 - 1) } else { (0, span - 1) }
    }

    /// The number as it is stored, or none when it does not fit and that is a failure.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (low, high) = self.range();
        if (low..=high).contains(&number) {
            return i64::try_from(number).ok();
        }
        let fitted = match overflow {
            Overflow::Wrap => (number - low).rem_euclid(1 << self.width) + low,
            Overflow::Saturate => number.clamp(low, high),
            Overflow::Fail => return None,
        };
        i64::try_from(fitted).ok()
    }

    fn read(self, text: &[u8], at: usize) -> i64 {
        let mut bits: u64 = 0;
        for bit in at..at + self.width {
            let byte = text.get(bit / 8).copied().unwrap_or(0);
            bits = bits << 1 | u64::from(byte >> (7 - bit % 8) & 1);
        }
        if self.is_signed {
            let unused = 64 - self.width;
            (bits << unused) as i64 >> unused
        } else {
            bits as i64
        }
    }

    fn write(self, text: &mut [u8], at: usize, number: i64) {
        for place in 0..self.width {
            let bit = at + place;
            let mask = 0x80 >> (bit % 8);
            if number >> (self.width - 1 - place) & 1 == 1 {
                text[bit / 8] |= mask;
            } else {
                text[bit / 8] &= !mask;
            }
        }
    }
}

fn width_of(text: &[u8]) -> Option<usize> {
    crate::number::parse_integer(text)
        .and_then(|width| usize::try_from(width).ok())
        .filter(|width| *width > 0)
}

/// The bit that an offset means; `#3` counts in widths of the form.
fn offset(text: &[u8], form: Form) -> Result<usize> {
    let (text, unit) = match text {
        [b'#', rest @ ..] => (rest, form.width),
        text => (text, 1),
    };
    crate::number::parse_integer(text)
        .and_then(|number| usize::try_from(number).ok())
        .and_then(|number| number.checked_mul(unit))
        .filter(|bit| bit.saturating_add(form.width) / 8 <= STRING_MAX)
        .ok_or_else(|| Error::new("ERR bit offset is not an integer or out of range"))
}

fn parse(args: Args<'_>) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let word = args.word(at);
        if word == "OVERFLOW" && at + 1 < args.len() {
            overflow = match args.word(at + 1).as_str() {
                "WRAP" => Overflow::Wrap,
                "SAT" => Overflow::Saturate,
                "FAIL" => Overflow::Fail,
                _ => return Err(Error::new("ERR Invalid OVERFLOW type specified")),
            };
            at += 2;
            continue;
        }
        let width = if word == "GET" { 3 } else { 4 };
        if !matches!(word.as_str(), "GET" | "SET" | "INCRBY") || at + width > args.len() {
            return Err(Error::SYNTAX);
        }
        let form = Form::parse(args[at + 1])?;
        let bit = offset(args[at + 2], form)?;
        let action = match word.as_str() {
            "GET" => Action::Get,
            "SET" => Action::Set(args.integer(at + 3)?),
            _ => Action::Increment(args.integer(at + 3)?),
        };
        operations.push(Operation { form, at: bit, overflow, action });
        at += width;
    }
    Ok(operations)
}

pub fn bitfield(call: &mut Call<'_>) -> Answer {
    let operations = parse(call.args)?;
    run(call, &operations)
}

pub fn bitfield_ro(call: &mut Call<'_>) -> Answer {
    let operations = parse(call.args)?;
    if operations.iter().any(|operation| !matches!(operation.action, Action::Get)) {
        return Err(Error::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    run(call, &operations)
}

fn run(call: &mut Call<'_>, operations: &[Operation]) -> Answer {
    let key = call.args[1];
    let is_write = |operation: &&Operation| !matches!(operation.action, Action::Get);
    // A value is made as long as its furthest write needs, even when that write then fails.
    let end =
        operations.iter().filter(is_write).map(|operation| (operation.at + operation.form.width).div_ceil(8));
    let Some(end) = end.max() else {
        let text = call.get::<Blob>(key)?.map_or(&[][..], |text| text);
        let read = |operation: &Operation| Value::Integer(operation.form.read(text, operation.at));
        return Ok(Value::Array(operations.iter().map(read).collect()));
    };
    let mut has_changed = false;
    let mut text = call.make::<Blob>(key)?;
    if text.len() < end {
        text.edit(|text| text.resize(end, 0));
        has_changed = true;
    }
    let mut answers = Vec::with_capacity(operations.len());
    for operation in operations {
        let Operation { form, at, overflow, .. } = operation;
        let before = form.read(&text, *at);
        let (wanted, gives_before) = match operation.action {
            Action::Get => {
                answers.push(Value::Integer(before));
                continue;
            }
            // A negative number is a very large one where there is no sign.
            Action::Set(number) if !form.is_signed => (i128::from(number as u64), true),
            Action::Set(number) => (i128::from(number), true),
            Action::Increment(by) => (i128::from(before) + i128::from(by), false),
        };
        let Some(fitted) = form.fit(wanted, *overflow) else {
            answers.push(Value::Nil);
            continue;
        };
        form.write(&mut text, *at, fitted);
        has_changed |= fitted != before;
        answers.push(Value::Integer(if gives_before { before } else { fitted }));
    }
    drop(text);
    if has_changed {
        call.changed(key);
        call.log();
    }
    Ok(Value::Array(answers))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_written_is_read_and_nothing_else_changes(
            is_signed: bool,
            width in 1..=63_usize,
            at in 0..100_usize,
            number: i64,
            before in proptest::collection::vec(any::<u8>(), 24),
        ) {
            let form = Form { is_signed, width };
            let fitted = form.fit(number.into(), Overflow::Wrap).expect("wrapping always fits");
            let mut text = before.clone();
            form.write(&mut text, at, fitted);
            prop_assert_eq!(form.read(&text, at), fitted);
            let mask = |text: &[u8]| -> Vec<bool> {
                let bit = |bit: usize| text[bit / 8] >> (7 - bit % 8) & 1 == 1;
                (0..at).chain(at + width..text.len() * 8).map(bit).collect()
            };
            prop_assert_eq!(mask(&before), mask(&text));
        }

        #[test]
        fn a_number_that_fits_stays_as_it_is(is_signed: bool, width in 1..=63_usize, number: i64) {
            let form = Form { is_signed, width };
            let (low, high) = form.range();
            let number = i128::from(number);
            let fits = (low..=high).contains(&number);
            prop_assert_eq!(form.fit(number, Overflow::Fail).is_some(), fits);
            let clamped = i64::try_from(number.clamp(low, high)).unwrap();
            prop_assert_eq!(form.fit(number, Overflow::Saturate), Some(clamped));
        }
    }
}
