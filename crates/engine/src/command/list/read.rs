//! Reading items.

use windlass_resp::Value;

use super::{place, span};
use crate::command::Answer;
use crate::state::Call;
use crate::types::List;

pub fn llen(call: &mut Call<'_>) -> Answer {
    Ok(call.get::<List>(call.args[1])?.map_or(0, List::len).into())
}

pub fn lindex(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let Some(list) = call.get::<List>(args[1])? else { return Ok(Value::Nil) };
    let index = args.integer(2)?;
    Ok(place(index, list.len()).and_then(|place| list.get(place)).map(Value::bulk).into())
}

pub fn lrange(call: &mut Call<'_>) -> Answer {
    let (start, stop) = (call.args.integer(2)?, call.args.integer(3)?);
    let Some(list) = call.get::<List>(call.args[1])? else { return Ok(Value::Array(Vec::new())) };
    let (first, count) = span(start, stop, list.len());
    Ok(Value::Array(list.range(first, count).map(Value::bulk).collect()))
}
