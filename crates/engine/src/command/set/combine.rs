//! Intersection, union and difference.

use windlass_resp::Value;

use crate::args::Args;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::object::Kind;
use crate::state::Call;
use crate::types::{Member, Set};

/// Makes a set of sets; none stands for a key that is not there.
type Combine = fn(&[Option<&Set>], u64) -> Set;

pub fn sinter(call: &mut Call<'_>) -> Answer {
    answer(call, intersection)
}

pub fn sunion(call: &mut Call<'_>) -> Answer {
    answer(call, union)
}

pub fn sdiff(call: &mut Call<'_>) -> Answer {
    answer(call, difference)
}

pub fn sinterstore(call: &mut Call<'_>) -> Answer {
    store(call, intersection)
}

pub fn sunionstore(call: &mut Call<'_>) -> Answer {
    store(call, union)
}

pub fn sdiffstore(call: &mut Call<'_>) -> Answer {
    store(call, difference)
}

pub fn sintercard(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let count = args.integer(1).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or_else(|| Error::new("ERR numkeys should be greater than 0"))?;
    if count > args.len() - 2 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    let limit = limit(args, 2 + count)?;
    let sets = sets(call, &args.from(2)[..count])?;
    Ok(common(&sets).take(limit).count().into())
}

/// The limit that the options from `index` on give.
fn limit(args: Args<'_>, index: usize) -> Result<usize> {
    let mut limit = usize::MAX;
    for option in args.from(index).chunks(2) {
        let [name, value] = option else { return Err(Error::SYNTAX) };
        if !name.eq_ignore_ascii_case(b"LIMIT") {
            return Err(Error::SYNTAX);
        }
        let given = parse_integer(value).and_then(|limit| usize::try_from(limit).ok());
        let given = given.ok_or_else(|| Error::new("ERR LIMIT can't be negative"))?;
        limit = if given == 0 { usize::MAX } else { given };
    }
    Ok(limit)
}

fn answer(call: &mut Call<'_>, combine: Combine) -> Answer {
    let keys = call.args.from(1);
    let seed = call.state.config.seed;
    let result = combine(&sets(call, keys)?, seed);
    Ok(Value::Set(result.iter().map(|member| Value::bulk(&**member)).collect()))
}

fn store(call: &mut Call<'_>, combine: Combine) -> Answer {
    let (target, keys) = (call.args[1], call.args.from(2));
    let seed = call.state.config.seed;
    let result = combine(&sets(call, keys)?, seed);
    let count = result.len();
    if count > 0 {
        call.set(target, result.wrap(), None);
        call.log();
    } else if call.remove(target) {
        call.log_as(&[b"DEL", target]);
    }
    Ok(count.into())
}

/// The sets at `keys`. Every key is looked at before any result, so that a wrong type is always an error.
fn sets<'a>(call: &'a mut Call<'_>, keys: &[&[u8]]) -> Result<Vec<Option<&'a Set>>> {
    for key in keys {
        call.get::<Set>(key)?;
    }
    let database = &call.state.databases[call.session.db];
    Ok(keys.iter().map(|key| database.entry(key).and_then(|entry| Set::of(&entry.value))).collect())
}

fn intersection(sets: &[Option<&Set>], seed: u64) -> Set {
    let mut result = Set::new(seed);
    for member in common(sets) {
        result.add(&member);
    }
    result
}

fn union(sets: &[Option<&Set>], seed: u64) -> Set {
    let mut result = Set::new(seed);
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        result.add(&member);
    }
    result
}

fn difference(sets: &[Option<&Set>], seed: u64) -> Set {
    let mut result = Set::new(seed);
    let Some((Some(first), others)) = sets.split_first() else { return result };
    let is_alone = |member: &[u8]| !others.iter().flatten().any(|other| other.contains(member));
    for member in first.iter().filter(|member| is_alone(member)) {
        result.add(&member);
    }
    result
}

/// The members that all sets have: those of the smallest that the others have, the smaller ones asked first.
fn common<'a>(sets: &[Option<&'a Set>]) -> impl Iterator<Item = Member<'a>> {
    let mut present: Vec<&Set> = sets.iter().copied().collect::<Option<_>>().unwrap_or_default();
    present.sort_by_key(|set| set.len());
    let smallest = present.first().copied();
    let others = present.split_off(present.len().min(1));
    smallest
        .into_iter()
        .flat_map(Set::iter)
        .filter(move |member| others.iter().all(|other| other.contains(member)))
}
