//! Taking items, waiting until there are some.
//!
//! What a blocking command did is logged as the plain command that does the same: a replay never waits.

use windlass_resp::Value;

use super::end;
use super::pop::{MultiPop, shift, take};
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{End, List};

pub fn blpop(call: &mut Call<'_>) -> Answer {
    pop(call, End::Left)
}

pub fn brpop(call: &mut Call<'_>) -> Answer {
    pop(call, End::Right)
}

fn pop(call: &mut Call<'_>, from: End) -> Answer {
    let args = call.args;
    let timeout_ms = args.timeout_ms(args.len() - 1)?;
    let keys = &args.from(1)[..args.len() - 2];
    for key in keys {
        if is_other_type(call, key)? {
            continue;
        }
        if let Some(item) = take(call, key, from, 1)?.and_then(|mut items| items.pop()) {
            call.log_as(&[if from == End::Left { b"LPOP" } else { b"RPOP" }, key]);
            return Ok(Value::Array(vec![Value::bulk(key), Value::bulk(item)]));
        }
    }
    call.wait(keys, timeout_ms);
    Ok(Value::NilArray)
}

pub fn blmpop(call: &mut Call<'_>) -> Answer {
    // Redis reads the timeout after everything else.
    let request = MultiPop::parse(call.args, 2)?;
    let timeout_ms = call.args.timeout_ms(1)?;
    for key in request.keys {
        if is_other_type(call, key)? {
            continue;
        }
        if let Some(reply) = request.pop(call, key)? {
            return Ok(reply);
        }
    }
    call.wait(request.keys, timeout_ms);
    Ok(Value::NilArray)
}

pub fn blmove(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (from, to) = (end(args, 3)?, end(args, 4)?);
    let timeout_ms = args.timeout_ms(5)?;
    move_or_wait(call, from, to, timeout_ms, &[b"LMOVE", args[1], args[2], args[3], args[4]])
}

pub fn brpoplpush(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let timeout_ms = args.timeout_ms(3)?;
    move_or_wait(call, End::Right, End::Left, timeout_ms, &[b"RPOPLPUSH", args[1], args[2]])
}

fn move_or_wait(call: &mut Call<'_>, from: End, to: End, timeout_ms: u64, record: &[&[u8]]) -> Answer {
    let (source, target) = (call.args[1], call.args[2]);
    if !is_other_type(call, source)?
        && let Some(item) = shift(call, source, target, from, to)?
    {
        call.log_as(record);
        return Ok(Value::bulk(item));
    }
    call.wait(&[source], timeout_ms);
    Ok(Value::Nil)
}

/// True when a waiting command meets a key that is no list now: it goes on waiting, as in Redis, where the same is an
/// error to a command that has just come.
fn is_other_type(call: &mut Call<'_>, key: &[u8]) -> Result<bool> {
    let is_waiting = call.state.waits.get(call.session.id).is_some();
    match call.get::<List>(key) {
        Err(error) if is_waiting && error == Error::WRONG_TYPE => Ok(true),
        Err(error) => Err(error),
        Ok(_) => Ok(false),
    }
}
