//! Reading a key by the commands of its type: the questions, and what the replies say.

use windlass_resp::Value;

use super::content::{Consumer, Content, Group, Pending, Stream};

/// A type of keys whose content is read by one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A hash.
    Hash,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

impl Kind {
    /// The type that TYPE names; none for one of a module.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "list" => Self::List,
            "set" => Self::Set,
            "hash" => Self::Hash,
            "zset" => Self::SortedSet,
            "stream" => Self::Stream,
            _ => return None,
        })
    }

    /// The command that reads all of a key.
    pub fn question(self, key: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::String => vec![b"GET", key],
            Self::List => vec![b"LRANGE", key, b"0", b"-1"],
            Self::Set => vec![b"SMEMBERS", key],
            Self::Hash => vec![b"HGETALL", key],
            Self::SortedSet => vec![b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            Self::Stream => vec![b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"],
        }
    }

    /// What the reply to the question says; none when it is not one, or when there is no such key any more.
    pub fn content(self, reply: Value) -> Option<Content> {
        Some(match self {
            Self::String => Content::String(bytes(reply)?),
            Self::List => Content::List(items(reply)?.into_iter().map(bytes).collect::<Option<_>>()?),
            Self::Set => Content::Set(items(reply)?.into_iter().map(bytes).collect::<Option<_>>()?),
            Self::Hash => {
                let pair = |(field, value)| Some((bytes(field)?, bytes(value)?));
                Content::Hash(pairs(reply)?.into_iter().map(pair).collect::<Option<_>>()?)
            }
            Self::SortedSet => {
                let pair = |(member, score)| Some((bytes(member)?, number(score)?));
                Content::SortedSet(pairs(reply)?.into_iter().map(pair).collect::<Option<_>>()?)
            }
            Self::Stream => Content::Stream(stream(reply)?),
        })
    }
}

fn stream(reply: Value) -> Option<Stream> {
    let mut stream = Stream::default();
    for (name, value) in pairs(reply)? {
        match text(name)?.as_str() {
            "last-generated-id" => stream.last_id = text(value)?,
            "max-deleted-entry-id" => stream.max_deleted_id = Some(text(value)?),
            "entries-added" => stream.entries_added = Some(integer(value)?),
            "entries" => {
                let entry = |entry| {
                    let [id, fields] = <[Value; 2]>::try_from(items(entry)?).ok()?;
                    Some((text(id)?, items(fields)?.into_iter().map(bytes).collect::<Option<_>>()?))
                };
                stream.entries = items(value)?.into_iter().map(entry).collect::<Option<_>>()?;
            }
            "groups" => stream.groups = items(value)?.into_iter().map(group).collect::<Option<_>>()?,
            _ => {}
        }
    }
    Some(stream)
}

fn group(reply: Value) -> Option<Group> {
    let mut group = Group::default();
    for (name, value) in pairs(reply)? {
        match text(name)?.as_str() {
            "name" => group.name = bytes(value)?,
            "last-delivered-id" => group.last_id = text(value)?,
            "entries-read" => group.entries_read = integer(value),
            "consumers" => {
                group.consumers = items(value)?.into_iter().map(consumer).collect::<Option<_>>()?
            }
            _ => {}
        }
    }
    Some(group)
}

fn consumer(reply: Value) -> Option<Consumer> {
    let mut consumer = Consumer::default();
    for (name, value) in pairs(reply)? {
        match text(name)?.as_str() {
            "name" => consumer.name = bytes(value)?,
            "pending" | "pel" => {
                let entry = |entry| {
                    let [id, delivered, deliveries] = <[Value; 3]>::try_from(items(entry)?).ok()?;
                    let (delivered_ms, deliveries) = (integer(delivered)?, integer(deliveries)?);
                    Some(Pending { id: text(id)?, delivered_ms, deliveries })
                };
                consumer.pending = items(value)?.into_iter().map(entry).collect::<Option<_>>()?;
            }
            _ => {}
        }
    }
    Some(consumer)
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bulk(bytes) => Some(bytes),
        Value::Simple(text) => Some(text.into_owned().into_bytes()),
        Value::Verbatim(_, text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

fn integer(value: Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(number),
        other => text(other)?.parse().ok(),
    }
}

fn number(value: Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(number),
        Value::Integer(number) => Some(number as f64),
        other => text(other)?.parse().ok(),
    }
}

fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Some(items),
        _ => None,
    }
}

/// Pairs, be they a map, a flat array or an array of pairs.
fn pairs(value: Value) -> Option<Vec<(Value, Value)>> {
    let items = match value {
        Value::Map(pairs) => return Some(pairs),
        other => items(other)?,
    };
    if items.iter().all(|item| matches!(item, Value::Array(pair) if pair.len() == 2)) {
        let pair = |pair| <[Value; 2]>::try_from(self::items(pair)?).ok().map(Into::into);
        return items.into_iter().map(pair).collect();
    }
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let Some(first) = items.next() {
        pairs.push((first, items.next()?));
    }
    Some(pairs)
}
