//! SORT and SORT_RO: the elements of a list, set or sorted set in an order, by themselves or by other keys.

use std::cmp::Ordering;

use windlass_resp::Value;

use self::options::Options;
use self::pattern::Pattern;
use crate::acl::User;
use crate::blob::Blob;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::number::parse_float;
use crate::object::{Kind, Object};
use crate::state::Call;
use crate::types::{End, List};

mod options;
mod pattern;

pub fn sort(call: &mut Call<'_>) -> Answer {
    run(call, true)
}

pub fn sort_ro(call: &mut Call<'_>) -> Answer {
    run(call, false)
}

fn run(call: &mut Call<'_>, may_store: bool) -> Answer {
    let may_look_up = call.state.users.get(&call.session.user).is_some_and(User::may_read_all);
    let options = Options::parse(call.args, may_store, may_look_up)?;
    let elements = ordered(call, &options)?;
    let range = options.limit.range(elements.len());
    let mut output: Vec<Option<Blob>> = Vec::new();
    for element in elements.into_iter().skip(range.start).take(range.len()) {
        if options.gets.is_empty() {
            output.push(Some(element));
            continue;
        }
        for get in &options.gets {
            output.push(get.look_up(call, &element));
        }
    }
    match options.store {
        Some(key) => store(call, key, output),
        None => {
            Ok(Value::Array(output.into_iter().map(|item| item.map_or(Value::Nil, Value::bulk)).collect()))
        }
    }
}

fn store(call: &mut Call<'_>, key: &[u8], output: Vec<Option<Blob>>) -> Answer {
    let count = output.len();
    if count == 0 {
        if call.remove(key) {
            call.log_as(&[b"DEL", key]);
        }
        return Ok(Value::Integer(0));
    }
    let mut list = List::new(call.state.config.seed);
    for item in output {
        list.push(End::Right, &item.unwrap_or_default());
    }
    call.set(key, list.wrap(), None);
    call.log();
    Ok(Value::from(count))
}

/// The elements of the key in the order that is asked for.
fn ordered(call: &mut Call<'_>, options: &Options<'_>) -> Result<Vec<Blob>> {
    let Some(value) = call.entry(call.args[1]).map(|entry| entry.value.clone()) else {
        return Ok(Vec::new());
    };
    let elements: Vec<Blob> = match &value {
        Object::List(list) => list.iter().map(Blob::from).collect(),
        Object::Set(set) => set.iter().map(|member| member.into_owned()).collect(),
        Object::SortedSet(zset) => zset.iter().map(|(member, _)| Blob::from(member)).collect(),
        Object::String(_) | Object::Hash(_) | Object::Stream(_) => return Err(Error::WRONG_TYPE),
    };
    let by = options.by.as_ref();
    // A set has no order of its own: what is stored, or what a script sees, must not depend on how it lies in memory.
    let is_set = matches!(value, Object::Set(_));
    if by.is_some_and(Pattern::is_constant) {
        if is_set && (options.store.is_some() || call.session.is_script) {
            return Ok(alphabetically(elements, options.is_descending));
        }
        return Ok(if options.is_descending && !is_set {
            elements.into_iter().rev().collect()
        } else {
            elements
        });
    }
    if options.is_alphabetic {
        let Some(by) = by else { return Ok(alphabetically(elements, options.is_descending)) };
        return Ok(sorted(elements, options.is_descending, |element| by.look_up(call, element), Ord::cmp));
    }
    let mut has_failed = false;
    let weight = |element: &Blob| {
        let text = by.map_or_else(|| Some(element.clone()), |by| by.look_up(call, element));
        let weight = text.map_or(Some(0.0), |text| number(&text));
        has_failed |= weight.is_none();
        (weight.unwrap_or(0.0), element.clone())
    };
    let by_weight = |a: &(f64, Blob), b: &(f64, Blob)| {
        a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
    };
    let sorted = sorted(elements, options.is_descending, weight, by_weight);
    if has_failed {
        return Err(Error::new("ERR One or more scores can't be converted into double"));
    }
    Ok(sorted)
}

fn alphabetically(mut elements: Vec<Blob>, is_descending: bool) -> Vec<Blob> {
    elements.sort();
    if is_descending {
        elements.reverse();
    }
    elements
}

/// Sorts by a value that is found once for each element.
fn sorted<W>(
    elements: Vec<Blob>,
    is_descending: bool,
    mut weight: impl FnMut(&Blob) -> W,
    compare: impl Fn(&W, &W) -> Ordering,
) -> Vec<Blob> {
    let mut weighed: Vec<(W, Blob)> =
        elements.into_iter().map(|element| (weight(&element), element)).collect();
    weighed.sort_by(|a, b| {
        let order = compare(&a.0, &b.0);
        if is_descending { order.reverse() } else { order }
    });
    weighed.into_iter().map(|(_, element)| element).collect()
}

/// A weight as `strtod` reads it: space may stand before it, nothing is 0, and a number that is too large or too small
/// to be read without loss is none.
fn number(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    parse_float(text.trim_ascii_start()).filter(|number| !number.is_subnormal())
}
