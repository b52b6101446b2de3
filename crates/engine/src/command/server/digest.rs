//! DEBUG DIGEST and DIGEST-VALUE: what tests compare data by. The sums are those of Redis, so that a database here and
//! one there can be compared as well.

use sha1_smol::Sha1;
use windlass_resp::Value;

use crate::command::Answer;
use crate::keyspace::Entry;
use crate::number::{format_float, format_general};
use crate::object::Object;
use crate::state::Call;
use crate::types::Id;

/// A sum over data.
#[derive(Clone, Copy, Default)]
struct Digest([u8; 20]);

impl Digest {
    /// Adds bytes whose place does not matter.
    fn add(&mut self, bytes: &[u8]) {
        for (sum, byte) in self.0.iter_mut().zip(Sha1::from(bytes).digest().bytes()) {
            *sum ^= byte;
        }
    }

    /// Adds bytes whose place matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    fn entry(&mut self, entry: &Entry) {
        match &entry.value {
            Object::String(text) => {
                self.kind(0);
                self.mix(text);
            }
            Object::List(list) => {
                self.kind(1);
                list.iter().for_each(|item| self.mix(item));
            }
            Object::Set(set) => {
                self.kind(2);
                set.iter().for_each(|member| self.add(&member));
            }
            Object::SortedSet(zset) => {
                self.kind(3);
                for (member, score) in zset.iter() {
                    let score =
                        if score.is_finite() { format_general(score, 17) } else { format_float(score) };
                    self.pair(member, score.as_bytes());
                }
            }
            Object::Hash(hash) => {
                self.kind(4);
                for (field, value) in hash.iter() {
                    self.pair(field, value);
                }
            }
            Object::Stream(stream) => {
                self.kind(6);
                for (id, fields) in stream.range(Id::MIN, Id::MAX) {
                    self.mix(format!("{}.{}", id.ms, id.seq).as_bytes());
                    fields.into_iter().for_each(|word| self.mix(word));
                }
            }
        }
        if entry.expires_ms().is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// Adds the number of a type.
    fn kind(&mut self, number: u32) {
        self.mix(&number.to_be_bytes());
    }

    /// Adds two words whose order matters as a pair whose place does not.
    fn pair(&mut self, first: &[u8], second: &[u8]) {
        let mut pair = Self::default();
        pair.mix(first);
        pair.mix(second);
        self.add(&pair.0);
    }

    fn text(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The sum of all databases.
pub fn dataset(call: &mut Call<'_>) -> Answer {
    let mut total = Digest::default();
    for (number, database) in (0_u32..).zip(&call.state.databases) {
        if database.len() == 0 {
            continue;
        }
        total.mix(&number.to_be_bytes());
        for entry in database.iter() {
            let mut one = Digest::default();
            one.mix(&entry.key);
            one.entry(entry);
            total.add(&one.0);
        }
    }
    Ok(Value::Simple(total.text().into()))
}

/// The sum of each value; zeros for a key that is not there.
pub fn values(call: &mut Call<'_>) -> Answer {
    let keys = call.args.from(2);
    let sums = keys.iter().map(|key| {
        let mut sum = Digest::default();
        if let Some(entry) = call.entry(key) {
            sum.entry(entry);
        }
        Value::Simple(sum.text().into())
    });
    Ok(Value::Array(sums.collect()))
}
