//! Streams; `read::stream` says what they are made of.

use super::super::format::entry;
use super::super::output::Output;
use super::super::packed::Writer;
use crate::types::{Group, Id, Stream};

/// Entries of one listpack, and bytes beyond which it takes no further one: Redis's defaults.
const NODE_ENTRIES_MAX: usize = 100;
const NODE_BYTES_MAX: usize = 4096;

/// An entry: fields and values in turn.
type Content<'a> = (Id, Vec<&'a [u8]>);

pub fn write(output: &mut Output<'_>, stream: &Stream) {
    // How many nodes there are comes first, so that the stream is walked twice.
    let mut nodes = 0;
    each_node(stream, |_| nodes += 1);
    output.length(nodes);
    each_node(stream, |entries| {
        let (first, fields) = &entries[0];
        output.string(&raw_id(*first));
        output.string(&encode_node(*first, fields, entries));
    });
    output.length(stream.len() as u64);
    write_id(output, stream.last_id());
    write_id(output, stream.first_entry().unwrap_or(Id::MIN));
    write_id(output, stream.max_deleted_id());
    output.length(stream.entries_added());
    output.length(stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        output.string(name);
        write_group(output, group);
    }
}

/// Gives the entries of each node.
fn each_node(stream: &Stream, mut visit: impl FnMut(&[Content<'_>])) {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for (id, fields) in stream.range(Id::MIN, Id::MAX) {
        let fields: Vec<&[u8]> = fields.collect();
        let length: usize = fields.iter().map(|field| field.len()).sum();
        let is_full = entries.len() == NODE_ENTRIES_MAX || bytes + length > NODE_BYTES_MAX;
        if is_full && !entries.is_empty() {
            visit(&entries);
            entries.clear();
            bytes = 0;
        }
        entries.push((id, fields));
        bytes += length;
    }
    if !entries.is_empty() {
        visit(&entries);
    }
}

fn encode_node(first: Id, content: &[&[u8]], entries: &[Content<'_>]) -> Vec<u8> {
    let fields = || content.iter().step_by(2);
    let mut writer = Writer::new();
    let integer = |count: usize| i64::try_from(count).expect("counts of what is in memory are smaller");
    writer.integer(integer(entries.len()));
    writer.integer(0);
    writer.integer(integer(content.len() / 2));
    fields().for_each(|field| writer.text(field));
    writer.integer(0);
    for (id, content) in entries {
        let is_same = content.iter().step_by(2).eq(fields());
        writer.integer(if is_same { entry::SAME_FIELDS } else { 0 });
        writer.integer(id.ms.wrapping_sub(first.ms) as i64);
        writer.integer(id.seq.wrapping_sub(first.seq) as i64);
        // The marks, the two parts of the id, and without the same fields their number.
        let mut items = 3;
        if is_same {
            content.iter().skip(1).step_by(2).for_each(|value| writer.text(value));
            items += content.len() / 2;
        } else {
            writer.integer(integer(content.len() / 2));
            content.iter().for_each(|text| writer.text(text));
            items += 1 + content.len();
        }
        writer.integer(integer(items));
    }
    writer.finish()
}

fn write_group(output: &mut Output<'_>, group: &Group) {
    write_id(output, group.last_id);
    // What is unknown is -1.
    output.length(group.entries_read.unwrap_or(u64::MAX));
    output.length(group.pending_len() as u64);
    for (id, pending) in group.pending_range(Id::MIN, Id::MAX) {
        output.bytes(&raw_id(id));
        output.bytes(&pending.delivered_ms.to_le_bytes());
        output.length(pending.deliveries);
    }
    output.length(group.consumers().len() as u64);
    for consumer in group.consumers() {
        output.string(&consumer.name);
        output.bytes(&consumer.seen_ms.to_le_bytes());
        output.length(consumer.pending_len() as u64);
        let index = group.find_consumer(&consumer.name).expect("a consumer is found by its name");
        for (id, _) in group.pending_range_of(index, Id::MIN, Id::MAX) {
            output.bytes(&raw_id(id));
        }
    }
}

/// An id as two lengths.
fn write_id(output: &mut Output<'_>, id: Id) {
    output.length(id.ms);
    output.length(id.seq);
}

/// An id as its bytes, the highest first.
fn raw_id(id: Id) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}
