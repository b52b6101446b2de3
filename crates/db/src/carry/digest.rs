//! A digest of keys that is the same wherever they are.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::content::{Content, Stream};

/// A digest of a value, or the sum of those of many keys, in any order.
///
/// It tells values apart that differ by chance or by a fault, not those that somebody made to be alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(u128);

impl Digest {
    /// The digest of a value.
    pub fn of(content: &Content) -> Self {
        let kind = content.kind();
        let mut sum = Self::of_fact(&(kind, "type"));
        match content {
            Content::String(text) => sum.add(Self::of_fact(&(kind, text))),
            Content::List(items) => {
                items.iter().enumerate().for_each(|item| sum.add(Self::of_fact(&(kind, item))));
            }
            Content::Set(members) => {
                members.iter().for_each(|member| sum.add(Self::of_fact(&(kind, member))))
            }
            Content::Hash(fields) => fields.iter().for_each(|field| sum.add(Self::of_fact(&(kind, field)))),
            Content::SortedSet(members) => {
                for (member, score) in members {
                    // Both zeros are one score.
                    sum.add(Self::of_fact(&(kind, member, (score + 0.0).to_bits())));
                }
            }
            Content::Stream(stream) => sum.add_stream(stream),
        }
        sum
    }

    /// The digest of a key in a database with its value, for a sum over many.
    pub fn of_key(db: u64, key: &[u8], value: Self, expires_ms: Option<u64>) -> Self {
        Self::of_fact(&(db, key, value.0, expires_ms))
    }

    /// The digest of a library of functions, for the same sum.
    pub fn of_library(source: &[u8]) -> Self {
        Self::of_fact(&("library", source))
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    fn of_fact(fact: &impl Hash) -> Self {
        let half = |salt: u64| {
            // Of a fixed seed: two processes come to the same.
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            fact.hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Self(half(0) << 64 | half(1))
    }

    fn add_stream(&mut self, stream: &Stream) {
        // How many were added and which was the greatest deleted is left out: stores before Redis 7 do not know.
        self.add(Self::of_fact(&("last", &stream.last_id)));
        stream.entries.iter().for_each(|entry| self.add(Self::of_fact(&("entry", entry))));
        for group in &stream.groups {
            self.add(Self::of_fact(&("group", &group.name, &group.last_id)));
            for consumer in &group.consumers {
                self.add(Self::of_fact(&("consumer", &group.name, &consumer.name)));
                for entry in &consumer.pending {
                    let of = (&group.name, &consumer.name);
                    self.add(Self::of_fact(&(
                        "pending",
                        of,
                        &entry.id,
                        entry.delivered_ms,
                        entry.deliveries,
                    )));
                }
            }
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl std::str::FromStr for Digest {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_matters_in_lists_alone() {
        let items = |order: [&str; 2]| order.map(|item| item.as_bytes().to_vec()).to_vec();
        let (there, back) = (items(["a", "b"]), items(["b", "a"]));
        assert_ne!(Digest::of(&Content::List(there.clone())), Digest::of(&Content::List(back.clone())));
        assert_eq!(Digest::of(&Content::Set(there.clone())), Digest::of(&Content::Set(back)));
        assert_ne!(Digest::of(&Content::Set(there.clone())), Digest::of(&Content::List(there)));
    }

    #[test]
    fn a_digest_reads_back() {
        let digest = Digest::of(&Content::String(b"x".to_vec()));
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn an_empty_collection_of_one_type_is_not_that_of_another() {
        assert_ne!(Digest::of(&Content::Set(Vec::new())), Digest::of(&Content::List(Vec::new())));
    }
}
