//! Commands on scripts.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Keys, Run};
use crate::args::Args;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::script::{Digest, Invocation};
use crate::session::Session;
use crate::time::Time;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "eval",
        arity: -3,
        flags: Flags::NO_SCRIPT,
        keys: Keys::Counted(2),
        group: "scripting",
        summary: "Run a Lua script",
        run: Run::Engine(|engine, session, args, now| answer(eval(engine, session, args, now, false))),
    },
    Command {
        name: "evalsha",
        arity: -3,
        flags: Flags::NO_SCRIPT,
        keys: Keys::Counted(2),
        group: "scripting",
        summary: "Run a cached Lua script by its SHA-1 digest",
        run: Run::Engine(|engine, session, args, now| answer(evalsha(engine, session, args, now, false))),
    },
    Command {
        name: "eval_ro",
        arity: -3,
        flags: Flags::NO_SCRIPT.and(Flags::READONLY),
        keys: Keys::Counted(2),
        group: "scripting",
        summary: "Run a Lua script that only reads",
        run: Run::Engine(|engine, session, args, now| answer(eval(engine, session, args, now, true))),
    },
    Command {
        name: "evalsha_ro",
        arity: -3,
        flags: Flags::NO_SCRIPT.and(Flags::READONLY),
        keys: Keys::Counted(2),
        group: "scripting",
        summary: "Run a cached Lua script that only reads",
        run: Run::Engine(|engine, session, args, now| answer(evalsha(engine, session, args, now, true))),
    },
    Command {
        name: "script",
        arity: -2,
        flags: Flags::NO_SCRIPT,
        keys: Keys::None,
        group: "scripting",
        summary: "Manage the cache of scripts",
        run: Run::Engine(|engine, _, args, _| answer(script(engine, args))),
    },
];

fn answer(answer: Answer) -> Option<Value> {
    Some(answer.unwrap_or_else(Value::from))
}

fn eval(engine: &mut Engine, session: &mut Session, args: Args<'_>, now: Time, is_read_only: bool) -> Answer {
    let (keys, argv) = parameters(args)?;
    let digest = engine.scripts.load_evaluated(args[1])?;
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
    let (keys, argv) = parameters(args)?;
    let invocation = Invocation { session, keys, argv, is_read_only, now };
    engine.scripts.run(digest, &mut engine.state, invocation)
}

type Words<'a> = &'a [&'a [u8]];

/// The keys and the other arguments, after their number at index 2.
fn parameters(args: Args<'_>) -> Result<(Words<'_>, Words<'_>)> {
    let count = args.integer(2)?;
    let words = args.from(3);
    match usize::try_from(count) {
        Err(_) => Err(Error::new("ERR Number of keys can't be negative")),
        Ok(count) => words
            .split_at_checked(count)
            .ok_or_else(|| Error::new("ERR Number of keys can't be greater than number of args")),
    }
}

/// What SCRIPT HELP answers.
const HELP: [&str; 11] = [
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "EXISTS <sha1> [<sha1> ...]",
    "    Tell which scripts are cached.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts. Both words mean the same here.",
    "KILL",
    "    Stop the script that is running.",
    "LOAD <script>",
    "    Keep a script without running it, and answer its digest.",
    "HELP",
    "    Print this help.",
];

fn script(engine: &mut Engine, args: Args<'_>) -> Answer {
    let word = args.word(1);
    let accepts = |arity: i64| {
        let count = args.len() as i64;
        if count == arity || (arity < 0 && count >= -arity) {
            Ok(())
        } else {
            Err(Error::arity(&format!("script|{word}")))
        }
    };
    match word.as_str() {
        "EXISTS" => {
            accepts(-3)?;
            let known = |text: &&[u8]| Digest::parse(text).is_some_and(|digest| engine.scripts.has(&digest));
            Ok(Value::Array(args.from(2).iter().map(|text| Value::from(known(text))).collect()))
        }
        "FLUSH" => {
            if args.len() > 3 || (args.len() == 3 && !args.is(2, "SYNC") && !args.is(2, "ASYNC")) {
                return Err(Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
            }
            engine.scripts.flush();
            Ok(Value::OK)
        }
        "KILL" => {
            accepts(2)?;
            // A script holds the engine while it runs: when this is read, none does.
            Err(Error::new("NOTBUSY No scripts in execution right now."))
        }
        "LOAD" => {
            accepts(3)?;
            Ok(Value::bulk(engine.scripts.load(args[2])?.hex()))
        }
        "HELP" => {
            accepts(2)?;
            Ok(Value::Array(HELP.iter().map(|line| Value::Simple((*line).into())).collect()))
        }
        _ => Err(Error::unknown_subcommand("SCRIPT", args[1])),
    }
}
