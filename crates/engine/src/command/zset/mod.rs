//! Commands on sorted sets, a file for each thing that is done with them. A command is a row of its file's
//! `COMMANDS`; what several files need is here: rows, replies, and storing a result.

pub mod add;
pub mod combine;
pub mod pop;
pub mod random;
pub mod range;
pub mod read;
pub mod remove;
mod source;
mod span;

use windlass_resp::{Protocol, Value};

use super::{Answer, Command, Group, Keys};
use crate::object::Kind;
use crate::state::Call;
use crate::types::SortedSet;

const FIRST: Keys = Keys::Range(1, 1, 1);

/// What makes the rows of this family.
const GROUP: Group = Group("sorted-set");

/// Whether and how a reply shows scores.
#[derive(Clone, Copy)]
enum Scores {
    Without,
    /// A score after each member.
    Flat,
    /// Pairs of member and score.
    Pairs,
}

impl Scores {
    /// The form for WITHSCORES, which RESP3 shows as pairs.
    fn of(call: &Call<'_>, with_scores: bool) -> Self {
        match (with_scores, call.session.protocol) {
            (false, _) => Self::Without,
            (true, Protocol::Resp2) => Self::Flat,
            (true, Protocol::Resp3) => Self::Pairs,
        }
    }

    /// The reply of members in this form.
    fn reply<M: AsRef<[u8]>>(self, members: impl Iterator<Item = (M, f64)>) -> Value {
        let array = match self {
            Self::Without => members.map(|(member, _)| Value::bulk(member)).collect(),
            Self::Flat => {
                members.flat_map(|(member, score)| [Value::bulk(member), Value::Double(score)]).collect()
            }
            Self::Pairs => members
                .map(|(member, score)| Value::Array(vec![Value::bulk(member), Value::Double(score)]))
                .collect(),
        };
        Value::Array(array)
    }
}

/// Puts `result` in place of whatever is at `key`, nothing when it is empty, and answers its length.
fn store(call: &mut Call<'_>, key: &[u8], result: SortedSet) -> Answer {
    let len = result.len();
    if len > 0 {
        call.set(key, result.wrap(), None);
        call.log();
    } else if call.remove(key) {
        call.log();
    }
    Ok(Value::from(len))
}
