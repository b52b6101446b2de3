//! The commands that make a key from its content.

use std::collections::BTreeSet;

use super::content::{Content, Group, Stream};

/// The most words after the key in one command; even, for pairs.
const CHUNK_MAX: usize = 128;

/// A command as owned words.
pub type Words = Vec<Vec<u8>>;

/// The commands, in order, for a key that is not there.
pub fn commands(key: &[u8], content: &Content) -> Vec<Words> {
    match content {
        Content::String(text) => vec![words(&[b"SET", key, text])],
        Content::List(items) => chunks(b"RPUSH", key, items.iter().cloned()),
        Content::Set(members) => chunks(b"SADD", key, members.iter().cloned()),
        Content::Hash(fields) => {
            chunks(b"HSET", key, fields.iter().flat_map(|(field, value)| [field.clone(), value.clone()]))
        }
        Content::SortedSet(members) => {
            let pairs = members.iter().flat_map(|(member, score)| [score_text(*score), member.clone()]);
            chunks(b"ZADD", key, pairs)
        }
        Content::Stream(stream) => of_stream(key, stream),
    }
}

/// The shortest text that reads back as the same number.
fn score_text(score: f64) -> Vec<u8> {
    match score {
        f64::INFINITY => b"inf".to_vec(),
        f64::NEG_INFINITY => b"-inf".to_vec(),
        score => format!("{score:?}").into_bytes(),
    }
}

fn words(words: &[&[u8]]) -> Words {
    words.iter().map(|word| word.to_vec()).collect()
}

fn chunks(name: &[u8], key: &[u8], all: impl Iterator<Item = Vec<u8>>) -> Vec<Words> {
    let mut all = all.peekable();
    let mut commands = Vec::new();
    while all.peek().is_some() {
        let head = [name.to_vec(), key.to_vec()];
        commands.push(head.into_iter().chain(all.by_ref().take(CHUNK_MAX)).collect());
    }
    commands
}

/// An entry may be pending although it was deleted. It is added for as long as it takes to claim it.
fn of_stream(key: &[u8], stream: &Stream) -> Vec<Words> {
    let mut commands = Vec::new();
    let last = order(&stream.last_id);
    let real: BTreeSet<(u64, u64)> = stream.entries.iter().map(|(id, _)| order(id)).collect();
    let pending =
        stream.groups.iter().flat_map(|group| &group.consumers).flat_map(|consumer| &consumer.pending);
    let deleted: BTreeSet<(u64, u64)> =
        pending.map(|entry| order(&entry.id)).filter(|id| *id <= last && !real.contains(id)).collect();
    let mut places = deleted.iter().copied().peekable();
    for (id, fields) in &stream.entries {
        while let Some(place) = places.next_if(|place| *place < order(id)) {
            commands.push(words(&[b"XADD", key, text(place).as_bytes(), b"", b""]));
        }
        let head = words(&[b"XADD", key, id.as_bytes()]);
        commands.push(head.into_iter().chain(fields.iter().cloned()).collect());
    }
    commands.extend(places.map(|place| words(&[b"XADD", key, text(place).as_bytes(), b"", b""])));
    if commands.is_empty() {
        // The one way to make a stream without entries and without a group.
        let id = text(last.max((0, 1)));
        commands.push(words(&[b"XADD", key, b"MAXLEN", b"0", id.as_bytes(), b"", b""]));
    }
    stream.groups.iter().for_each(|group| of_group(key, group, &mut commands));
    commands.extend(deleted.into_iter().map(|id| words(&[b"XDEL", key, text(id).as_bytes()])));
    let mut end = words(&[b"XSETID", key, stream.last_id.as_bytes()]);
    if let (Some(added), Some(deleted)) = (stream.entries_added, &stream.max_deleted_id) {
        let added = added.to_string();
        end.extend(words(&[b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", deleted.as_bytes()]));
    }
    commands.push(end);
    commands
}

fn of_group(key: &[u8], group: &Group, commands: &mut Vec<Words>) {
    let (name, last_id) = (&group.name[..], group.last_id.as_bytes());
    commands.push(words(&[b"XGROUP", b"CREATE", key, name, last_id]));
    if let Some(read) = group.entries_read {
        let read = read.to_string();
        commands.push(words(&[b"XGROUP", b"SETID", key, name, last_id, b"ENTRIESREAD", read.as_bytes()]));
    }
    for consumer in &group.consumers {
        commands.push(words(&[b"XGROUP", b"CREATECONSUMER", key, name, &consumer.name]));
        for entry in &consumer.pending {
            let (at, count) = (entry.delivered_ms.to_string(), entry.deliveries.to_string());
            let head = words(&[b"XCLAIM", key, name, &consumer.name, b"0", entry.id.as_bytes()]);
            let times = [b"TIME", at.as_bytes(), b"RETRYCOUNT", count.as_bytes(), b"FORCE", b"JUSTID"];
            commands.push(head.into_iter().chain(words(&times)).collect());
        }
    }
}

/// An id as numbers; one that is none comes first, and the command with it is refused.
fn order(id: &str) -> (u64, u64) {
    let (millis, number) = id.split_once('-').unwrap_or((id, "0"));
    (millis.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

fn text((millis, number): (u64, u64)) -> String {
    format!("{millis}-{number}")
}
