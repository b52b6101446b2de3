//! A stream as the commands that rebuild it.
//!
//! An entry may be pending although it was deleted, and XCLAIM makes only existing entries pending. Such an entry is
//! added for as long as it takes to claim it: those before the first real entry then go by a trim, those after it by
//! XDEL, each as it must have gone before, so that the greatest deleted id comes out the same.

use std::collections::BTreeSet;

use super::{CHUNK_MAX, Sink};
use crate::command::stream::effect::{Delivered, Progress, Target, claim, set_progress};
use crate::types::{Group, Id, Stream};

pub fn dump(key: &[u8], stream: &Stream, sink: &mut Sink<'_>) {
    let deleted = deleted_but_pending(stream);
    let mut places = deleted.iter().copied().peekable();
    for (id, fields) in stream.range(Id::MIN, Id::MAX) {
        if sink.is_over {
            return;
        }
        while let Some(place) = places.next_if(|place| *place < id) {
            emit_place(key, place, sink);
        }
        let id = id.text();
        let mut effect: Vec<&[u8]> = vec![b"XADD", key, &id];
        effect.extend(fields);
        sink.give(&effect);
    }
    for place in places {
        emit_place(key, place, sink);
    }
    if stream.is_empty() && deleted.is_empty() {
        // The one way to make a stream without entries and without a group.
        let id = stream.last_id().max(Id::new(0, 1)).text();
        sink.give(&[b"XADD", key, b"MAXLEN", b"0", &id, b"", b""]);
    }
    for (name, group) in stream.groups() {
        dump_group(Target { key, group: name }, group, sink);
    }
    let (trimmed, removed): (Vec<Id>, Vec<Id>) =
        deleted.into_iter().partition(|id| stream.first_entry().is_none_or(|first| *id < first));
    for chunk in removed.chunks(CHUNK_MAX) {
        let ids: Vec<_> = chunk.iter().map(|id| id.text()).collect();
        let mut effect: Vec<&[u8]> = vec![b"XDEL", key];
        effect.extend(ids.iter().map(|id| &**id));
        sink.give(&effect);
    }
    if !trimmed.is_empty() {
        sink.give(&[b"XTRIM", key, b"MAXLEN", b"=", itoa::Buffer::new().format(stream.len()).as_bytes()]);
    }
    // XSETID can set an empty stream's last id below one that was deleted, but does not say so again.
    let (last_id, max_deleted_id) = (stream.last_id(), stream.max_deleted_id().min(stream.last_id()));
    let (last_id, max_deleted_id) = (last_id.text(), max_deleted_id.text());
    let mut added = itoa::Buffer::new();
    let added = added.format(stream.entries_added().min(i64::MAX as u64)).as_bytes();
    sink.give(&[b"XSETID", key, &last_id, b"ENTRIESADDED", added, b"MAXDELETEDID", &max_deleted_id]);
}

fn deleted_but_pending(stream: &Stream) -> BTreeSet<Id> {
    let pending = stream.groups().flat_map(|(_, group)| group.pending_range(Id::MIN, Id::MAX));
    let ids = pending.map(|(id, _)| id);
    // Beyond the last id there is nothing that could be added for a while; such an entry is forgotten.
    ids.filter(|id| *id <= stream.last_id() && !stream.contains(*id)).collect()
}

fn emit_place(key: &[u8], id: Id, sink: &mut Sink<'_>) {
    sink.give(&[b"XADD", key, &id.text(), b"", b""]);
}

fn dump_group(target: Target<'_>, group: &Group, sink: &mut Sink<'_>) {
    sink.give(&[b"XGROUP", b"CREATE", target.key, target.group, &group.last_id.text()]);
    if group.entries_read.is_some() {
        let progress = Progress { last_id: group.last_id, entries_read: group.entries_read };
        set_progress(target, progress, |args: &[&[u8]]| sink.give(args));
    }
    for consumer in group.consumers() {
        sink.give(&[b"XGROUP", b"CREATECONSUMER", target.key, target.group, &consumer.name]);
        let index = group.find_consumer(&consumer.name).expect("a consumer is found by its name");
        let mut batch: Vec<Delivered> = Vec::new();
        for (id, pending) in group.pending_range_of(index, Id::MIN, Id::MAX) {
            let next = Delivered { id, delivered_ms: pending.delivered_ms, deliveries: pending.deliveries };
            if batch.len() == CHUNK_MAX || batch.first().is_some_and(|first| !first.is_alike(&next)) {
                claim(target, &consumer.name, &batch, |args: &[&[u8]]| sink.give(args));
                batch.clear();
            }
            batch.push(next);
        }
        claim(target, &consumer.name, &batch, |args: &[&[u8]]| sink.give(args));
    }
}
