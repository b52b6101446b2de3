//! A consumer group: how far it has read, who reads, and what was delivered and not yet acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::id::Id;
use crate::blob::Blob;

/// A consumer group of a stream.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last entry that was delivered.
    pub last_id: Id,
    /// How many of all entries ever added were read; none when it cannot be known.
    pub entries_read: Option<u64>,
    pel: BTreeMap<Id, Pending>,
    consumers: Vec<Option<Consumer>>,
    by_name: BTreeMap<Blob, ConsumerIndex>,
    names_bytes: usize,
}

/// Names a consumer within its group while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerIndex(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pending {
    pub consumer: ConsumerIndex,
    /// When it was last delivered.
    pub delivered_ms: u64,
    /// How many times.
    pub deliveries: u64,
}

impl Pending {
    /// Delivered once more. The count stays one that a command can give.
    pub fn again(self, consumer: ConsumerIndex, delivered_ms: u64) -> Self {
        let deliveries = self.deliveries.saturating_add(1).min(i64::MAX as u64);
        Self { consumer, delivered_ms, deliveries }
    }
}

/// One reader of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub name: Blob,
    /// When it last asked for something. Not part of what is logged: it is derived again from deliveries.
    pub seen_ms: u64,
    /// Its share of the group's pending entries, so that a look at one consumer does not walk those of the others.
    pending: BTreeSet<Id>,
}

/// Bytes of a B-tree's slot over its content: nodes are between half and quite full.
const TREE_SLACK: usize = 8;
const PENDING_BYTES: usize = size_of::<(Id, Pending)>() + size_of::<Id>() + 2 * TREE_SLACK;
const CONSUMER_BYTES: usize = size_of::<Option<Consumer>>() + size_of::<(Blob, ConsumerIndex)>() + TREE_SLACK;

impl Group {
    pub fn new(last_id: Id, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            pel: BTreeMap::new(),
            consumers: Vec::new(),
            by_name: BTreeMap::new(),
            names_bytes: 0,
        }
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.pel.len() * PENDING_BYTES
            + self.by_name.len() * CONSUMER_BYTES
            + self.names_bytes
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.by_name.values().map(|index| self.consumer(*index))
    }

    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerIndex> {
        self.by_name.get(name).copied()
    }

    /// # Panics
    /// When the consumer was removed.
    pub fn consumer(&self, index: ConsumerIndex) -> &Consumer {
        self.consumers[index.0 as usize].as_ref().expect("a consumer exists while its index is used")
    }

    fn consumer_mut(&mut self, index: ConsumerIndex) -> &mut Consumer {
        self.consumers[index.0 as usize].as_mut().expect("a consumer exists while its index is used")
    }

    /// The consumer of this name, made where there is none (then true), and seen now.
    pub fn see_consumer(&mut self, name: &[u8], now_ms: u64) -> (ConsumerIndex, bool) {
        let (index, is_new) = match self.find_consumer(name) {
            Some(index) => (index, false),
            None => (self.add_consumer(name), true),
        };
        let consumer = self.consumer_mut(index);
        consumer.seen_ms = consumer.seen_ms.max(now_ms);
        (index, is_new)
    }

    fn add_consumer(&mut self, name: &[u8]) -> ConsumerIndex {
        let name = Blob::from(name);
        // Workers come with a new name at each start: the places of those that went are used again.
        let free = if self.by_name.len() < self.consumers.len() {
            self.consumers.iter().position(Option::is_none)
        } else {
            None
        };
        let place = free.unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() - 1
        });
        let index = ConsumerIndex(u32::try_from(place).expect("consumers are fewer than 2^32"));
        self.names_bytes += 2 * name.heap_bytes();
        self.by_name.insert(name.clone(), index);
        self.consumers[place] = Some(Consumer { name, seen_ms: 0, pending: BTreeSet::new() });
        index
    }

    /// Removes a consumer and forgets what is pending under it; answers how many entries that were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let index = self.by_name.remove(name)?;
        let consumer = self.consumers[index.0 as usize].take().expect("a named consumer exists");
        self.names_bytes -= 2 * consumer.name.heap_bytes();
        while self.consumers.last().is_some_and(Option::is_none) {
            self.consumers.pop();
        }
        for id in &consumer.pending {
            self.pel.remove(id);
        }
        Some(consumer.pending.len())
    }

    pub fn pending_len(&self) -> usize {
        self.pel.len()
    }

    pub fn pending(&self, id: Id) -> Option<Pending> {
        self.pel.get(&id).copied()
    }

    /// Pending entries from `from` to `to`, both included.
    pub fn pending_range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = (Id, Pending)> {
        self.pel.range(from..=to.max(from)).map(|(id, pending)| (*id, *pending)).filter(move |_| from <= to)
    }

    /// As [`pending_range`](Self::pending_range), of one consumer.
    pub fn pending_range_of(
        &self,
        consumer: ConsumerIndex,
        from: Id,
        to: Id,
    ) -> impl DoubleEndedIterator<Item = (Id, Pending)> {
        let own = &self.consumer(consumer).pending;
        own.range(from..=to.max(from)).filter(move |_| from <= to).map(|id| (*id, self.pel[id]))
    }

    /// Makes an entry pending, or changes under whom, since when and how many times it is.
    pub fn assign(&mut self, id: Id, pending: Pending) {
        let previous = self.pel.insert(id, pending).map(|previous| previous.consumer);
        if previous == Some(pending.consumer) {
            return;
        }
        if let Some(previous) = previous {
            self.consumer_mut(previous).pending.remove(&id);
        }
        self.consumer_mut(pending.consumer).pending.insert(id);
    }

    /// Changes the time of every delivery.
    pub fn map_deliveries(&mut self, change: impl Fn(u64) -> u64) {
        for pending in self.pel.values_mut() {
            pending.delivered_ms = change(pending.delivered_ms);
        }
    }

    /// Acknowledges an entry; true when it was pending.
    pub fn ack(&mut self, id: Id) -> bool {
        let Some(pending) = self.pel.remove(&id) else { return false };
        let was_there = self.consumer_mut(pending.consumer).pending.remove(&id);
        assert!(was_there, "what is pending in the group is pending under its consumer");
        true
    }
}

impl Consumer {
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}
