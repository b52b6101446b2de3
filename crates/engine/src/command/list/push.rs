//! Adding items at the ends.

use windlass_resp::Value;

use crate::command::Answer;
use crate::state::Call;
use crate::types::{End, List};

pub fn lpush(call: &mut Call<'_>) -> Answer {
    push(call, End::Left)
}

pub fn rpush(call: &mut Call<'_>) -> Answer {
    push(call, End::Right)
}

pub fn lpushx(call: &mut Call<'_>) -> Answer {
    push_to_existing(call, End::Left)
}

pub fn rpushx(call: &mut Call<'_>) -> Answer {
    push_to_existing(call, End::Right)
}

fn push_to_existing(call: &mut Call<'_>, end: End) -> Answer {
    if call.get::<List>(call.args[1])?.is_none() {
        return Ok(Value::Integer(0));
    }
    push(call, end)
}

fn push(call: &mut Call<'_>, end: End) -> Answer {
    let (key, items) = (call.args[1], call.args.from(2));
    let mut list = call.make::<List>(key)?;
    for item in items {
        list.push(end, item);
    }
    let len = list.len();
    drop(list);
    call.grew(key);
    call.log();
    Ok(len.into())
}
