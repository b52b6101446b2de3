//! XPENDING.

use windlass_resp::Value;

use super::{id, id_value, no_key_or_group};
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{Group, Id, Stream};

/// What the long form of XPENDING asks for.
struct Query<'a> {
    idle_min_ms: u64,
    from: Id,
    to: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

pub fn xpending(call: &mut Call<'_>) -> Answer {
    let query = if call.args.len() == 3 { None } else { Some(parse(call)?) };
    let (key, name, now_ms) = (call.args[1], call.args[2], call.now.millis());
    let group = call.get::<Stream>(key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_key_or_group(key, name))?;
    Ok(query.map_or_else(|| summary(group), |query| list(group, &query, now_ms)))
}

fn parse<'a>(call: &Call<'a>) -> Result<Query<'a>> {
    let args = call.args;
    if args.len() < 6 || args.len() > 9 {
        return Err(Error::SYNTAX);
    }
    let (mut idle_min_ms, mut at) = (0, 3);
    if args.is(3, "IDLE") {
        idle_min_ms = u64::try_from(args.integer(4)?).unwrap_or(0);
        if args.len() < 8 {
            return Err(Error::SYNTAX);
        }
        at = 5;
    }
    let count = usize::try_from(args.integer(at + 2)?).unwrap_or(0);
    let (from, to) = (id::parse_start(args[at])?, id::parse_end(args[at + 1])?);
    Ok(Query { idle_min_ms, from, to, count, consumer: args.get(at + 3) })
}

/// How many are pending, the first and last of them, and how many each consumer has.
fn summary(group: &Group) -> Value {
    let mut all = group.pending_range(Id::MIN, Id::MAX).map(|(id, _)| id);
    let Some(first) = all.next() else {
        return Value::Array(vec![Value::Integer(0), Value::Nil, Value::Nil, Value::NilArray]);
    };
    let last = all.next_back().unwrap_or(first);
    let consumers = group.consumers().filter(|consumer| consumer.pending_len() > 0).map(|consumer| {
        let count = itoa::Buffer::new().format(consumer.pending_len()).to_owned();
        Value::Array(vec![Value::bulk(&consumer.name), Value::from(&*count)])
    });
    let total = Value::from(group.pending_len());
    Value::Array(vec![total, id_value(first), id_value(last), Value::Array(consumers.collect())])
}

fn list(group: &Group, query: &Query<'_>, now_ms: u64) -> Value {
    let (from, to) = (query.from, query.to);
    let pending: Box<dyn Iterator<Item = _>> = match query.consumer {
        None => Box::new(group.pending_range(from, to)),
        Some(name) => match group.find_consumer(name) {
            Some(index) => Box::new(group.pending_range_of(index, from, to)),
            None => return Value::Array(Vec::new()),
        },
    };
    let idle_ms = |delivered_ms: u64| now_ms.saturating_sub(delivered_ms);
    let rows = pending
        .filter(|(_, pending)| idle_ms(pending.delivered_ms) >= query.idle_min_ms)
        .take(query.count)
        .map(|(id, pending)| {
            Value::Array(vec![
                id_value(id),
                Value::bulk(&group.consumer(pending.consumer).name),
                number(idle_ms(pending.delivered_ms)),
                number(pending.deliveries),
            ])
        });
    Value::Array(rows.collect())
}

/// A count or a time as a reply.
pub fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
