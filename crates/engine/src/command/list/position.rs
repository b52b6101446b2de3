//! LPOS.

use windlass_resp::Value;

use crate::args::Args;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::state::Call;
use crate::types::List;

/// Which matches are asked for.
struct Options {
    /// Matches to skip before the first one that counts.
    skipped: usize,
    is_from_tail: bool,
    /// None asks for one index, not for an array of indices.
    count: Option<usize>,
    /// How many items are compared.
    compared_max: usize,
}

pub fn lpos(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let options = parse(args)?;
    let Some(list) = call.get::<List>(args[1])? else {
        return Ok(if options.count.is_some() { Value::Array(Vec::new()) } else { Value::Nil });
    };
    let len = list.len();
    let mut places: Vec<usize> = if options.is_from_tail {
        let places = matches(list.iter().rev(), args[2], &options);
        places.into_iter().map(|place| len - 1 - place).collect()
    } else {
        matches(list.iter(), args[2], &options)
    };
    Ok(match options.count {
        Some(_) => Value::Array(places.into_iter().map(Value::from).collect()),
        None => places.pop().into(),
    })
}

fn matches<'a>(items: impl Iterator<Item = &'a [u8]>, value: &[u8], options: &Options) -> Vec<usize> {
    items
        .take(options.compared_max)
        .enumerate()
        .filter(|(_, item)| *item == value)
        .map(|(place, _)| place)
        .skip(options.skipped)
        .take(options.count.unwrap_or(1))
        .collect()
}

fn parse(args: Args<'_>) -> Result<Options> {
    let mut options = Options { skipped: 0, is_from_tail: false, count: None, compared_max: usize::MAX };
    for option in args.from(3).chunks(2) {
        let [name, value] = option else { return Err(Error::SYNTAX) };
        match name.to_ascii_uppercase().as_slice() {
            b"RANK" => {
                let rank = parse_integer(value).ok_or(Error::NOT_INTEGER)?;
                if rank == 0 {
                    return Err(Error::new(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                         or use negative to start from the end of the list",
                    ));
                }
                options.is_from_tail = rank < 0;
                // The smallest number has no opposite, and Redis skips nothing for it.
                let number = rank.checked_abs().unwrap_or(1);
                options.skipped = usize::try_from(number - 1).unwrap_or(usize::MAX);
            }
            b"COUNT" => options.count = Some(unbounded_zero(value, "COUNT")?),
            b"MAXLEN" => options.compared_max = unbounded_zero(value, "MAXLEN")?,
            _ => return Err(Error::SYNTAX),
        }
    }
    Ok(options)
}

/// A number that must not be negative, of which 0 is no limit.
fn unbounded_zero(value: &[u8], name: &str) -> Result<usize> {
    let number = parse_integer(value).and_then(|number| usize::try_from(number).ok());
    match number.ok_or_else(|| Error::new(format!("ERR {name} can't be negative")))? {
        0 => Ok(usize::MAX),
        number => Ok(number),
    }
}
