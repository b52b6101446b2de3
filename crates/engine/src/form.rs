//! The sizes up to which Redis keeps a collection packed. Clients and tests set them and look at OBJECT ENCODING; here
//! they decide what that tells of a collection, not how it is kept.
//!
//! A new size gets a row of [`SIZES`].

use crate::limits;
use crate::number::parse_integer;
use crate::object::Object;

/// What can be set: its names, what it is in a Redis that was not configured, and what it can be.
struct Size {
    names: &'static [&'static str],
    default: i64,
    min: i64,
    max: i64,
    /// True for a number of bytes, which may have a unit such as `1kb`.
    is_bytes: bool,
}

impl Size {
    /// A number of something, from none on.
    const fn count(names: &'static [&'static str], default: i64) -> Self {
        Self { names, default, min: 0, max: i64::MAX, is_bytes: false }
    }

    const fn bytes(names: &'static [&'static str], default: i64) -> Self {
        Self { is_bytes: true, ..Self::count(names, default) }
    }
}

const HASH_ENTRIES: usize = 0;
const HASH_VALUE: usize = 1;
const SET_ENTRIES: usize = 2;
const ZSET_ENTRIES: usize = 3;
const ZSET_VALUE: usize = 4;

const SIZES: [Size; 7] = [
    Size::count(&["hash-max-listpack-entries", "hash-max-ziplist-entries"], 512),
    Size::bytes(&["hash-max-listpack-value", "hash-max-ziplist-value"], 64),
    Size::count(&["set-max-intset-entries"], 512),
    Size::count(&["zset-max-listpack-entries", "zset-max-ziplist-entries"], 128),
    Size::bytes(&["zset-max-listpack-value", "zset-max-ziplist-value"], 64),
    // A list has one form whatever these are.
    Size {
        min: i32::MIN as i64,
        max: i32::MAX as i64,
        ..Size::count(&["list-max-listpack-size", "list-max-ziplist-size"], -2)
    },
    Size { max: i32::MAX as i64, ..Size::count(&["list-compress-depth"], 0) },
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
        let Size { min, max, is_bytes, .. } = SIZES[at];
        let number = if is_bytes {
            let bytes = limits::bytes(value).ok_or("argument must be a memory value")?;
            i64::try_from(bytes).ok()
        } else {
            Some(parse_integer(value.as_bytes()).ok_or("argument couldn't be parsed into an integer")?)
        };
        let number = number.filter(|number| (min..=max).contains(number));
        let number = number.ok_or_else(|| format!("argument must be between {min} and {max} inclusive"))?;
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
                let is_packed =
                    fits(set.len(), SET_ENTRIES) && set.iter().all(|member| parse_integer(&member).is_some());
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
