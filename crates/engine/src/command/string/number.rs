//! Numbers in strings: INCR and its relatives.

use windlass_resp::Value;

use crate::blob::Blob;
use crate::command::Answer;
use crate::decimal::Decimal;
use crate::error::Error;
use crate::number::parse_integer;
use crate::object::Kind;
use crate::state::Call;

pub fn incr(call: &mut Call<'_>) -> Answer {
    add(call, 1)
}

pub fn decr(call: &mut Call<'_>) -> Answer {
    add(call, -1)
}

pub fn incrby(call: &mut Call<'_>) -> Answer {
    let by = call.args.integer(2)?;
    add(call, by)
}

pub fn decrby(call: &mut Call<'_>) -> Answer {
    let by = call.args.integer(2)?;
    let by = by.checked_neg().ok_or_else(|| Error::new("ERR decrement would overflow"))?;
    add(call, by)
}

fn add(call: &mut Call<'_>, by: i64) -> Answer {
    let key = call.args[1];
    let written = |sum: i64| Blob::from(itoa::Buffer::new().format(sum).as_bytes());
    let mut sum = None;
    if let Some(mut text) = call.get_mut::<Blob>(key)? {
        let before = parse_integer(&text).ok_or(Error::NOT_INTEGER)?;
        let after = before.checked_add(by).ok_or(Error::OVERFLOW)?;
        *text = written(after);
        sum = Some(after);
    }
    match sum {
        Some(_) => call.grew(key),
        None => call.set(key, written(by).wrap(), None),
    }
    let sum = sum.unwrap_or(by);
    call.log();
    Ok(Value::Integer(sum))
}

pub fn incrbyfloat(call: &mut Call<'_>) -> Answer {
    let key = call.args[1];
    let before = match call.get::<Blob>(key)? {
        Some(text) => Decimal::parse(text).ok_or(Error::NOT_FLOAT)?,
        None => Decimal::Exact(0),
    };
    let by = Decimal::parse(call.args[2]).ok_or(Error::NOT_FLOAT)?;
    let sum = before.add(by).ok_or_else(|| Error::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.format();
    *call.make::<Blob>(key)? = Blob::from(text.as_bytes());
    call.grew(key);
    // The sum itself is logged, so that a Redis with another float replays the same.
    call.log_as(&[b"SET", key, text.as_bytes(), b"KEEPTTL"]);
    Ok(Value::bulk(text))
}
