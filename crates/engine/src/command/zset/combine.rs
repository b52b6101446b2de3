//! Unions, intersections and differences. A plain set counts as a sorted one whose scores are all 1.

use windlass_resp::Value;

use super::source::{self, Source};
use super::{Answer, Command, GROUP, Scores, store};
use crate::args::Args;
use crate::command::Keys;
use crate::error::{Error, Result};
use crate::number::parse_float;
use crate::state::Call;
use crate::types::SortedSet;

const SOURCES: Keys = Keys::Counted(1);
const STORE: Keys = Keys::StoreCounted(2);

pub const COMMANDS: &[Command] = &[
    GROUP.row("zunion", -3, flags![READONLY], SOURCES, "Get the members of any of several sets", |call| {
        read(call, Operation::Union)
    }),
    GROUP.row("zinter", -3, flags![READONLY], SOURCES, "Get the members that several sets share", |call| {
        read(call, Operation::Intersection)
    }),
    GROUP.row(
        "zdiff",
        -3,
        flags![READONLY],
        SOURCES,
        "Get the members that only the first of several sets has",
        |call| read(call, Operation::Difference),
    ),
    GROUP.row(
        "zunionstore",
        -4,
        flags![WRITE, DENY_OOM],
        STORE,
        "Store the members of any of several sets",
        |call| write(call, Operation::Union),
    ),
    GROUP.row(
        "zinterstore",
        -4,
        flags![WRITE, DENY_OOM],
        STORE,
        "Store the members that several sets share",
        |call| write(call, Operation::Intersection),
    ),
    GROUP.row(
        "zdiffstore",
        -4,
        flags![WRITE, DENY_OOM],
        STORE,
        "Store the members that only the first of several sets has",
        |call| write(call, Operation::Difference),
    ),
    GROUP.row(
        "zintercard",
        -3,
        flags![READONLY],
        SOURCES,
        "Count the members that several sets share",
        zintercard,
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of one member in several sets become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

fn read(call: &mut Call<'_>, operation: Operation) -> Answer {
    let keys = source::keys(call, 1)?;
    let options = Options::parse(call.args.from(2 + keys.len()), operation, keys.len(), true)?;
    let scores = Scores::of(call, options.with_scores);
    Ok(scores.reply(combine(call, operation, keys, &options).iter()))
}

fn write(call: &mut Call<'_>, operation: Operation) -> Answer {
    let keys = source::keys(call, 2)?;
    let options = Options::parse(call.args.from(3 + keys.len()), operation, keys.len(), false)?;
    let result = combine(call, operation, keys, &options);
    store(call, call.args[1], result)
}

fn zintercard(call: &mut Call<'_>) -> Answer {
    let keys = source::keys(call, 1)?;
    let options = Args(call.args.from(2 + keys.len()));
    let mut limit = 0;
    for at in (0..options.len()).step_by(2) {
        if !options.is(at, "LIMIT") || options.get(at + 1).is_none() {
            return Err(Error::SYNTAX);
        }
        limit = options.count(at + 1).map_err(|_| Error::new("ERR LIMIT can't be negative"))?;
    }
    let (smallest, others) = split_smallest(source::open(call, keys, &vec![1.0; keys.len()]));
    let mut count = 0_usize;
    smallest.each(|member, _| {
        count += usize::from(others.iter().all(|other| other.contains(member)));
        // A limit of 0 is none.
        limit == 0 || count < limit
    });
    Ok(Value::from(count))
}

/// What follows the keys.
struct Options {
    /// One for each source.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    fn parse(rest: &[&[u8]], operation: Operation, sources: usize, is_read: bool) -> Result<Self> {
        let rest = Args(rest);
        let has_scores = operation != Operation::Difference;
        let mut options = Self { weights: vec![1.0; sources], aggregate: Aggregate::Sum, with_scores: false };
        let mut at = 0;
        while at < rest.len() {
            match rest.word(at).as_str() {
                "WEIGHTS" if has_scores && rest.len() - at > sources => {
                    for weight in &mut options.weights {
                        at += 1;
                        let number = parse_float(rest[at]);
                        *weight = number.ok_or_else(|| Error::new("ERR weight value is not a float"))?;
                    }
                }
                "AGGREGATE" if has_scores && rest.len() - at > 1 => {
                    at += 1;
                    options.aggregate = Aggregate::parse(&rest.word(at))?;
                }
                "WITHSCORES" if is_read => options.with_scores = true,
                _ => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }
}

impl Aggregate {
    fn parse(word: &str) -> Result<Self> {
        match word {
            "SUM" => Ok(Self::Sum),
            "MIN" => Ok(Self::Min),
            "MAX" => Ok(Self::Max),
            _ => Err(Error::SYNTAX),
        }
    }

    /// The score for two; where infinities leave no number a sum is 0, and the lowest and highest stay as they are.
    fn of(self, total: f64, score: f64) -> f64 {
        match self {
            Self::Sum if (total + score).is_nan() => 0.0,
            Self::Sum => total + score,
            Self::Min if score < total => score,
            Self::Max if score > total => score,
            Self::Min | Self::Max => total,
        }
    }
}

fn combine(call: &Call<'_>, operation: Operation, keys: &[&[u8]], options: &Options) -> SortedSet {
    let mut result = SortedSet::new(call.state.config.seed);
    let sources = source::open(call, keys, &options.weights);
    match operation {
        Operation::Union => unite(sources, options.aggregate, &mut result),
        Operation::Intersection => intersect(sources, options.aggregate, &mut result),
        Operation::Difference => subtract(&sources, &mut result),
    }
    result
}

fn unite(mut sources: Vec<Source<'_>>, aggregate: Aggregate, result: &mut SortedSet) {
    source::sort_by_length(&mut sources);
    for source in sources {
        source.each(|member, score| {
            let total = result.score(member).map_or(score, |total| aggregate.of(total, score));
            result.insert(member, total);
            true
        });
    }
}

fn intersect(sources: Vec<Source<'_>>, aggregate: Aggregate, result: &mut SortedSet) {
    let (smallest, others) = split_smallest(sources);
    smallest.each(|member, score| {
        let total = others
            .iter()
            .try_fold(score, |total, other| other.score(member).map(|score| aggregate.of(total, score)));
        if let Some(total) = total {
            result.insert(member, total);
        }
        true
    });
}

fn subtract(sources: &[Source<'_>], result: &mut SortedSet) {
    let Some((first, others)) = sources.split_first() else { return };
    first.each(|member, score| {
        if !others.iter().any(|other| other.contains(member)) {
            result.insert(member, score);
        }
        true
    });
}

/// The source with the fewest members, and the others.
fn split_smallest(mut sources: Vec<Source<'_>>) -> (Source<'_>, Vec<Source<'_>>) {
    source::sort_by_length(&mut sources);
    let others = sources.split_off(1);
    (sources.pop().expect("there is at least one source"), others)
}
