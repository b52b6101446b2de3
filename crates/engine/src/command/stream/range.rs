//! XLEN, XRANGE and XREVRANGE.

use windlass_resp::Value;

use super::{entry_value, id};
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{Id, Stream};

pub fn xlen(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.get::<Stream>(call.args[1])?.map_or(0, Stream::len)))
}

pub fn xrange(call: &mut Call<'_>) -> Answer {
    range(call, call.args[2], call.args[3], |stream, from, to, count| {
        stream.range(from, to).take(count).map(entry_value).collect()
    })
}

pub fn xrevrange(call: &mut Call<'_>) -> Answer {
    range(call, call.args[3], call.args[2], |stream, from, to, count| {
        stream.range(from, to).rev().take(count).map(entry_value).collect()
    })
}

fn range(
    call: &mut Call<'_>,
    start: &[u8],
    end: &[u8],
    collect: fn(&Stream, Id, Id, usize) -> Vec<Value>,
) -> Answer {
    let (from, to) = (id::parse_start(start)?, id::parse_end(end)?);
    let count = count(call)?;
    let Some(stream) = call.get::<Stream>(call.args[1])? else { return Ok(Value::Array(Vec::new())) };
    match count {
        Some(0) => Ok(Value::NilArray),
        count => Ok(Value::Array(collect(stream, from, to, count.unwrap_or(usize::MAX)))),
    }
}

/// The value of COUNT, the only option; a negative one counts as 0.
fn count(call: &Call<'_>) -> Result<Option<usize>> {
    let (args, mut count, mut at) = (call.args, None, 4);
    while at < args.len() {
        if !args.is(at, "COUNT") || at + 1 >= args.len() {
            return Err(Error::SYNTAX);
        }
        count = Some(usize::try_from(args.integer(at + 1)?).unwrap_or(0));
        at += 2;
    }
    Ok(count)
}
