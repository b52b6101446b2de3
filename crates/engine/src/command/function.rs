//! Commands on libraries of functions. Libraries belong to no database and are data: what changes them is logged.

use std::sync::Arc;

use windlass_resp::Value;

use super::script::{answer, parameters};
use super::{Answer, Command, Flags, Group, Keys};
use crate::args::Args;
use crate::blob::Blob;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::function::{FLAGS, Function, Libraries, Library, split};
use crate::pattern;
use crate::rdb::{Payload, encode_libraries};
use crate::script::{Invocation, Loaded};
use crate::session::Session;
use crate::state::Call;
use crate::time::Time;

pub const COMMANDS: &[Command] = &[
    GROUP.engine_row(
        "fcall",
        -3,
        RUN.and(Flags::MAY_REPLICATE),
        Keys::Counted(2),
        "Call a function",
        |engine, session, args, now| answer(fcall(engine, session, args, now, false)),
    ),
    GROUP.engine_row(
        "fcall_ro",
        -3,
        RUN.and(Flags::READONLY),
        Keys::Counted(2),
        "Call a function that only reads",
        |engine, session, args, now| answer(fcall(engine, session, args, now, true)),
    ),
    GROUP.container("function", "Manage libraries of functions", FUNCTION),
];

const RUN: Flags = flags![NO_SCRIPT, STALE, SKIP_MONITOR, NO_MANDATORY_KEYS];
const WRITE: Flags = flags![NO_SCRIPT, WRITE];

/// What makes the rows of this family.
const GROUP: Group = Group("scripting");

const FUNCTION: &[Command] = &[
    GROUP.engine_sub("function|delete", 3, WRITE, "<library-name>", "Delete a library.", delete),
    GROUP.sub(
        "function|dump",
        2,
        flags![NO_SCRIPT],
        Keys::None,
        "",
        "Answer all libraries in the form that RESTORE takes.",
        dump,
    ),
    GROUP.engine_sub(
        "function|flush",
        -2,
        WRITE,
        "[ASYNC|SYNC]",
        "Delete all libraries. Both words mean the same here.",
        flush,
    ),
    GROUP.help("function|help"),
    GROUP.sub(
        "function|kill",
        2,
        flags![NO_SCRIPT, ALLOW_BUSY],
        Keys::None,
        "",
        "Stop the function that is running.",
        super::script::kill,
    ),
    GROUP.sub(
        "function|list",
        -2,
        flags![NO_SCRIPT],
        Keys::None,
        "[LIBRARYNAME <pattern>] [WITHCODE]",
        "Tell of the libraries, of those whose names match if a pattern is given.",
        list,
    ),
    GROUP.engine_sub(
        "function|load",
        -3,
        WRITE.and(Flags::DENY_OOM),
        "[REPLACE] <code>",
        "Keep a library, and answer its name.",
        load,
    ),
    GROUP.engine_sub(
        "function|restore",
        -3,
        WRITE.and(Flags::DENY_OOM),
        "<payload> [FLUSH|APPEND|REPLACE]",
        "Keep the libraries of a payload: in place of all, or besides; one of the same name is replaced, or refused.",
        restore,
    ),
    GROUP.sub(
        "function|stats",
        2,
        flags![NO_SCRIPT, ALLOW_BUSY],
        Keys::None,
        "",
        "Tell what runs, and how many libraries and functions there are.",
        stats,
    ),
];

fn fcall(
    engine: &mut Engine,
    session: &mut Session,
    args: Args<'_>,
    now: Time,
    is_read_only: bool,
) -> Answer {
    // Redis looks for the function before it looks at the other arguments.
    let (library, place) = engine.state.libraries.find(args[1]).ok_or(Error::FUNCTION_NOT_FOUND)?;
    let library = Arc::clone(library);
    let count = args.integer(2).map_err(|_| Error::new("ERR Bad number of keys provided"))?;
    let (keys, argv) = parameters(args, count)?;
    let invocation = Invocation { session, keys, argv, is_read_only, now };
    engine.scripts.call(args[1], (&library, place), &mut engine.state, invocation)
}

/// What becomes of the libraries that are there when others come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They stay, and one of the same name is refused.
    Append,
    /// They stay, but for those of the same name.
    Replace,
    /// They go.
    Flush,
}

impl Engine {
    /// Adds libraries by their sources, all or none, and logs that.
    pub(crate) fn add_libraries(&mut self, db: usize, sources: &[Blob], policy: Policy) -> Result<()> {
        let is_flush = policy == Policy::Flush;
        let mut libraries = if is_flush { Libraries::default() } else { self.state.libraries.clone() };
        let mut loaded: Vec<Loaded> = Vec::new();
        let added = sources.iter().try_for_each(|source| {
            let (name, _) = split(source)?;
            if libraries.has(name) && policy != Policy::Replace {
                let name = String::from_utf8_lossy(name);
                return Err(Error::new(format!("ERR Library {name} already exists")));
            }
            let one = self.scripts.load_library(source)?;
            let added = libraries.add(one.library.clone());
            loaded.push(one);
            added
        });
        if let Err(error) = added {
            loaded.into_iter().for_each(|one| self.scripts.drop_library(one));
            return Err(error);
        }
        if is_flush {
            self.scripts.forget_libraries();
            self.state.effects.push(db, &[b"FUNCTION", b"FLUSH"]);
        }
        for one in loaded {
            self.state.effects.push(db, &[b"FUNCTION", b"LOAD", b"REPLACE", &one.library.source]);
            self.scripts.keep_library(one);
        }
        self.state.libraries = libraries;
        Ok(())
    }
}

fn load(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let (source, options) = args.from(2).split_last()?;
    let mut policy = Policy::Append;
    for option in options {
        if !option.eq_ignore_ascii_case(b"REPLACE") {
            let option = String::from_utf8_lossy(option);
            return Some(Error::new(format!("ERR Unknown option given: {option}")).into());
        }
        policy = Policy::Replace;
    }
    answer(load_one(engine, session.db, source, policy))
}

fn load_one(engine: &mut Engine, db: usize, source: &[u8], policy: Policy) -> Answer {
    let (name, _) = split(source)?;
    if policy == Policy::Append && engine.state.libraries.has(name) {
        let name = String::from_utf8_lossy(name);
        return Err(Error::new(format!("ERR Library '{name}' already exists")));
    }
    engine.add_libraries(db, &[Blob::from(source)], policy)?;
    Ok(Value::bulk(name))
}

fn delete(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    if !engine.state.libraries.remove(args[2]) {
        return Some(Error::new("ERR Library not found").into());
    }
    engine.scripts.forget_library(args[2]);
    engine.state.effects.push(session.db, &[b"FUNCTION", b"DELETE", args[2]]);
    Some(Value::OK)
}

fn flush(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    if args.len() > 3 {
        return Some(Error::subcommand_arguments("function", args[1]).into());
    }
    if args.len() == 3 && !args.is(2, "SYNC") && !args.is(2, "ASYNC") {
        return Some(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option").into());
    }
    answer(engine.add_libraries(session.db, &[], Policy::Flush).map(|()| Value::OK))
}

fn restore(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let given = restored(args);
    let added = given.and_then(|(sources, policy)| engine.add_libraries(session.db, &sources, policy));
    answer(added.map(|()| Value::OK))
}

/// The libraries that RESTORE was given, and what it is to do.
fn restored(args: Args<'_>) -> Result<(Vec<Blob>, Policy)> {
    let policy = match args.len() {
        3 => Policy::Append,
        4 if args.is(3, "APPEND") => Policy::Append,
        4 if args.is(3, "REPLACE") => Policy::Replace,
        4 if args.is(3, "FLUSH") => Policy::Flush,
        4 => {
            const TEXT: &str =
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.";
            return Err(Error::new(TEXT));
        }
        _ => return Err(Error::subcommand_arguments("function", args[1])),
    };
    let payload = Payload::parse(args[2]);
    let payload = payload.ok_or_else(|| Error::new("ERR DUMP payload version or checksum are wrong"))?;
    Ok((payload.libraries()?, policy))
}

fn dump(call: &mut Call<'_>) -> Answer {
    Ok(Value::bulk(encode_libraries(call.state.libraries.iter().map(|library| &*library.source))))
}

fn list(call: &mut Call<'_>) -> Answer {
    let (mut wanted, mut with_code, mut at) = (None, false, 2);
    while let Some(word) = call.args.get(at) {
        at += 1;
        if !with_code && word.eq_ignore_ascii_case(b"WITHCODE") {
            with_code = true;
        } else if wanted.is_none() && word.eq_ignore_ascii_case(b"LIBRARYNAME") {
            let name = call.args.get(at);
            at += 1;
            wanted = Some(
                name.ok_or_else(|| Error::new("ERR library name argument was not given"))?
                    .to_ascii_lowercase(),
            );
        } else {
            return Err(Error::new(format!("ERR Unknown argument {}", String::from_utf8_lossy(word))));
        }
    }
    let is_wanted = |library: &Library| {
        let name = library.name.to_ascii_lowercase();
        wanted.as_ref().is_none_or(|pattern| pattern::matches(pattern, &name))
    };
    let libraries = call.state.libraries.iter().filter(|library| is_wanted(library));
    Ok(Value::Array(libraries.map(|library| told(library, with_code)).collect()))
}

fn told(library: &Library, with_code: bool) -> Value {
    let functions = library.functions.iter().map(told_function).collect();
    let mut fields = vec![
        ("library_name".into(), Value::bulk(&*library.name)),
        ("engine".into(), "LUA".into()),
        ("functions".into(), Value::Array(functions)),
    ];
    if with_code {
        fields.push(("library_code".into(), Value::bulk(&*library.source)));
    }
    Value::Map(fields)
}

fn told_function(function: &Function) -> Value {
    let flags = FLAGS.iter().zip(function.flags).filter(|(_, is_set)| *is_set);
    let description = function.description.as_deref().map_or(Value::Nil, Value::bulk);
    Value::Map(vec![
        ("name".into(), Value::bulk(&*function.name)),
        ("description".into(), description),
        ("flags".into(), Value::Set(flags.map(|(flag, _)| Value::Simple((*flag).into())).collect())),
    ])
}

fn stats(call: &mut Call<'_>) -> Answer {
    let libraries = &call.state.libraries;
    let counts = Value::Map(vec![
        ("libraries_count".into(), Value::from(libraries.len() as i64)),
        ("functions_count".into(), Value::from(libraries.functions() as i64)),
    ]);
    // A function holds the engine while it runs: when this is read, none does.
    Ok(Value::Map(vec![
        ("running_script".into(), Value::Nil),
        ("engines".into(), Value::Map(vec![("LUA".into(), counts)])),
    ]))
}
