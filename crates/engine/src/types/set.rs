//! The set: members without order.
//!
//! Integers alone are a sorted block, as Redis's intset; a small set is one block that is searched from its start; a
//! larger one is a table.

use std::borrow::Cow;
use std::slice;

use foldhash::quality::FixedState;

use super::budget::Budget;
use super::copied;
use super::sample::{distinct, one_of};
use super::table::{self, Table};
use crate::blob::Blob;
use crate::keyspace::hash_of;
use crate::number::parse_integer;
use crate::random::Random;

/// The most members of a block of integers, as Redis's `set-max-intset-entries`.
const INTEGERS_MAX: usize = 512;
/// The most members of a block of bytes: beyond it a search costs more than a table does.
const SMALL_MAX: usize = 128;
/// The longest member of a block of bytes.
const SMALL_LENGTH_MAX: usize = 64;

/// A set.
#[derive(Clone, Debug)]
pub struct Set {
    form: Form,
    seed: u64,
    /// Bytes of members that are stored outside of the block or table.
    heap_bytes: usize,
}

#[derive(Clone, Debug)]
enum Form {
    /// In numeric order.
    Integers(Vec<i64>),
    Small(Vec<Blob>),
    Large(Table<Blob>, FixedState),
}

/// A member: borrowed, or made from an integer, which needs no allocation.
pub type Member<'a> = Cow<'a, Blob>;

impl Set {
    pub fn new(seed: u64) -> Self {
        Self { form: Form::Integers(Vec::new()), seed, heap_bytes: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        match &self.form {
            Form::Integers(block) => block.len(),
            Form::Small(block) => block.len(),
            Form::Large(table, _) => table.len(),
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Integers(block) => {
                parse_integer(member).is_some_and(|number| block.binary_search(&number).is_ok())
            }
            Form::Small(block) => block.iter().any(|other| **other == *member),
            Form::Large(table, hasher) => {
                table.find(hash_of(hasher, member), |other| **other == *member).is_some()
            }
        }
    }

    /// Adds a member; true when it was absent.
    pub fn add(&mut self, member: &[u8]) -> bool {
        if let Form::Integers(block) = &mut self.form {
            if let Some(number) = parse_integer(member) {
                let Err(place) = block.binary_search(&number) else { return false };
                if block.len() < INTEGERS_MAX {
                    block.insert(place, number);
                    return true;
                }
            }
            self.make_bytes();
        }
        // Of a table; looked up once for the search and the addition.
        let mut hash = None;
        let is_there = match &self.form {
            Form::Large(table, hasher) => {
                let hash = *hash.insert(hash_of(hasher, member));
                table.find(hash, |other| **other == *member).is_some()
            }
            _ => self.contains(member),
        };
        if is_there {
            return false;
        }
        if member.len() > SMALL_LENGTH_MAX || self.len() >= SMALL_MAX {
            self.make_table();
        }
        let member = Blob::from(member);
        self.heap_bytes += member.heap_bytes();
        match &mut self.form {
            Form::Integers(_) => unreachable!("a set of integers was made one of bytes above"),
            Form::Small(block) => block.push(member),
            Form::Large(table, hasher) => {
                let hash = hash.unwrap_or_else(|| hash_of(hasher, &member));
                table.insert(hash, member, |other| hash_of(hasher, other));
            }
        }
        true
    }

    /// Removes a member; true when it was there.
    /// Has the memory fetched where some members are or belong, before they are looked up one by one.
    pub fn warm<'a>(&self, members: impl Iterator<Item = &'a [u8]>) {
        if let Form::Large(table, hasher) = &self.form {
            table.warm(members.map(|member| hash_of(hasher, member)));
        }
    }

    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = match &mut self.form {
            Form::Integers(block) => {
                let place = parse_integer(member).and_then(|number| block.binary_search(&number).ok());
                return place.map(|place| block.remove(place)).is_some();
            }
            Form::Small(block) => {
                block.iter().position(|other| **other == *member).map(|place| block.swap_remove(place))
            }
            Form::Large(table, hasher) => table.remove(hash_of(hasher, member), |other| **other == *member),
        };
        if let Some(member) = &removed {
            member.note_shared();
            self.heap_bytes -= member.heap_bytes();
        }
        removed.is_some()
    }

    /// Every member, in numeric order while the set has integers alone.
    pub fn iter(&self) -> Members<'_> {
        match &self.form {
            Form::Integers(block) => Members::Integers(block.iter()),
            Form::Small(block) => Members::Small(block.iter()),
            Form::Large(table, _) => Members::Large(table.iter()),
        }
    }

    /// Visits some members and answers the next cursor, 0 at the end; a small set is visited at once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&Blob)) -> u64 {
        match &self.form {
            Form::Large(table, _) => table.scan(cursor, visit),
            _ => {
                self.iter().for_each(|member| visit(&member));
                0
            }
        }
    }

    /// One member at random, each with the same chance.
    pub fn choose(&self, random: &mut Random) -> Option<Member<'_>> {
        match &self.form {
            Form::Integers(block) => one_of(block, random).map(integer),
            Form::Small(block) => one_of(block, random).map(Cow::Borrowed),
            Form::Large(table, _) => table.choose(|bound| random.below(bound)).map(Cow::Borrowed),
        }
    }

    /// So many different members at random; all when there are not more.
    pub fn sample(&self, count: usize, random: &mut Random) -> Vec<Member<'_>> {
        match &self.form {
            Form::Integers(block) => {
                let numbers =
                    distinct(block.iter(), block.len(), count, random, |random| one_of(block, random));
                numbers.into_iter().map(integer).collect()
            }
            Form::Small(block) => {
                borrow(distinct(block.iter(), block.len(), count, random, |random| one_of(block, random)))
            }
            Form::Large(table, _) => borrow(distinct(table.iter(), table.len(), count, random, |random| {
                table.choose(|bound| random.below(bound))
            })),
        }
    }

    /// Drops members of a set that nobody uses any more; true when the rest is small.
    pub fn free_some(&mut self, budget: &mut Budget) -> bool {
        let Form::Large(table, _) = &mut self.form else { return true };
        while !budget.is_spent()
            && let Some(bucket) = table.pop_bucket()
        {
            let bytes = bucket.iter().map(|(_, item)| item.heap_bytes()).sum();
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
            Form::Integers(block) => block.len() * size_of::<i64>(),
            Form::Small(block) => block.len() * size_of::<Blob>(),
            Form::Large(table, _) => table.bytes(),
        };
        size_of::<Self>() + own + self.heap_bytes
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        match &self.form {
            Form::Integers(block) => size_of_val(&**block),
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
        if matches!(self.form, Form::Integers(_)) { "intset" } else { "hashtable" }
    }

    /// Leaves the form for integers.
    fn make_bytes(&mut self) {
        let Form::Integers(block) = &self.form else { return };
        let members: Vec<Blob> = block.iter().map(|number| integer(number).into_owned()).collect();
        let is_small = members.len() < SMALL_MAX;
        self.form = Form::Small(members);
        if !is_small {
            self.make_table();
        }
    }

    fn make_table(&mut self) {
        let Form::Small(block) = &mut self.form else { return };
        let (mut table, hasher) = (Table::default(), FixedState::with_seed(self.seed));
        for member in std::mem::take(block) {
            table.insert(hash_of(&hasher, &member), member, |other: &Blob| hash_of(&hasher, other));
        }
        self.form = Form::Large(table, hasher);
    }
}

/// The members of a set.
pub enum Members<'a> {
    Integers(slice::Iter<'a, i64>),
    Small(slice::Iter<'a, Blob>),
    Large(table::Iter<'a, Blob>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        match self {
            Self::Integers(numbers) => numbers.next().map(integer),
            Self::Small(members) => members.next().map(Cow::Borrowed),
            Self::Large(members) => members.next().map(Cow::Borrowed),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Integers(numbers) => numbers.size_hint(),
            Self::Small(members) => members.size_hint(),
            Self::Large(members) => members.size_hint(),
        }
    }
}

fn borrow(members: Vec<&Blob>) -> Vec<Member<'_>> {
    members.into_iter().map(Cow::Borrowed).collect()
}

fn integer<'a>(number: &i64) -> Member<'a> {
    Cow::Owned(Blob::from(itoa::Buffer::new().format(*number).as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members(set: &Set) -> BTreeSet<Vec<u8>> {
        set.iter().map(|member| member.to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_set_does_what_a_naive_set_does(
            steps in prop::collection::vec((-400..400_i64, prop::bool::weighted(0.8)), 0..1200),
            words in 0..3_i64,
        ) {
            let (mut set, mut model) = (Set::new(7), BTreeSet::new());
            for (number, is_add) in steps {
                let member = match (words, number % 50) {
                    (1, 0) => format!("a word {number}, longer than is stored in place"),
                    (2, 0) => format!("{number:080}"),
                    _ => number.to_string(),
                };
                let member = member.into_bytes();
                if is_add {
                    prop_assert_eq!(set.add(&member), model.insert(member.clone()));
                } else {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
                prop_assert_eq!(set.contains(&member), is_add);
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.iter().count(), model.len());
            let heap: usize = set.iter().map(|member| member.heap_bytes()).sum();
            prop_assert_eq!(set.heap_bytes, heap);
            prop_assert_eq!(members(&set), model);
        }
    }

    fn of(numbers: std::ops::Range<i64>) -> Set {
        let mut set = Set::new(1);
        for number in numbers.rev() {
            set.add(number.to_string().as_bytes());
        }
        set
    }

    #[test]
    fn integers_are_in_numeric_order() {
        let set = of(-2..12);
        let read: Vec<i64> = set.iter().map(|member| parse_integer(&member).expect("an integer")).collect();
        assert_eq!(read, (-2..12).collect::<Vec<_>>());
    }

    #[test]
    fn the_encoding_is_that_of_redis_and_never_goes_back() {
        assert_eq!(of(0..512).encoding(), "intset");
        assert_eq!(of(0..513).encoding(), "hashtable");
        let mut set = of(0..3);
        set.add(b"01");
        assert_eq!(set.encoding(), "hashtable");
        set.remove(b"01");
        assert_eq!(set.encoding(), "hashtable");
    }

    #[test]
    fn a_sample_has_different_members_and_no_more_than_there_are() {
        let mut random = Random::new(3);
        for (size, count) in [(10, 3), (10, 9), (10, 50), (1000, 3), (1000, 900), (1000, 5000)] {
            let set = of(0..size);
            let chosen: BTreeSet<Blob> =
                set.sample(count, &mut random).into_iter().map(Cow::into_owned).collect();
            assert_eq!(chosen.len(), count.min(size as usize));
        }
    }
}
