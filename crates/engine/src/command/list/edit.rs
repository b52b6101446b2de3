//! Changing items inside a list.

use windlass_resp::Value;

use super::{place, span};
use crate::command::Answer;
use crate::error::Error;
use crate::state::Call;
use crate::types::{End, List};

pub fn lset(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let Some(mut list) = call.get_mut::<List>(key)? else { return Err(Error::NO_KEY) };
    let place = place(args.integer(2)?, list.len()).ok_or(Error::INDEX_RANGE)?;
    list.set(place, args[3]);
    drop(list);
    call.changed(key);
    call.log();
    Ok(Value::OK)
}

pub fn linsert(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let after = match &*args.word(2) {
        "BEFORE" => 0,
        "AFTER" => 1,
        _ => return Err(Error::SYNTAX),
    };
    let Some(mut list) = call.get_mut::<List>(key)? else { return Ok(Value::Integer(0)) };
    let Some(pivot) = list.iter().position(|item| item == args[3]) else { return Ok(Value::Integer(-1)) };
    list.insert(pivot + after, args[4]);
    let len = list.len();
    drop(list);
    call.changed(key);
    call.log();
    Ok(len.into())
}

pub fn lrem(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let count = args.integer(2)?;
    let end = if count < 0 { End::Right } else { End::Left };
    let limit = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let Some(mut list) = call.get_mut::<List>(key)? else { return Ok(Value::Integer(0)) };
    let removed = list.remove(args[3], end, limit);
    drop(list);
    if removed > 0 {
        call.changed(key);
        call.log();
    }
    Ok(removed.into())
}

pub fn ltrim(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    let Some(mut list) = call.get_mut::<List>(key)? else { return Ok(Value::OK) };
    let (first, count) = span(start, stop, list.len());
    let removed = list.keep(first, count);
    drop(list);
    call.changed(key);
    if removed > 0 {
        call.log();
    }
    Ok(Value::OK)
}
