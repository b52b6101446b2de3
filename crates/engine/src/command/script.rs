//! Commands on scripts.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Group, Keys};
use crate::args::Args;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::script::{Digest, Invocation};
use crate::session::Session;
use crate::state::Call;
use crate::time::Time;

pub const COMMANDS: &[Command] = &[
    GROUP.engine_row(
        "eval",
        -3,
        RUN.and(Flags::MAY_REPLICATE),
        KEYS,
        "Run a Lua script",
        |engine, session, args, now| answer(eval(engine, session, args, now, false)),
    ),
    GROUP.engine_row(
        "eval_ro",
        -3,
        RUN.and(Flags::READONLY),
        KEYS,
        "Run a Lua script that only reads",
        |engine, session, args, now| answer(eval(engine, session, args, now, true)),
    ),
    GROUP.engine_row(
        "evalsha",
        -3,
        RUN.and(Flags::MAY_REPLICATE),
        KEYS,
        "Run a cached Lua script by its SHA-1 digest",
        |engine, session, args, now| answer(evalsha(engine, session, args, now, false)),
    ),
    GROUP.engine_row(
        "evalsha_ro",
        -3,
        RUN.and(Flags::READONLY),
        KEYS,
        "Run a cached Lua script that only reads",
        |engine, session, args, now| answer(evalsha(engine, session, args, now, true)),
    ),
    GROUP.container("script", "Manage the cache of scripts", SCRIPT),
];

const RUN: Flags = flags![NO_SCRIPT, STALE, SKIP_MONITOR, NO_MANDATORY_KEYS];
const KEYS: Keys = Keys::Counted(2);

/// What makes the rows of this family.
const GROUP: Group = Group("scripting");

const SCRIPT: &[Command] = &[
    GROUP.engine_sub(
        "script|exists",
        -3,
        flags![NO_SCRIPT],
        "<sha1> [<sha1> ...]",
        "Tell which scripts are cached.",
        exists,
    ),
    GROUP.engine_sub(
        "script|flush",
        -2,
        flags![NO_SCRIPT],
        "[ASYNC|SYNC]",
        "Forget all scripts. Both words mean the same here.",
        flush,
    ),
    GROUP.help("script|help"),
    GROUP.sub(
        "script|kill",
        2,
        flags![NO_SCRIPT, ALLOW_BUSY],
        Keys::None,
        "",
        "Stop the script that is running.",
        kill,
    ),
    GROUP.engine_sub(
        "script|load",
        3,
        flags![NO_SCRIPT, STALE],
        "<script>",
        "Keep a script without running it, and answer its digest.",
        load,
    ),
];

pub(super) fn answer(answer: Answer) -> Option<Value> {
    Some(answer.unwrap_or_else(Value::from))
}

fn eval(engine: &mut Engine, session: &mut Session, args: Args<'_>, now: Time, is_read_only: bool) -> Answer {
    let (keys, argv) = parameters(args, args.integer(2)?)?;
    let digest = engine.scripts.load_evaluated(args[1])?;
    engine.state.cached_scripts = engine.scripts.len();
    let invocation = Invocation { session, keys, argv, is_read_only, now };
    engine.scripts.run(digest, &mut engine.state, invocation)
}

fn evalsha(
    engine: &mut Engine,
    session: &mut Session,
    args: Args<'_>,
    now: Time,
    is_read_only: bool,
) -> Answer {
    // Redis looks for a script by what may be a digest before it looks at the other arguments.
    let digest = Digest::parse(args[1]).ok_or(Error::NO_SCRIPT)?;
    let (keys, argv) = parameters(args, args.integer(2)?)?;
    let invocation = Invocation { session, keys, argv, is_read_only, now };
    engine.scripts.run(digest, &mut engine.state, invocation)
}

type Words<'a> = &'a [&'a [u8]];

/// The keys and the other arguments, after their number at index 2, which is `count`.
pub(super) fn parameters(args: Args<'_>, count: i64) -> Result<(Words<'_>, Words<'_>)> {
    let words = args.from(3);
    match usize::try_from(count) {
        Err(_) => Err(Error::new("ERR Number of keys can't be negative")),
        Ok(count) => words
            .split_at_checked(count)
            .ok_or_else(|| Error::new("ERR Number of keys can't be greater than number of args")),
    }
}

fn exists(engine: &mut Engine, _: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let known = |text: &&[u8]| Digest::parse(text).is_some_and(|digest| engine.scripts.has(&digest));
    Some(Value::Array(args.from(2).iter().map(|text| Value::from(known(text))).collect()))
}

fn flush(engine: &mut Engine, _: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    if args.len() > 3 || (args.len() == 3 && !args.is(2, "SYNC") && !args.is(2, "ASYNC")) {
        return Some(Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option").into());
    }
    engine.scripts.flush();
    engine.state.cached_scripts = 0;
    Some(Value::OK)
}

pub(super) fn kill(_: &mut Call<'_>) -> Answer {
    // A script holds the engine while it runs: when this is read, none does.
    Err(Error::new("NOTBUSY No scripts in execution right now."))
}

fn load(engine: &mut Engine, _: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let loaded = engine.scripts.load(args[2]);
    engine.state.cached_scripts = engine.scripts.len();
    answer(loaded.map(|digest| Value::bulk(digest.hex())))
}
