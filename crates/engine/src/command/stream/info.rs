//! XINFO.

use windlass_resp::Value;

use super::pending::number;
use super::{entry_value, id_value, no_group_of_key};
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{Consumer, Group, Id, Stream};

/// How many entries and pending entries XINFO STREAM FULL shows of each when COUNT does not say.
const FULL_COUNT: usize = 10;

pub fn stream(call: &mut Call<'_>) -> Answer {
    let count = full_count(call);
    // Redis looks for the key first.
    let stream = existing(call)?;
    Ok(count?.map_or_else(|| summary(stream), |count| full(stream, count)))
}

pub fn groups(call: &mut Call<'_>) -> Answer {
    let stream = existing(call)?;
    Ok(Value::Array(stream.groups().map(|(name, group)| group_value(stream, name, group)).collect()))
}

pub fn consumers(call: &mut Call<'_>) -> Answer {
    let (key, name) = (call.args[2], call.args[3]);
    // When a consumer was last seen is not logged: one who was not seen since the start counts as seen then.
    let (now_ms, started_ms) = (call.now.millis(), call.state.started.millis());
    let group = existing(call)?.group(name).ok_or_else(|| no_group_of_key(key, name))?;
    let row = |consumer: &Consumer| {
        let idle_ms = now_ms.saturating_sub(consumer.seen_ms.max(started_ms));
        map([
            ("name", Value::bulk(&consumer.name)),
            ("pending", Value::from(consumer.pending_len())),
            ("idle", number(idle_ms)),
        ])
    };
    Ok(Value::Array(group.consumers().map(row).collect()))
}

fn existing<'a>(call: &'a mut Call<'_>) -> Result<&'a Stream> {
    call.get::<Stream>(call.args[2])?.ok_or(Error::NO_KEY)
}

/// How many of each FULL shows; none without FULL.
fn full_count(call: &Call<'_>) -> Result<Option<usize>> {
    let args = call.args;
    match args.len() {
        3 => Ok(None),
        4 if args.is(3, "FULL") => Ok(Some(FULL_COUNT)),
        6 if args.is(3, "FULL") && args.is(4, "COUNT") => {
            let count = usize::try_from(args.integer(5)?).unwrap_or(FULL_COUNT);
            Ok(Some(if count == 0 { usize::MAX } else { count }))
        }
        _ => Err(Error::subcommand_arguments("xinfo", args[1])),
    }
}

fn summary(stream: &Stream) -> Value {
    let mut pairs = common(stream);
    let mut all = stream.range(Id::MIN, Id::MAX);
    let first = all.next().map(entry_value);
    let last = all.next_back().map(entry_value).or_else(|| first.clone());
    pairs.push(("groups".into(), Value::from(stream.groups().len())));
    pairs.push(("first-entry".into(), Value::from(first)));
    pairs.push(("last-entry".into(), Value::from(last)));
    Value::Map(pairs)
}

fn full(stream: &Stream, count: usize) -> Value {
    let mut pairs = common(stream);
    let entries = stream.range(Id::MIN, Id::MAX).take(count).map(entry_value).collect();
    let groups = stream.groups().map(|(name, group)| full_group(stream, name, group, count)).collect();
    pairs.push(("entries".into(), Value::Array(entries)));
    pairs.push(("groups".into(), Value::Array(groups)));
    Value::Map(pairs)
}

fn common(stream: &Stream) -> Vec<(Value, Value)> {
    let Value::Map(pairs) = map([
        ("length", Value::from(stream.len())),
        // Redis keeps its entries in a radix tree of nodes; these are our blocks, and one root.
        ("radix-tree-keys", Value::from(stream.blocks())),
        ("radix-tree-nodes", Value::from(stream.blocks() + 1)),
        ("last-generated-id", id_value(stream.last_id())),
        ("max-deleted-entry-id", id_value(stream.max_deleted_id())),
        ("entries-added", number(stream.entries_added())),
        ("recorded-first-entry-id", id_value(stream.first_entry().unwrap_or_default())),
    ]) else {
        unreachable!("a map was just made");
    };
    pairs
}

fn group_value(stream: &Stream, name: &[u8], group: &Group) -> Value {
    map([
        ("name", Value::bulk(name)),
        ("consumers", Value::from(group.consumers().len())),
        ("pending", Value::from(group.pending_len())),
        ("last-delivered-id", id_value(group.last_id)),
        ("entries-read", Value::from(group.entries_read.map(number))),
        ("lag", Value::from(stream.lag(group))),
    ])
}

fn full_group(stream: &Stream, name: &[u8], group: &Group, count: usize) -> Value {
    let pending = group.pending_range(Id::MIN, Id::MAX).take(count).map(|(id, pending)| {
        Value::Array(vec![
            id_value(id),
            Value::bulk(&group.consumer(pending.consumer).name),
            number(pending.delivered_ms),
            number(pending.deliveries),
        ])
    });
    map([
        ("name", Value::bulk(name)),
        ("last-delivered-id", id_value(group.last_id)),
        ("entries-read", Value::from(group.entries_read.map(number))),
        ("lag", Value::from(stream.lag(group))),
        ("pel-count", Value::from(group.pending_len())),
        ("pending", Value::Array(pending.collect())),
        ("consumers", Value::Array(group.consumers().map(|one| full_consumer(group, one, count)).collect())),
    ])
}

fn full_consumer(group: &Group, consumer: &Consumer, count: usize) -> Value {
    let index = group.find_consumer(&consumer.name).expect("a consumer is found by its name");
    let pending = group.pending_range_of(index, Id::MIN, Id::MAX).take(count).map(|(id, pending)| {
        Value::Array(vec![id_value(id), number(pending.delivered_ms), number(pending.deliveries)])
    });
    map([
        ("name", Value::bulk(&consumer.name)),
        ("seen-time", number(consumer.seen_ms)),
        ("pel-count", Value::from(consumer.pending_len())),
        ("pending", Value::Array(pending.collect())),
    ])
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}
