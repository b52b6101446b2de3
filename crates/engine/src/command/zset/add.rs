//! Adding members and setting scores.

use windlass_resp::Value;

use super::{Answer, Command, FIRST, GROUP};
use crate::args::Args;
use crate::error::{Error, Result};
use crate::number::parse_float;
use crate::state::Call;
use crate::types::{SortedSet, WARM};

pub const COMMANDS: &[Command] = &[
    GROUP.row("zadd", -4, flags![WRITE, DENY_OOM, FAST], FIRST, "Add members, or change their scores", zadd),
    GROUP.row("zincrby", 4, flags![WRITE, DENY_OOM, FAST], FIRST, "Add to the score of a member", zincrby),
];

/// What ZADD may do, and what it answers.
#[derive(Clone, Copy, Default)]
struct Options {
    only_new: bool,
    only_existing: bool,
    only_greater: bool,
    only_less: bool,
    counts_changed: bool,
    is_increment: bool,
}

/// What became of one member: its score before, if any, and the one it has now; none when an option forbade it.
struct Change {
    before: Option<f64>,
    now: Option<f64>,
}

/// What became of all members, and the score of the last.
#[derive(Default)]
struct Tally {
    added: usize,
    updated: usize,
    last: Option<f64>,
}

impl Change {
    fn is_addition(&self) -> bool {
        self.before.is_none() && self.now.is_some()
    }

    fn is_update(&self) -> bool {
        self.before.is_some() && self.now.is_some() && self.now != self.before
    }
}

fn zadd(call: &mut Call<'_>) -> Answer {
    let (options, pairs) = Options::parse(call.args)?;
    let scored = pairs
        .chunks_exact(2)
        .map(|pair| Ok((parse_float(pair[0]).ok_or(Error::NOT_FLOAT)?, pair[1])))
        .collect::<Result<Vec<_>>>()?;
    add(call, options, &scored)
}

fn zincrby(call: &mut Call<'_>) -> Answer {
    let pair = (call.args.float(2)?, call.args[3]);
    add(call, Options { is_increment: true, ..Options::default() }, &[pair])
}

impl Options {
    /// The options of ZADD, and the scores and members that follow them.
    fn parse(args: Args<'_>) -> Result<(Self, &[&[u8]])> {
        let mut options = Self::default();
        let mut at = 2;
        // A score mostly begins with no letter, and is told by that at once.
        while args.get(at).is_some_and(|word| word.first().is_some_and(u8::is_ascii_alphabetic)) {
            match args.word(at).as_str() {
                "NX" => options.only_new = true,
                "XX" => options.only_existing = true,
                "GT" => options.only_greater = true,
                "LT" => options.only_less = true,
                "CH" => options.counts_changed = true,
                "INCR" => options.is_increment = true,
                _ => break,
            }
            at += 1;
        }
        let pairs = args.from(at);
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(Error::SYNTAX);
        }
        if options.only_new && options.only_existing {
            return Err(Error::new("ERR XX and NX options at the same time are not compatible"));
        }
        let exclusive = [options.only_new, options.only_greater, options.only_less];
        if exclusive.into_iter().filter(|is_set| *is_set).count() > 1 {
            return Err(Error::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if options.is_increment && pairs.len() > 2 {
            return Err(Error::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok((options, pairs))
    }

    fn apply_all(self, set: &mut SortedSet, pairs: &[(f64, &[u8])]) -> Result<Tally> {
        let mut tally = Tally::default();
        for some in pairs.chunks(WARM) {
            if some.len() > 1 {
                set.warm(some.iter().map(|(_, member)| *member));
            }
            for (score, member) in some {
                let change = self.apply(set, *score, member)?;
                tally.added += usize::from(change.is_addition());
                tally.updated += usize::from(change.is_update());
                tally.last = change.now;
            }
        }
        Ok(tally)
    }

    fn apply(self, set: &mut SortedSet, score: f64, member: &[u8]) -> Result<Change> {
        let before = set.score(member);
        let Some(current) = before else {
            if self.only_existing {
                return Ok(Change { before, now: None });
            }
            set.add(member, score);
            return Ok(Change { before, now: Some(score) });
        };
        let wanted = if self.is_increment { current + score } else { score };
        if self.only_new {
            return Ok(Change { before, now: None });
        }
        if wanted.is_nan() {
            return Err(Error::new("ERR resulting score is not a number (NaN)"));
        }
        if (self.only_less && wanted >= current) || (self.only_greater && wanted <= current) {
            return Ok(Change { before, now: None });
        }
        // Most repeated calls set the score that is there already, and stop here.
        if wanted != current {
            set.insert(member, wanted);
        }
        Ok(Change { before, now: Some(wanted) })
    }
}

/// The body of ZADD and ZINCRBY.
fn add(call: &mut Call<'_>, options: Options, pairs: &[(f64, &[u8])]) -> Answer {
    let key = call.args[1];
    let tally = if !options.only_existing {
        // A set that is made here does not stay empty: the first pair is always added to it.
        options.apply_all(&mut *call.make::<SortedSet>(key)?, pairs)?
    } else if let Some(mut set) = call.get_mut::<SortedSet>(key)? {
        options.apply_all(&mut set, pairs)?
    } else {
        Tally::default()
    };
    let changed = tally.added + tally.updated;
    if changed > 0 {
        if options.is_increment {
            call.does("zincr");
        }
        call.grew(key);
        call.log();
    }
    Ok(match options {
        Options { is_increment: true, .. } => tally.last.map_or(Value::Nil, Value::Double),
        Options { counts_changed: true, .. } => Value::from(changed),
        _ => Value::from(tally.added),
    })
}
