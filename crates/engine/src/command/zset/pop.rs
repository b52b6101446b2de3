//! Taking the lowest or highest members away, at once or when there are some.

use windlass_resp::{Protocol, Value};

use super::{Answer, Command, FIRST, GROUP, Scores};
use crate::args::Args;
use crate::blob::Blob;
use crate::command::Keys;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::state::Call;
use crate::types::SortedSet;

const ALL_BUT_LAST: Keys = Keys::Range(1, -2, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row("zpopmin", -2, flags![WRITE, FAST], FIRST, "Take the members with the lowest scores", |call| {
        zpop(call, End::Min)
    }),
    GROUP.row(
        "zpopmax",
        -2,
        flags![WRITE, FAST],
        FIRST,
        "Take the members with the highest scores",
        |call| zpop(call, End::Max),
    ),
    GROUP.row(
        "bzpopmin",
        -3,
        flags![WRITE, NO_SCRIPT, BLOCKING, FAST],
        ALL_BUT_LAST,
        "Take the lowest member, waiting for one",
        |call| bzpop(call, End::Min),
    ),
    GROUP.row(
        "bzpopmax",
        -3,
        flags![WRITE, NO_SCRIPT, BLOCKING, FAST],
        ALL_BUT_LAST,
        "Take the highest member, waiting for one",
        |call| bzpop(call, End::Max),
    ),
    GROUP.row(
        "zmpop",
        -4,
        flags![WRITE],
        Keys::Counted(1),
        "Take members from the first of several sets that has any",
        zmpop,
    ),
    GROUP.row(
        "bzmpop",
        -5,
        flags![WRITE, BLOCKING],
        Keys::Counted(2),
        "Take members from the first of several sets, waiting",
        bzmpop,
    ),
];

/// Members named by one record of the log at most.
const LOGGED_MAX: usize = 1024;

#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

fn zpop(call: &mut Call<'_>, end: End) -> Answer {
    let args = call.args;
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let count = match args.get(2) {
        Some(text) => parse_integer(text).and_then(|count| usize::try_from(count).ok()),
        None => Some(1),
    };
    let count = count.ok_or(Error::NOT_POSITIVE)?;
    // Only a call with a count answers pairs, and only in RESP3.
    let scores = match call.session.protocol {
        Protocol::Resp3 if args.len() == 3 => Scores::Pairs,
        _ => Scores::Flat,
    };
    Ok(scores.reply(pop(call, args[1], end, count)?.unwrap_or_default().into_iter()))
}

fn bzpop(call: &mut Call<'_>, end: End) -> Answer {
    let args = call.args;
    let timeout_ms = args.timeout_ms(args.len() - 1)?;
    let keys = &args.0[1..args.len() - 1];
    for key in keys {
        if let Some((member, score)) = pop(call, key, end, 1)?.and_then(|popped| popped.into_iter().next()) {
            let reply = vec![Value::bulk(key), Value::bulk(member), Value::Double(score)];
            return Ok(Value::Array(reply));
        }
    }
    call.wait(keys, timeout_ms);
    Ok(Value::NilArray)
}

fn zmpop(call: &mut Call<'_>) -> Answer {
    let request = Request::parse(call.args, 1)?;
    Ok(request.serve(call)?.unwrap_or(Value::NilArray))
}

fn bzmpop(call: &mut Call<'_>) -> Answer {
    let timeout_ms = call.args.timeout_ms(1)?;
    let request = Request::parse(call.args, 2)?;
    if let Some(reply) = request.serve(call)? {
        return Ok(reply);
    }
    call.wait(request.keys, timeout_ms);
    Ok(Value::NilArray)
}

/// What ZMPOP asks for.
struct Request<'a> {
    keys: &'a [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a> Request<'a> {
    /// The request whose number of keys is at index `at`.
    fn parse(args: Args<'a>, at: usize) -> Result<Self> {
        let keys = positive(args[at], "numkeys")?;
        let (keys, rest) = args.from(at + 1).split_at_checked(keys).ok_or(Error::SYNTAX)?;
        let rest = Args(rest);
        let end = match rest.word(0).as_str() {
            "MIN" => End::Min,
            "MAX" => End::Max,
            _ => return Err(Error::SYNTAX),
        };
        let count = match rest.len() {
            1 => 1,
            3.. if rest.is(1, "COUNT") => positive(rest[2], "count")?,
            _ => return Err(Error::SYNTAX),
        };
        if rest.len() > 3 { Err(Error::SYNTAX) } else { Ok(Self { keys, end, count }) }
    }

    /// Takes from the first set that has members.
    fn serve(&self, call: &mut Call<'_>) -> Result<Option<Value>> {
        for key in self.keys {
            if let Some(popped) = pop(call, key, self.end, self.count)? {
                let members = Scores::Pairs.reply(popped.into_iter());
                return Ok(Some(Value::Array(vec![Value::bulk(key), members])));
            }
        }
        Ok(None)
    }
}

/// A number above 0; `name` is what the error calls it.
fn positive(text: &[u8], name: &str) -> Result<usize> {
    let number = parse_integer(text).and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| Error::new(format!("ERR {name} should be greater than 0")))
}

/// Takes up to `count` members from one end; none when there is no set.
fn pop(call: &mut Call<'_>, key: &[u8], end: End, count: usize) -> Result<Option<Vec<(Blob, f64)>>> {
    let Some(mut set) = call.get_mut::<SortedSet>(key)? else { return Ok(None) };
    let mut popped = Vec::with_capacity(count.min(set.len()));
    while popped.len() < count && !set.is_empty() {
        let rank = match end {
            End::Min => 0,
            End::Max => set.len() - 1,
        };
        let (score, member) = set.remove_at(rank);
        popped.push((member, score));
    }
    drop(set);
    if !popped.is_empty() {
        call.does(if matches!(end, End::Min) { "zpopmin" } else { "zpopmax" });
        call.changed(key);
        for chunk in popped.chunks(LOGGED_MAX) {
            let mut record: Vec<&[u8]> = vec![b"ZREM", key];
            record.extend(chunk.iter().map(|(member, _)| &**member));
            call.log_as(&record);
        }
    }
    Ok(Some(popped))
}
