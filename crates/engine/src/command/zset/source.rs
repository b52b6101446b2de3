//! What unions, intersections and differences read: sorted sets, and plain sets as if all scores were 1.

use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::object::Object;
use crate::state::Call;
use crate::types::{Set, SortedSet};

/// One input with the factor of its scores.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    Plain(&'a Set),
    Sorted(&'a SortedSet),
}

/// The keys whose number is at index `at`, after it; all of them are absent or sets of either kind.
pub fn keys<'a>(call: &mut Call<'a>, at: usize) -> Result<&'a [&'a [u8]]> {
    let args = call.args;
    let count = parse_integer(args[at]).ok_or(Error::NOT_INTEGER)?;
    if count < 1 {
        let name = call.command.name;
        return Err(Error::new(format!("ERR at least 1 input key is needed for '{name}' command")));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let keys = args.from(at + 1).get(..count).ok_or(Error::SYNTAX)?;
    for key in keys {
        if let Some(entry) = call.entry(key)
            && !matches!(entry.value, Object::Set(_) | Object::SortedSet(_))
        {
            return Err(Error::WRONG_TYPE);
        }
    }
    Ok(keys)
}

/// The sources at keys that [`keys`] has checked, in the same order.
pub fn open<'s>(call: &'s Call<'_>, keys: &[&[u8]], weights: &[f64]) -> Vec<Source<'s>> {
    let database = &call.state.databases[call.session.db];
    let members = keys.iter().map(|key| match database.entry(key).map(|entry| &entry.value) {
        Some(Object::Set(set)) => Members::Plain(set),
        Some(Object::SortedSet(set)) => Members::Sorted(set),
        _ => Members::None,
    });
    members.zip(weights).map(|(members, weight)| Source { members, weight: *weight }).collect()
}

/// Shortest first, as Redis does: fewest members to look up, and the same order of additions, on which the last
/// digits of a sum depend.
pub fn sort_by_length(sources: &mut [Source<'_>]) {
    sources.sort_by_key(Source::len);
}

impl Source<'_> {
    pub fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::Plain(set) => set.len(),
            Members::Sorted(set) => set.len(),
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.score(member).is_some()
    }

    /// The weighted score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        let score = match self.members {
            Members::None => None,
            Members::Plain(set) => set.contains(member).then_some(1.0),
            Members::Sorted(set) => set.score(member),
        };
        score.map(|score| score * self.weight)
    }

    /// Visits every member with its weighted score, a product that is no number counting as 0. Stops when `visit`
    /// says false.
    pub fn each(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        let weighted = |score: f64| Some(score * self.weight).filter(|score| !score.is_nan()).unwrap_or(0.0);
        match self.members {
            Members::None => {}
            Members::Plain(set) => {
                let score = weighted(1.0);
                let _ = set.iter().all(|member| visit(&member, score));
            }
            Members::Sorted(set) => {
                let _ = set.iter().all(|(member, score)| visit(member, weighted(score)));
            }
        }
    }
}
