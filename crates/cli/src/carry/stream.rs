//! A stream as JSON, with its groups, their consumers and what is pending.

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use windlass_db::carry::{Consumer, Group, Pending, Stream};

use super::lines::{bytes, text};

/// The value of a stream.
pub fn encode(stream: &Stream) -> Value {
    let entry = |(id, fields): &(String, Vec<Vec<u8>>)| {
        let fields: Value = fields.iter().map(|field| text(field)).collect();
        json!([id, fields])
    };
    json!({
        "last_id": stream.last_id,
        "entries_added": stream.entries_added,
        "max_deleted_id": stream.max_deleted_id,
        "entries": stream.entries.iter().map(entry).collect::<Value>(),
        "groups": stream.groups.iter().map(encode_group).collect::<Value>(),
    })
}

fn encode_group(group: &Group) -> Value {
    let pending = |entry: &Pending| json!([entry.id, entry.delivered_ms, entry.deliveries]);
    let consumer = |consumer: &Consumer| {
        let pending: Value = consumer.pending.iter().map(pending).collect();
        json!({ "name": text(&consumer.name), "pending": pending })
    };
    json!({
        "name": text(&group.name),
        "last_id": group.last_id,
        "entries_read": group.entries_read,
        "consumers": group.consumers.iter().map(consumer).collect::<Value>(),
    })
}

/// The stream of a value.
///
/// # Errors
/// A sentence that names the field.
pub fn decode(value: &Value) -> Result<Stream> {
    let entry = |entry: &Value| match entry.as_array().map(Vec::as_slice) {
        Some([id, Value::Array(fields)]) if !fields.is_empty() && fields.len().is_multiple_of(2) => {
            Ok((check_id(id).context("an entry")?, fields.iter().map(bytes).collect::<Result<_>>()?))
        }
        _ => Err(anyhow!("the entry {entry} is not an id with fields and values")),
    };
    Ok(Stream {
        last_id: id(value, "last_id")?,
        entries_added: optional_number(value, "entries_added")?,
        max_deleted_id: match value.get("max_deleted_id") {
            None | Some(Value::Null) => None,
            Some(_) => Some(id(value, "max_deleted_id")?),
        },
        entries: items(value, "entries")?.iter().map(entry).collect::<Result<_>>()?,
        groups: items(value, "groups")?.iter().map(decode_group).collect::<Result<_>>()?,
    })
}

fn decode_group(value: &Value) -> Result<Group> {
    Ok(Group {
        name: name(value)?,
        last_id: id(value, "last_id")?,
        entries_read: optional_number(value, "entries_read")?,
        consumers: items(value, "consumers")?.iter().map(decode_consumer).collect::<Result<_>>()?,
    })
}

fn decode_consumer(value: &Value) -> Result<Consumer> {
    let entry = |entry: &Value| {
        let parts = entry.as_array().map(Vec::as_slice);
        let Some([id, delivered, deliveries]) = parts else {
            return Err(anyhow!("{entry} in `pending` is not an id, a time and a count"));
        };
        let (delivered_ms, deliveries) = (delivered.as_i64(), deliveries.as_i64());
        let numbers = delivered_ms.zip(deliveries).with_context(|| format!("{entry} in `pending`"));
        let (delivered_ms, deliveries) = numbers?;
        Ok(Pending { id: check_id(id)?, delivered_ms, deliveries })
    };
    let pending = items(value, "pending")?.iter().map(entry).collect::<Result<_>>()?;
    Ok(Consumer { name: name(value)?, pending })
}

fn name(value: &Value) -> Result<Vec<u8>> {
    bytes(value.get("name").context("`name` is missing")?).context("`name`")
}

fn items<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value.get(field).and_then(Value::as_array).with_context(|| format!("`{field}` is not an array"))
}

fn id(value: &Value, field: &str) -> Result<String> {
    check_id(value.get(field).unwrap_or(&Value::Null)).with_context(|| format!("`{field}`"))
}

/// An id as Redis writes it.
fn check_id(value: &Value) -> Result<String> {
    let is_id = |text: &&str| {
        let parts = text.split_once('-');
        parts.is_some_and(|(millis, number)| millis.parse::<u64>().is_ok() && number.parse::<u64>().is_ok())
    };
    let text = value.as_str().filter(is_id).with_context(|| format!("{value} is not an id"))?;
    Ok(text.to_owned())
}

fn optional_number(value: &Value, field: &str) -> Result<Option<i64>> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(number) => number.as_i64().map(Some).with_context(|| format!("`{field}` is not a whole number")),
    }
}
