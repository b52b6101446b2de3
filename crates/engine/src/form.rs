//! The sizes up to which Redis keeps a collection packed. Clients and tests set them and look at OBJECT ENCODING; here
//! they decide what that tells of a collection, not how it is kept.
//!
//! A new size gets a row of [`SIZES`].

use crate::object::Object;

/// What can be set: its names, what it is in a Redis that was not configured, and the least that it can be.
struct Size {
    names: &'static [&'static str],
    default: i64,
    min: i64,
}

const HASH_ENTRIES: usize = 0;
const HASH_VALUE: usize = 1;
const SET_ENTRIES: usize = 2;
const ZSET_ENTRIES: usize = 3;
const ZSET_VALUE: usize = 4;

const SIZES: [Size; 7] = [
    Size { names: &["hash-max-listpack-entries", "hash-max-ziplist-entries"], default: 512, min: 0 },
    Size { names: &["hash-max-listpack-value", "hash-max-ziplist-value"], default: 64, min: 0 },
    Size { names: &["set-max-intset-entries"], default: 512, min: 0 },
    Size { names: &["zset-max-listpack-entries", "zset-max-ziplist-entries"], default: 128, min: 0 },
    Size { names: &["zset-max-listpack-value", "zset-max-ziplist-value"], default: 64, min: 0 },
    // A list has one form whatever these are.
    Size { names: &["list-max-listpack-size", "list-max-ziplist-size"], default: -2, min: -5 },
    Size { names: &["list-compress-depth"], default: 0, min: 0 },
];

/// The sizes as they are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms([i64; SIZES.len()]);

impl Default for Forms {
    fn default() -> Self {
        Self(SIZES.map(|size| size.default))
    }
}

impl Forms {
    /// The names of all sizes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SIZES.iter().flat_map(|size| size.names.iter().copied())
    }

    /// One name of each size.
    pub fn first_names() -> impl Iterator<Item = &'static str> {
        SIZES.iter().map(|size| size.names[0])
    }

    /// The size of this name.
    pub fn get(&self, name: &str) -> Option<i64> {
        place(name).map(|at| self.0[at])
    }

    /// Changes the size of this name.
    ///
    /// # Errors
    /// What is wrong with the value, in Redis's words.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let at = place(name).ok_or_else(|| format!("`{name}` is no size of a form"))?;
        let number: i64 =
            value.parse().map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
        if number < SIZES[at].min {
            return Err(format!("argument must be between {} and {} inclusive", SIZES[at].min, i64::MAX));
        }
        self.0[at] = number;
        Ok(())
    }

    /// The name that OBJECT ENCODING gives. With sizes that were changed it is what Redis makes of a value that is
    /// written now: O(the members of a small one).
    pub fn encoding(&self, value: &Object) -> &'static str {
        let fits = |len: usize, at: usize| i64::try_from(len).is_ok_and(|len| len <= self.0[at]);
        let is_changed = |sizes: &[usize]| sizes.iter().any(|at| self.0[*at] != SIZES[*at].default);
        match value {
            Object::Hash(hash) if is_changed(&[HASH_ENTRIES, HASH_VALUE]) => {
                let is_packed = fits(hash.len(), HASH_ENTRIES)
                    && hash.iter().all(|(field, value)| fits(field.len().max(value.len()), HASH_VALUE));
                if is_packed { "listpack" } else { "hashtable" }
            }
            Object::Set(set) if is_changed(&[SET_ENTRIES]) => {
                let is_packed = fits(set.len(), SET_ENTRIES)
                    && set.iter().all(|member| crate::number::parse_integer(&member).is_some());
                if is_packed { "intset" } else { "hashtable" }
            }
            Object::SortedSet(zset) if is_changed(&[ZSET_ENTRIES, ZSET_VALUE]) => {
                let is_packed = fits(zset.len(), ZSET_ENTRIES)
                    && zset.iter().all(|(member, _)| fits(member.len(), ZSET_VALUE));
                if is_packed { "listpack" } else { "skiplist" }
            }
            other => other.encoding(),
        }
    }
}

fn place(name: &str) -> Option<usize> {
    SIZES.iter().position(|size| size.names.contains(&name))
}
