//! The stream against a list, a map of what is pending, and nothing clever.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Adds so many entries, each with a content of so many bytes.
    Push(usize, usize),
    /// Deletes the entry at so many per mille of the stream.
    Remove(usize),
    /// Deletes a run of entries from the front.
    RemoveFront(usize),
    /// Deletes all entries but each so many-th.
    Thin(usize),
    TrimLen(usize),
    TrimFrom(usize),
    TrimBlocks(usize),
    Take(usize, u8),
    /// Acknowledges the entry at so many per mille of what is pending.
    Ack(usize),
    Assign(usize, u8),
    RemoveConsumer(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..1000_usize;
    prop_oneof![
        4 => (1..150_usize, 0..600_usize).prop_map(|(count, len)| Step::Push(count, len)),
        1 => (1..3_usize, 20_000..80_000_usize).prop_map(|(count, len)| Step::Push(count, len)),
        4 => place.clone().prop_map(Step::Remove),
        2 => (1..120_usize).prop_map(Step::RemoveFront),
        1 => (2..40_usize).prop_map(Step::Thin),
        1 => (0..500_usize).prop_map(Step::TrimLen),
        1 => (0..100_usize).prop_map(Step::TrimFrom),
        1 => (0..500_usize).prop_map(Step::TrimBlocks),
        4 => (1..50_usize, 0..3_u8).prop_map(|(count, name)| Step::Take(count, name)),
        4 => place.clone().prop_map(Step::Ack),
        2 => (place, 0..3_u8).prop_map(|(place, name)| Step::Assign(place, name)),
        1 => (0..3_u8).prop_map(Step::RemoveConsumer),
    ]
}

/// The same, naively.
#[derive(Default)]
struct Model {
    entries: Vec<(Id, Vec<u8>)>,
    last_id: Id,
    max_deleted_id: Id,
    group_id: Id,
    pending: BTreeMap<Id, (u8, u64)>,
}

const GROUP: &[u8] = b"g";

fn place(len: usize, per_mille: usize) -> Option<usize> {
    (len > 0).then(|| len * per_mille / 1000)
}

fn apply(stream: &mut Stream, model: &mut Model, step: &Step) {
    match *step {
        Step::Push(count, len) => {
            for number in 0..count {
                // Steps in the number, in the millisecond, and now and then too far for a block's distances.
                let Id { ms, seq } = model.last_id;
                let id = match number % 50 {
                    0 => Id::new(ms + 1, 0),
                    17 => Id::new(ms + 1, u64::from(u32::MAX) + 5),
                    31 => Id::new(ms + (1 << 33), 7),
                    _ => Id::new(ms, seq + 1),
                };
                let content = vec![number as u8; len];
                assert_eq!(stream.next_id(NewId::Exact(id), 0), Some(id));
                stream.push(id, &[b"field", &content]);
                model.entries.push((id, content));
                model.last_id = id;
            }
        }
        Step::Remove(at) => {
            if let Some(at) = place(model.entries.len(), at) {
                let (id, _) = model.entries.remove(at);
                assert!(stream.remove(id));
                assert!(!stream.remove(id));
                model.max_deleted_id = model.max_deleted_id.max(id);
            }
        }
        Step::RemoveFront(count) => {
            for (id, _) in model.entries.drain(..count.min(model.entries.len())) {
                assert!(stream.remove(id));
                model.max_deleted_id = model.max_deleted_id.max(id);
            }
        }
        Step::Thin(every) => {
            let (mut number, last_id) = (0, &mut model.max_deleted_id);
            model.entries.retain(|(id, _)| {
                number += 1;
                let stays = number % every == 0;
                if !stays {
                    assert!(stream.remove(*id));
                    *last_id = (*last_id).max(*id);
                }
                stays
            });
        }
        Step::TrimLen(len) => {
            let surplus = model.entries.len().saturating_sub(len);
            assert_eq!(stream.trim(Trim::Len(len), Precision::Exact), surplus);
            model.entries.drain(..surplus);
        }
        Step::TrimFrom(at) => {
            if let Some(at) = place(model.entries.len(), at) {
                let id = model.entries[at].0;
                assert_eq!(stream.trim(Trim::From(id), Precision::Exact), at);
                model.entries.drain(..at);
            }
        }
        Step::TrimBlocks(len) => {
            let surplus = model.entries.len().saturating_sub(len);
            let trimmed = stream.trim(Trim::Len(len), Precision::Blocks { entries_max: 1000 });
            assert!(trimmed <= surplus.min(1000));
            assert!(surplus > 1000 || surplus - trimmed < usize::from(block::ENTRIES_MAX));
            model.entries.drain(..trimmed);
        }
        Step::Take(count, name) => {
            let consumer = stream.edit_group(GROUP, |group| group.see_consumer(&[name], 5).0).unwrap();
            let mut taken = Vec::new();
            stream.advance(GROUP, count, |group, id, _| {
                group.assign(id, Pending { consumer, delivered_ms: 5, deliveries: 1 });
                taken.push(id);
            });
            let fresh = model.entries.iter().map(|(id, _)| *id).filter(|id| *id > model.group_id);
            assert_eq!(taken, fresh.take(count).collect::<Vec<_>>());
            model.group_id = taken.last().copied().unwrap_or(model.group_id);
            model.pending.extend(taken.into_iter().map(|id| (id, (name, 1))));
        }
        Step::Ack(at) => {
            if let Some(at) = place(model.pending.len(), at) {
                let id = *model.pending.keys().nth(at).unwrap();
                assert_eq!(
                    stream.edit_group(GROUP, |group| (group.ack(id), group.ack(id))),
                    Some((true, false))
                );
                model.pending.remove(&id);
            }
        }
        Step::Assign(at, name) => {
            if let Some(at) = place(model.pending.len(), at) {
                let (id, pending) = model.pending.iter_mut().nth(at).unwrap();
                *pending = (name, pending.1 + 1);
                stream.edit_group(GROUP, |group| {
                    let (consumer, _) = group.see_consumer(&[name], 9);
                    let again = group.pending(*id).unwrap().again(consumer, 9);
                    group.assign(*id, again);
                });
            }
        }
        Step::RemoveConsumer(name) => {
            let before = model.pending.len();
            model.pending.retain(|_, (owner, _)| *owner != name);
            let removed = stream.edit_group(GROUP, |group| group.remove_consumer(&[name])).unwrap();
            assert_eq!(removed.unwrap_or(0), before - model.pending.len());
        }
    }
}

fn check(stream: &Stream, model: &Model) {
    let expected: Vec<_> = model.entries.iter().map(|(id, content)| (*id, content.as_slice())).collect();
    let forward: Vec<_> = stream.range(Id::MIN, Id::MAX).map(|(id, mut f)| (id, f.nth(1).unwrap())).collect();
    assert_eq!(forward, expected);
    assert!(
        stream.range(Id::MIN, Id::MAX).rev().map(|(id, _)| id).eq(expected.iter().rev().map(|(id, _)| *id))
    );
    assert_eq!(stream.len(), expected.len());
    assert_eq!(stream.first_entry(), expected.first().map(|(id, _)| *id));
    assert_eq!(stream.last_entry(), expected.last().map(|(id, _)| *id));
    assert_eq!(stream.max_deleted_id(), model.max_deleted_id);
    if let Some(middle) = expected.get(expected.len() / 2) {
        let (from, to) = (middle.0, expected[expected.len() - 1].0);
        assert_eq!(stream.range(from, to).count(), expected.len() - expected.len() / 2);
        assert!(stream.get(from).is_some_and(|mut fields| fields.nth(1) == Some(middle.1)));
        assert_eq!(stream.range(to, from).count(), usize::from(to == from));
    }
    let group = stream.group(GROUP).unwrap();
    assert_eq!(group.pending_len(), model.pending.len());
    for name in 0..3_u8 {
        let own = group.find_consumer(&[name]).map(|index| group.pending_range_of(index, Id::MIN, Id::MAX));
        let own: Vec<_> = own.into_iter().flatten().map(|(id, pending)| (id, pending.deliveries)).collect();
        let model_own = model.pending.iter().filter(|(_, (owner, _))| *owner == name);
        assert_eq!(own, model_own.map(|(id, (_, count))| (*id, *count)).collect::<Vec<_>>());
    }
    // What is counted is what is there: the same content in a fresh stream takes no more than slack allows.
    let payload: usize = expected.iter().map(|(_, content)| content.len() + 16).sum();
    assert!(stream.bytes() >= payload);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_stream_is_a_list_with_a_map_of_what_is_pending(steps in prop::collection::vec(step(), 1..60)) {
        let (mut stream, mut model) = (Stream::new(0), Model::default());
        assert!(stream.add_group(GROUP, Group::new(Id::MIN, None)));
        for step in &steps {
            apply(&mut stream, &mut model, step);
            check(&stream, &model);
        }
        let empty = Stream::new(0).bytes();
        stream.trim(Trim::Len(0), Precision::Exact);
        prop_assert!(stream.remove_group(GROUP));
        prop_assert_eq!(stream.bytes(), empty, "the memory count goes back to where it began");
    }
}

#[test]
fn a_straggler_does_not_keep_the_memory_of_its_neighbours() {
    let mut stream = Stream::new(0);
    let payload = [b'x'; 200];
    for number in 0..10_000 {
        stream.push(Id::new(1, number + 1), &[b"f", &payload]);
    }
    let per_entry = stream.bytes() / 10_000;
    assert!(per_entry <= payload.len() + 40, "{per_entry} bytes per entry");
    for number in (0..10_000).filter(|number| number % 100 != 50) {
        assert!(stream.remove(Id::new(1, number + 1)));
    }
    assert_eq!(stream.len(), 100);
    let per_entry = stream.bytes() / 100;
    assert!(per_entry <= 1024, "{per_entry} bytes for each that stayed");
}

/// The bytes of a stream of which each 19th entry is left, and of one to which only these were added.
fn bytes_of_each_19th(payload_len: usize, count: u64) -> (usize, usize) {
    let payload = vec![b'x'; payload_len];
    let (mut thin, mut fresh) = (Stream::new(0), Stream::new(0));
    let id = |number| Id::new(1, number + 1);
    (0..count).for_each(|number| thin.push(id(number), &[b"f", &payload]));
    for number in 0..count {
        if number % 19 == 0 {
            fresh.push(id(number), &[b"f", &payload]);
        } else {
            assert!(thin.remove(id(number)));
        }
    }
    assert!(
        thin.range(Id::MIN, Id::MAX).map(|(id, _)| id).eq(fresh.range(Id::MIN, Id::MAX).map(|(id, _)| id))
    );
    (thin.bytes(), fresh.bytes())
}

#[test]
fn entries_that_stay_among_many_take_little_more_than_by_themselves() {
    for payload_len in [16, 60, 200, 1_000, 4_000, 20_000, 40_000] {
        let (thin, fresh) = bytes_of_each_19th(payload_len, 20_000.min(40_000_000 / payload_len as u64));
        assert!(thin * 2 <= fresh * 3, "{payload_len}: {thin} bytes, and {fresh} by themselves");
    }
}

#[test]
fn a_clone_keeps_its_entries_while_blocks_are_joined() {
    let mut stream = Stream::new(0);
    let id = |number| Id::new(1, number + 1);
    (0..5_000_u64).for_each(|number| stream.push(id(number), &[b"f", &number.to_le_bytes()]));
    let (clone, blocks) = (stream.clone(), stream.blocks());
    crate::types::copied::take();
    (0..5_000).filter(|number| number % 50 != 7).for_each(|number| assert!(stream.remove(id(number))));
    assert!(stream.blocks() * 10 < blocks, "{} of {blocks} blocks are left", stream.blocks());
    assert!(crate::types::copied::take() >= clone.bytes() / 2, "what the clone keeps is counted");
    let numbers = |stream: &Stream| -> Vec<u64> {
        let number = |mut fields: Fields<'_>| u64::from_le_bytes(fields.nth(1).unwrap().try_into().unwrap());
        stream.range(Id::MIN, Id::MAX).map(|(_, fields)| number(fields)).collect()
    };
    assert_eq!(numbers(&clone), (0..5_000).collect::<Vec<_>>());
    assert_eq!(numbers(&stream), (0..5_000).filter(|number| number % 50 == 7).collect::<Vec<_>>());
}
