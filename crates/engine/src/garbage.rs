//! Deleted data that is too big to be freed at once.
//!
//! Freeing a value of a million members takes as long as making it, and everybody would wait. So DEL and FLUSHALL put
//! what is big here, and [`Engine::tick`](crate::Engine::tick) frees it bit by bit.

use crate::keyspace::Keyspace;
use crate::object::Object;
use crate::types::{Budget, copied};

/// A collection of more bytes than this is freed bit by bit; below, that would cost more than it saves.
const BIG_BYTES: usize = 32 * 1024;
/// As [`BIG_BYTES`], for a string: it is one piece of memory, whose pages the system takes back one by one.
const BIG_STRING_BYTES: usize = 256 * 1024;

/// What is still to be freed.
#[derive(Debug, Default)]
pub struct Garbage {
    keyspaces: Vec<Waste<Keyspace>>,
    objects: Vec<Waste<Object>>,
    /// How many values, and keys of databases, were freed bit by bit since INFO was told to count again.
    pub freed: u64,
}

/// Something to be freed, with the bytes that it had when it came.
#[derive(Debug)]
struct Waste<T> {
    content: T,
    bytes: usize,
}

impl Garbage {
    pub fn is_empty(&self) -> bool {
        self.keyspaces.is_empty() && self.objects.is_empty()
    }

    /// How many values, and keys of databases, are still to be freed.
    pub fn pending(&self) -> usize {
        self.objects.len() + self.keyspaces.iter().map(|waste| waste.content.len()).sum::<usize>()
    }

    /// The bytes of what is still to be freed, counted whole until the last of it is.
    pub fn bytes(&self) -> usize {
        let objects: usize = self.objects.iter().map(|waste| waste.bytes).sum();
        objects + self.keyspaces.iter().map(|waste| waste.bytes).sum::<usize>()
    }

    /// Frees `object` now or, when it is big, later.
    pub fn add(&mut self, object: Object) {
        object.note_shared();
        let bytes = object.bytes();
        let is_string = matches!(object, Object::String(_));
        if bytes > (if is_string { BIG_STRING_BYTES } else { BIG_BYTES }) {
            self.objects.push(Waste { content: object, bytes });
        }
    }

    /// Frees a whole database later.
    pub fn add_keyspace(&mut self, keyspace: Keyspace) {
        let bytes = keyspace.bytes();
        if keyspace.is_shared() {
            copied::note_bytes(bytes);
        }
        if keyspace.len() > 0 {
            self.keyspaces.push(Waste { content: keyspace, bytes });
        }
    }

    /// Frees members of values, or keys of databases, as far as the budget goes.
    pub fn free_some(&mut self, budget: &mut Budget) {
        while !budget.is_spent() {
            if let Some(object) = self.objects.last_mut() {
                if object.content.free_some(budget) {
                    self.objects.pop();
                    self.freed += 1;
                    budget.spend(1, 0);
                }
            } else if let Some(keyspace) = self.keyspaces.last_mut() {
                let Some(entries) = keyspace.content.dismantle() else {
                    keyspace.content.drop_expiries(budget);
                    if keyspace.content.expiring() == 0 {
                        self.keyspaces.pop();
                    }
                    continue;
                };
                self.freed += entries.len() as u64;
                let values: Vec<Object> = entries.map(|entry| entry.value).collect();
                budget.spend(values.len(), values.iter().map(Object::bytes).sum());
                values.into_iter().for_each(|value| self.add(value));
            } else {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Blob;
    use crate::object::Kind;
    use crate::types::{End, Hash, Id, List, Set, SortedSet, Stream};

    #[test]
    fn a_database_is_freed_by_budget() {
        let mut keyspace = Keyspace::new(1);
        for number in 0..1_000_u32 {
            keyspace.insert(Blob::from(&number.to_be_bytes()), Object::String(Blob::from(b"v")), Some(5));
        }
        let mut garbage = Garbage::default();
        garbage.add_keyspace(keyspace);
        garbage.free_some(&mut Budget::new(100));
        let left = garbage.pending();
        assert!((880..=900).contains(&left), "one step freed {} of 1,000", 1_000 - left);
        // As many steps again for when the keys end.
        assert!((16..=40).contains(&steps(&mut garbage, 100)));
    }

    /// In how many steps of this budget it is freed.
    fn steps(garbage: &mut Garbage, budget: usize) -> usize {
        let mut steps = 0;
        while !garbage.is_empty() {
            garbage.free_some(&mut Budget::new(budget));
            steps += 1;
        }
        steps
    }

    const MEMBERS: u32 = 20_000;
    const BUDGET: usize = 100;

    /// Fills a value and holds its freeing to a number of steps: fewer would be longer ones.
    fn check<T: Kind>(name: &str, per_step_max: u32, fill: impl Fn(&mut T, u32)) {
        for is_shared in [false, true] {
            let mut value = T::create(1);
            (0..MEMBERS).for_each(|number| fill(&mut value, number));
            let value = value.wrap();
            let mut garbage = Garbage::default();
            let mut copy = value.clone();
            if !is_shared {
                drop(value);
            } else if let Object::SortedSet(set) = &mut copy {
                // A set of its own whose blocks somebody shares.
                *set = std::sync::Arc::new((**set).clone());
            }
            garbage.add(copy);
            let steps = steps(&mut garbage, BUDGET) as u32;
            let least = if is_shared { 1 } else { MEMBERS / per_step_max };
            assert!((least..=MEMBERS / 20).contains(&steps), "{name}: {steps} steps, shared: {is_shared}");
        }
    }

    #[test]
    fn a_value_is_freed_in_as_many_steps_as_it_has_work() {
        let bytes = |number: u32| number.to_be_bytes().repeat(8);
        check("hash", 110, |hash: &mut Hash, number| _ = hash.set(&bytes(number), b"value"));
        check("set", 110, |set: &mut Set, number| _ = set.add(&bytes(number)));
        check("sorted set", 600, |set: &mut SortedSet, number| {
            _ = set.insert(&bytes(number), f64::from(number));
        });
        // A block of these is one piece of memory, which goes at once.
        let block = |items: u32| items * BUDGET as u32;
        check("list", block(420), |list: &mut List, number| list.push(End::Right, &bytes(number)));
        check("stream", block(100), |stream: &mut Stream, number| {
            stream.push(Id::new(u64::from(number) + 1, 0), &[b"field", &bytes(number)]);
        });
        check("sorted set of long members", 110, |set: &mut SortedSet, number| {
            _ = set.insert(&bytes(number).repeat(10), f64::from(number));
        });
    }

    #[test]
    fn what_is_large_in_bytes_alone_is_freed_in_steps_as_well() {
        let mut garbage = Garbage::default();
        garbage.add(Object::String(Blob::from(vec![b'x'; 64 << 20])));
        let string = steps(&mut garbage, BUDGET);
        assert!((40..=50).contains(&string), "a string: {string} steps");
        let mut list = List::new(1);
        (0..100).for_each(|_| list.push(End::Left, &vec![b'x'; 1 << 20]));
        garbage.add(list.wrap());
        let list = steps(&mut garbage, BUDGET);
        assert!((50..=110).contains(&list), "a list: {list} steps");
    }
}
