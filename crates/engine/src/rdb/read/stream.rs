//! Streams: listpacks of entries under the id of the first, then what is known of the past, then the groups with what
//! is pending.
//!
//! A listpack begins with the first entry's fields, by which others that have the same are shortened: its count, the
//! count of deleted ones, the number of fields, the fields, a zero. Then for each entry its marks, its id as a
//! distance from the first, its content, and how many items it took.

use std::collections::BTreeMap;

use super::super::error::Result;
use super::super::format::{ID_BYTES, entry, kind};
use super::super::input::Input;
use super::super::packed::{Item, decode_listpack};
use super::{Packed, malformed, past};
use crate::types::{ENTRY_BYTES_MAX, Group, Id, Pending, Stream};

/// More than an item of an entry takes beyond its bytes.
const ITEM_BYTES: usize = 8;

pub fn read(input: &mut Input<'_>, kind: u8, seed: u64) -> Result<Stream> {
    let mut stream = Stream::new(seed);
    for _ in 0..input.length()? {
        let offset = input.offset();
        let Some(first) = raw_id(&input.string()?) else {
            return Err(malformed(offset, "a node of a stream has no id"));
        };
        let packed = Packed::read(input)?;
        let items = packed.decode(decode_listpack)?;
        let read = read_entries(&mut Items(&items), first, &mut stream);
        read.ok_or_else(|| malformed(packed.offset, "a node of a stream is not made of entries"))?;
    }
    let offset = input.offset();
    let length = input.length()?;
    if length != stream.len() as u64 {
        return Err(malformed(offset, "a stream does not have its length"));
    }
    let last_id = read_id(input)?;
    if last_id < stream.last_id() {
        return Err(malformed(offset, "a stream's last id is before its last entry"));
    }
    let (max_deleted_id, added) = if kind == kind::STREAM_LISTPACKS {
        (Id::MIN, length)
    } else {
        // Which entry is the first can be seen.
        read_id(input)?;
        (read_id(input)?, input.length()?)
    };
    stream.set_history(last_id, Some(added), Some(max_deleted_id));
    for _ in 0..input.length()? {
        let offset = input.offset();
        let name = input.string()?;
        let group = read_group(input, kind, &stream)?;
        if !stream.add_group(&name, group) {
            return Err(malformed(offset, "a group of a stream is there twice"));
        }
    }
    Ok(stream)
}

/// The items of a listpack from the front.
struct Items<'a>(&'a [Item<'a>]);

impl<'a> Items<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [Item<'a>]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn integer(&mut self) -> Option<i64> {
        self.take(1)?[0].integer()
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok()
    }
}

/// Adds the entries of a listpack; none when it is not made of entries in the order of their ids.
fn read_entries(items: &mut Items<'_>, first: Id, stream: &mut Stream) -> Option<()> {
    let (mut live, mut deleted) = (items.count()?, items.count()?);
    let count = items.count()?;
    let fields = items.take(count)?;
    if items.integer()? != 0 {
        return None;
    }
    while !items.0.is_empty() {
        let before = items.0.len();
        let marks = items.integer()?;
        let ms = first.ms.wrapping_add_signed(items.integer()?);
        let id = Id::new(ms, first.seq.wrapping_add_signed(items.integer()?));
        let mut content: Vec<Item<'_>> = Vec::new();
        if marks & entry::SAME_FIELDS != 0 {
            for (field, value) in fields.iter().zip(items.take(fields.len())?) {
                content.extend([*field, *value]);
            }
        } else {
            let count = items.count()?;
            content.extend(items.take(count.checked_mul(2)?)?);
        }
        let taken = before - items.0.len();
        if items.count()? != taken {
            return None;
        }
        if marks & entry::DELETED != 0 {
            deleted = deleted.checked_sub(1)?;
            continue;
        }
        live = live.checked_sub(1)?;
        let texts: Vec<_> = content.iter().map(|item| item.text()).collect();
        let texts: Vec<&[u8]> = texts.iter().map(|text| &**text).collect();
        let bytes: usize = texts.iter().map(|text| text.len() + ITEM_BYTES).sum();
        if id <= stream.last_id() || bytes + ITEM_BYTES > ENTRY_BYTES_MAX {
            return None;
        }
        stream.push(id, &texts);
    }
    (live == 0 && deleted == 0).then_some(())
}

fn read_group(input: &mut Input<'_>, kind: u8, stream: &Stream) -> Result<Group> {
    let last_id = read_id(input)?;
    let mut group = Group::new(last_id, None);
    group.entries_read = if kind == kind::STREAM_LISTPACKS {
        // It was not counted then; where the entries before can be counted, it is known all the same.
        let lag = stream.lag(&group).and_then(|lag| u64::try_from(lag).ok());
        lag.and_then(|lag| stream.entries_added().checked_sub(lag))
    } else {
        // What is unknown is written as -1.
        Some(input.length()?).filter(|read| *read <= i64::MAX as u64)
    };
    let mut pending: BTreeMap<Id, (u64, u64)> = BTreeMap::new();
    for _ in 0..input.length()? {
        let offset = input.offset();
        let id = read_raw_id(input)?;
        let delivered_ms = past(i64::from_le_bytes(input.array()?));
        let deliveries = input.length()?.min(i64::MAX as u64);
        if pending.insert(id, (delivered_ms, deliveries)).is_some() {
            return Err(malformed(offset, "an entry is pending twice"));
        }
    }
    for _ in 0..input.length()? {
        read_consumer(input, kind, &mut group, &mut pending)?;
    }
    if pending.is_empty() { Ok(group) } else { Err(input.malformed("an entry is pending under no consumer")) }
}

/// Reads a consumer and moves what is pending under it from `pending` to the group.
fn read_consumer(
    input: &mut Input<'_>,
    kind: u8,
    group: &mut Group,
    pending: &mut BTreeMap<Id, (u64, u64)>,
) -> Result<()> {
    let offset = input.offset();
    let name = input.string()?;
    let seen_ms = past(i64::from_le_bytes(input.array()?));
    if kind == kind::STREAM_LISTPACKS_3 {
        // When it last got something is not kept.
        input.array::<8>()?;
    }
    let (consumer, is_new) = group.see_consumer(&name, seen_ms);
    if !is_new {
        return Err(malformed(offset, "a consumer of a group is there twice"));
    }
    for _ in 0..input.length()? {
        let offset = input.offset();
        let id = read_raw_id(input)?;
        let (delivered_ms, deliveries) = pending
            .remove(&id)
            .ok_or_else(|| malformed(offset, "an entry is pending under a consumer and not in its group"))?;
        group.assign(id, Pending { consumer, delivered_ms, deliveries });
    }
    Ok(())
}

/// An id as two lengths.
fn read_id(input: &mut Input<'_>) -> Result<Id> {
    Ok(Id::new(input.length()?, input.length()?))
}

fn read_raw_id(input: &mut Input<'_>) -> Result<Id> {
    let bytes: [u8; ID_BYTES] = input.array()?;
    Ok(raw_id(&bytes).expect("it has its length"))
}

/// An id as its bytes, the highest first.
fn raw_id(bytes: &[u8]) -> Option<Id> {
    let both = u128::from_be_bytes(bytes.try_into().ok()?);
    Some(Id::new((both >> 64) as u64, both as u64))
}
