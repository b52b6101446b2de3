//! The hash: fields with values.
//!
//! A small one is one block in the order in which fields came, searched from its start; a larger one is a table.
//! Which of the two is no promise: [`Hash::encoding`] answers what Redis would have, whose limit is higher.

use std::slice;

use foldhash::quality::FixedState;

use super::budget::Budget;
use super::copied;
use super::sample::{distinct, one_of};
use super::table::{self, Table};
use crate::blob::Blob;
use crate::keyspace::hash_of;
use crate::random::Random;

/// The most fields of the small form: beyond it a search costs more than a table does.
const SMALL_MAX: usize = 128;
/// The longest field or value that Redis keeps in a listpack, `hash-max-listpack-value`.
const LISTPACK_LENGTH_MAX: usize = 64;
/// The most fields that Redis keeps as a listpack, `hash-max-listpack-entries`.
const LISTPACK_MAX: usize = 512;

/// A field and its value.
type Pair = (Blob, Blob);

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash {
    form: Form,
    seed: u64,
    /// Bytes of fields and values that are stored outside of the block or table.
    heap_bytes: usize,
    /// True until the hash outgrew what Redis keeps as a listpack; it never goes back.
    is_listpack: bool,
}

#[derive(Clone, Debug)]
enum Form {
    Small(Vec<Pair>),
    Large(Table<Pair>, FixedState),
}

/// What setting a field did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The field is new.
    Added,
    /// The field had another value.
    Replaced,
    /// The field had this value.
    Kept,
}

impl Hash {
    pub fn new(seed: u64) -> Self {
        Self { form: Form::Small(Vec::new()), seed, heap_bytes: 0, is_listpack: true }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        match &self.form {
            Form::Small(block) => block.len(),
            Form::Large(table, _) => table.len(),
        }
    }

    pub fn get(&self, field: &[u8]) -> Option<&Blob> {
        let pair = match &self.form {
            Form::Small(block) => block.iter().find(|pair| *pair.0 == *field),
            Form::Large(table, hasher) => table.find(hash_of(hasher, field), |pair| *pair.0 == *field),
        };
        pair.map(|(_, value)| value)
    }

    /// Has the memory fetched where some fields are or belong, before they are set one by one.
    pub fn warm<'a>(&self, fields: impl Iterator<Item = &'a [u8]>) {
        if let Form::Large(table, hasher) = &self.form {
            table.warm(fields.map(|field| hash_of(hasher, field)));
        }
    }

    pub fn set(&mut self, field: &[u8], value: &[u8]) -> Put {
        if field.len().max(value.len()) > LISTPACK_LENGTH_MAX {
            self.is_listpack = false;
        }
        // Of a table; looked up once for the search and the addition.
        let mut hash = None;
        let found = match &mut self.form {
            Form::Small(block) => block.iter_mut().find(|pair| *pair.0 == *field),
            Form::Large(table, hasher) => {
                let hash = *hash.insert(hash_of(hasher, field));
                table.find_mut(hash, |pair| *pair.0 == *field)
            }
        };
        if let Some((_, before)) = found {
            if **before == *value {
                return Put::Kept;
            }
            before.note_shared();
            let value = Blob::from(value);
            self.heap_bytes = self.heap_bytes + value.heap_bytes() - before.heap_bytes();
            *before = value;
            return Put::Replaced;
        }
        self.add((Blob::from(field), Blob::from(value)), hash);
        Put::Added
    }

    /// Removes a field; true when it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let removed = match &mut self.form {
            Form::Small(block) => {
                block.iter().position(|pair| *pair.0 == *field).map(|place| block.remove(place))
            }
            Form::Large(table, hasher) => table.remove(hash_of(hasher, field), |pair| *pair.0 == *field),
        };
        if let Some(pair) = &removed {
            pair.0.note_shared();
            pair.1.note_shared();
            self.heap_bytes -= heap_bytes(pair);
        }
        removed.is_some()
    }

    /// Every field and value, in the order in which the fields came while the hash is small.
    pub fn iter(&self) -> Pairs<'_> {
        match &self.form {
            Form::Small(block) => Pairs::Small(block.iter()),
            Form::Large(table, _) => Pairs::Large(table.iter()),
        }
    }

    /// Visits some fields and answers the next cursor, 0 at the end; a small hash is visited at once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&Blob, &Blob)) -> u64 {
        match &self.form {
            Form::Small(block) => {
                block.iter().for_each(|(field, value)| visit(field, value));
                0
            }
            Form::Large(table, _) => table.scan(cursor, |(field, value)| visit(field, value)),
        }
    }

    /// One field at random, each with the same chance.
    pub fn choose(&self, random: &mut Random) -> Option<(&Blob, &Blob)> {
        let pair = match &self.form {
            Form::Small(block) => one_of(block, random),
            Form::Large(table, _) => table.choose(|bound| random.below(bound)),
        };
        pair.map(|(field, value)| (field, value))
    }

    /// So many different fields at random; all when there are not more.
    pub fn sample(&self, count: usize, random: &mut Random) -> Vec<(&Blob, &Blob)> {
        let chosen = match &self.form {
            Form::Large(table, _) => distinct(table.iter(), table.len(), count, random, |random| {
                table.choose(|bound| random.below(bound))
            }),
            Form::Small(block) => {
                distinct(block.iter(), block.len(), count, random, |random| one_of(block, random))
            }
        };
        chosen.into_iter().map(|(field, value)| (field, value)).collect()
    }

    /// Drops fields of a hash that nobody uses any more; true when the rest is small.
    pub fn free_some(&mut self, budget: &mut Budget) -> bool {
        let Form::Large(table, _) = &mut self.form else { return true };
        while !budget.is_spent()
            && let Some(bucket) = table.pop_bucket()
        {
            let bytes = bucket.iter().map(|(_, item)| heap_bytes(item)).sum();
            self.heap_bytes -= bytes;
            budget.spend(bucket.len(), bytes);
        }
        if table.is_empty() {
            // What is left is of segments that went whole to who shares them.
            copied::note_bytes(std::mem::take(&mut self.heap_bytes));
        }
        table.is_empty()
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        let own = match &self.form {
            Form::Small(block) => block.len() * size_of::<Pair>(),
            Form::Large(table, _) => table.bytes(),
        };
        size_of::<Self>() + own + self.heap_bytes
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        match &self.form {
            Form::Small(block) => size_of_val(&**block),
            Form::Large(table, _) => table.clone_bytes(),
        }
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        if let Form::Large(table, _) = &self.form { table.own_blocks() } else { (0, 0) }
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        if self.is_listpack { "listpack" } else { "hashtable" }
    }

    fn add(&mut self, pair: Pair, hash: Option<u64>) {
        if self.len() >= SMALL_MAX {
            self.grow();
        }
        self.is_listpack &= self.len() < LISTPACK_MAX;
        self.heap_bytes += heap_bytes(&pair);
        match &mut self.form {
            Form::Small(block) => block.push(pair),
            Form::Large(table, hasher) => {
                let hash = hash.unwrap_or_else(|| hash_of(hasher, &pair.0));
                table.insert(hash, pair, |pair| hash_of(hasher, &pair.0));
            }
        }
    }

    /// Makes a table of the block.
    fn grow(&mut self) {
        let Form::Small(block) = &mut self.form else { return };
        let (mut table, hasher) = (Table::default(), FixedState::with_seed(self.seed));
        for pair in std::mem::take(block) {
            table.insert(hash_of(&hasher, &pair.0), pair, |pair: &Pair| hash_of(&hasher, &pair.0));
        }
        self.form = Form::Large(table, hasher);
    }
}

/// The fields of a hash with their values.
pub enum Pairs<'a> {
    Small(slice::Iter<'a, Pair>),
    Large(table::Iter<'a, Pair>),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a Blob, &'a Blob);

    fn next(&mut self) -> Option<Self::Item> {
        let (field, value) = match self {
            Self::Small(pairs) => pairs.next()?,
            Self::Large(pairs) => pairs.next()?,
        };
        Some((field, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Small(pairs) => pairs.size_hint(),
            Self::Large(pairs) => pairs.size_hint(),
        }
    }
}

fn heap_bytes(pair: &Pair) -> usize {
    pair.0.heap_bytes() + pair.1.heap_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Checks every way of reading against the model.
    fn check(hash: &Hash, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
        assert_eq!(hash.len(), model.len());
        assert_eq!(hash.is_empty(), model.is_empty());
        let read: BTreeMap<Vec<u8>, Vec<u8>> = hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
        assert_eq!(&read, model);
        assert_eq!(hash.iter().count(), model.len());
        let heap: usize = hash.iter().map(|(f, v)| f.heap_bytes() + v.heap_bytes()).sum();
        assert_eq!(hash.heap_bytes, heap);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_hash_does_what_a_map_does(
            steps in prop::collection::vec((0..300_u16, 0..90_usize, prop::bool::weighted(0.7)), 0..600),
            is_long in prop::bool::ANY,
        ) {
            let (mut hash, mut model) = (Hash::new(7), BTreeMap::new());
            for (number, length, is_set) in steps {
                let field = format!("field {number}").into_bytes();
                if is_set {
                    let value = vec![b'v'; if is_long { length } else { length % 60 }];
                    let before = model.insert(field.clone(), value.clone());
                    let put = match before {
                        None => Put::Added,
                        Some(before) if before == value => Put::Kept,
                        Some(_) => Put::Replaced,
                    };
                    prop_assert_eq!(hash.set(&field, &value), put);
                } else {
                    prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                }
                prop_assert_eq!(hash.get(&field).map(|value| value.to_vec()), model.get(&field).cloned());
            }
            check(&hash, &model);
        }
    }

    fn of(count: usize) -> Hash {
        let mut hash = Hash::new(1);
        for number in 0..count {
            hash.set(number.to_string().as_bytes(), b"v");
        }
        hash
    }

    #[test]
    fn a_small_hash_keeps_the_order_in_which_fields_came() {
        let mut hash = Hash::new(1);
        for field in ["c", "a", "d", "b"] {
            hash.set(field.as_bytes(), b"1");
        }
        hash.remove(b"a");
        hash.set(b"d", b"2");
        hash.set(b"a", b"3");
        let fields: Vec<&[u8]> = hash.iter().map(|(field, _)| &**field).collect();
        assert_eq!(fields, [b"c", b"d", b"b", b"a"]);
    }

    #[test]
    fn the_encoding_is_that_of_redis_and_never_goes_back() {
        assert_eq!(of(512).encoding(), "listpack");
        let mut many = of(513);
        assert_eq!(many.encoding(), "hashtable");
        many.remove(b"0");
        assert_eq!(many.encoding(), "hashtable");
        let mut long = of(1);
        long.set(b"0", &[b'x'; 64]);
        assert_eq!(long.encoding(), "listpack");
        long.set(b"0", &[b'x'; 65]);
        assert_eq!(long.encoding(), "hashtable");
    }

    #[test]
    fn a_hash_changes_its_form_once_and_while_it_is_small() {
        let (mut hash, mut changed_at) = (Hash::new(1), Vec::new());
        for number in 0..40_000 {
            let was_small = matches!(hash.form, Form::Small(_));
            hash.set(number.to_string().as_bytes(), b"v");
            if was_small && matches!(hash.form, Form::Large(..)) {
                changed_at.push(number);
            }
        }
        assert_eq!(changed_at, [SMALL_MAX]);
    }

    #[test]
    fn a_sample_has_different_fields_and_no_more_than_there_are() {
        let mut random = Random::new(3);
        for (size, count) in [(10, 3), (10, 9), (10, 50), (1000, 3), (1000, 900), (1000, 5000)] {
            let hash = of(size);
            let mut fields: Vec<Blob> =
                hash.sample(count, &mut random).into_iter().map(|(field, _)| field.clone()).collect();
            fields.sort();
            fields.dedup();
            assert_eq!(fields.len(), count.min(size));
        }
    }

    #[test]
    fn a_scan_visits_every_field() {
        for size in [0, 5, 1000] {
            let (hash, mut cursor, mut seen) = (of(size), 0, std::collections::BTreeSet::new());
            loop {
                cursor = hash.scan(cursor, |field, _| {
                    seen.insert(field.clone());
                });
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(seen.len(), size);
        }
    }
}
