//! Numbers in fields.

use windlass_resp::Value;

use crate::command::Answer;
use crate::decimal::Decimal;
use crate::error::Error;
use crate::number::parse_integer;
use crate::state::Call;
use crate::types::Hash;

pub fn hincrby(call: &mut Call<'_>) -> Answer {
    let (key, field) = (call.args[1], call.args[2]);
    let by = call.args.integer(3)?;
    let before = match call.get::<Hash>(key)?.and_then(|hash| hash.get(field)) {
        Some(text) => parse_integer(text).ok_or_else(|| Error::new("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = before.checked_add(by).ok_or(Error::OVERFLOW)?;
    call.make::<Hash>(key)?.set(field, itoa::Buffer::new().format(sum).as_bytes());
    call.grew(key);
    call.log();
    Ok(Value::Integer(sum))
}

pub fn hincrbyfloat(call: &mut Call<'_>) -> Answer {
    let (key, field) = (call.args[1], call.args[2]);
    let by = Decimal::parse(call.args[3]).ok_or(Error::NOT_FLOAT)?;
    if matches!(by, Decimal::Float(number) if number.is_infinite()) {
        return Err(Error::new("ERR value is NaN or Infinity"));
    }
    let before = match call.get::<Hash>(key)?.and_then(|hash| hash.get(field)) {
        Some(text) => Decimal::parse(text).ok_or_else(|| Error::new("ERR hash value is not a float"))?,
        None => Decimal::Exact(0),
    };
    let sum = before.add(by).ok_or_else(|| Error::new("ERR increment would produce NaN or Infinity"))?;
    let text = sum.format();
    call.make::<Hash>(key)?.set(field, text.as_bytes());
    call.changed(key);
    // The sum itself is logged, so that a Redis with another float replays the same.
    call.log_as(&[b"HSET", key, field, text.as_bytes()]);
    Ok(Value::bulk(text))
}
