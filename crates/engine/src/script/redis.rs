//! The library `redis`: commands, replies and settings of the running script.

use mlua::{Lua, MultiValue, Table, Value as LuaValue};
use windlass_resp::{Protocol, Value};

use super::arguments::Arguments;
use super::library::{Library, VERSION, VERSION_NUMBER};
use super::push::argument;
use super::scene::{NO_SCENE, Scene, with_scene};
use super::{bridge, hook, raise};
use crate::args::Args;
use crate::command::{self, Command, Flags, Run};
use crate::error::{Error, Result};

/// What a call without a command is answered, and one with an argument that is no part of one.
pub const NO_ARGUMENT: &str = "ERR Please specify at least one argument for this redis lib call";
pub const NO_WORD: &str = "ERR Lua redis lib command arguments must be strings or integers";

/// How many levels of `redis.log` there are.
const LOG_LEVELS: f64 = 4.0;

/// The levels of `redis.log` and the flags of `redis.set_repl`.
const CONSTANTS: [(&str, i64); 9] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
];

pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = Library::new(lua)?
        .value("call", bridge::call(lua)?)?
        .value("pcall", bridge::pcall(lua)?)?
        .with("error_reply", error_reply)?
        .with("status_reply", status_reply)?
        .with("sha1hex", sha1hex)?
        .with("log", log)?
        .with("setresp", setresp)?
        .with("set_repl", set_repl)?
        .with("replicate_commands", |_, _| Ok(LuaValue::Boolean(true)))?
        .with("breakpoint", |_, _| Ok(LuaValue::Boolean(false)))?
        .with("debug", |_, _| Ok(LuaValue::Nil))?
        .with("acl_check_cmd", acl_check_cmd)?
        .finish();
    for (name, value) in CONSTANTS {
        library.raw_set(name, value)?;
    }
    library.raw_set("REDIS_VERSION", VERSION)?;
    library.raw_set("REDIS_VERSION_NUM", VERSION_NUMBER)?;
    Ok(library)
}

type Words<'a> = Vec<&'a [u8]>;

/// One argument of a command that a script asks about.
enum Word {
    Text(mlua::BorrowedBytes),
    Number(String),
}

impl Word {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) => bytes,
            Self::Number(text) => text.as_bytes(),
        }
    }
}

fn words(args: &MultiValue) -> Result<Vec<Word>> {
    if args.is_empty() {
        return Err(Error::new(NO_ARGUMENT));
    }
    args.iter()
        .map(|arg| match arg {
            LuaValue::String(text) => Ok(Word::Text(text.as_bytes())),
            LuaValue::Integer(number) => Ok(Word::Number(argument(*number as f64))),
            LuaValue::Number(number) => Ok(Word::Number(argument(*number))),
            _ => Err(Error::new(NO_WORD)),
        })
        .collect()
}

impl Scene {
    /// Runs a command for the script, if a script may.
    pub fn execute(&mut self, args: Args<'_>) -> Result<Value> {
        let command = self.find(args)?;
        if let Err(error) = self.admit(command, args) {
            self.state.stats.tally.rejected(command);
            return Err(error);
        }
        if command.flags.has(Flags::WRITE) {
            if !hook::may_write() {
                return Err(Error::new(raise::KILLED));
            }
            self.has_written = true;
        }
        self.state.stats.commands += 1;
        // A script never waits: what a command answers where it would wait is its answer here.
        self.state.databases[self.session.db].set_clock(self.now);
        let Self { state, session, now, .. } = self;
        let answer = match command.run {
            Run::Call(run) => state.call(session, command, run, args, *now).0,
            Run::Own(run) => state.call_own(session, command, run, args, *now),
            Run::Engine(_) => unreachable!("a script was not let call it"),
        };
        self.state.show(&self.session, command, args, self.now);
        answer
    }

    /// The command that is called, if there is one of this form.
    fn find(&self, args: Args<'_>) -> Result<&'static Command> {
        let command = self.state.commands.find(args[0]).and_then(|command| command.descend(args).ok());
        let command = command.ok_or_else(|| Error::new("ERR Unknown Redis command called from script"))?;
        if !command.accepts(args.len()) {
            return Err(Error::new("ERR Wrong number of args calling Redis command from script"));
        }
        Ok(command)
    }

    /// Checks that a command may run in this script.
    fn admit(&self, command: &Command, args: Args<'_>) -> Result<()> {
        if let Some(denial) = self.state.users.denial(&self.session.user, command, args) {
            return Err(command::acl::denied_in_script(&denial));
        }
        if command.flags.has(Flags::NO_SCRIPT) || matches!(command.run, Run::Engine(_)) {
            return Err(not_allowed());
        }
        // Redis sends a message to replicas and so counts it as a write.
        let is_write = command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE);
        if self.is_read_only && is_write {
            return Err(Error::new("ERR Write commands are not allowed from read-only scripts."));
        }
        // Nothing can have been written before: what refuses writes does not change while a script runs.
        if let Some(reason) = &self.state.write_refusal
            && command.flags.has(Flags::WRITE)
        {
            return Err(reason.clone());
        }
        let may_be_refused = !self.allows_oom && !self.has_written && command.flags.has(Flags::DENY_OOM);
        if may_be_refused && self.state.is_over_limit() {
            return Err(Error::OUT_OF_MEMORY);
        }
        Ok(())
    }
}

fn not_allowed() -> Error {
    Error::new("ERR This Redis command is not allowed from script")
}

fn error_reply(lua: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    let Some(text) = only_string(args) else { return wrong_arguments(lua) };
    // An error may be written as on the wire, with a dash; without a code it gets the general one.
    let text = text.strip_prefix('-').unwrap_or(&text);
    if text.contains(' ') { single(lua, "err", text) } else { single(lua, "err", &format!("ERR {text}")) }
}

fn status_reply(lua: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    match only_string(args) {
        Some(text) => single(lua, "ok", &text),
        None => wrong_arguments(lua),
    }
}

fn only_string(args: &MultiValue) -> Option<String> {
    match args.iter().collect::<Vec<_>>()[..] {
        [LuaValue::String(text)] => Some(text.to_string_lossy()),
        _ => None,
    }
}

fn wrong_arguments(lua: &Lua) -> mlua::Result<LuaValue> {
    single(lua, "err", "ERR wrong number or type of arguments")
}

fn single(lua: &Lua, name: &str, text: &str) -> mlua::Result<LuaValue> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, text)?;
    Ok(LuaValue::Table(table))
}

fn sha1hex(lua: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    if args.len() != 1 {
        return Err(raise::reply("ERR wrong number of arguments"));
    }
    // What is no string counts as an empty one, as in Redis.
    let text = Arguments::new(lua, "sha1hex", args).string(1).ok();
    let text = text.map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    raise::spend_bytes(text.len())?;
    let digest = sha1_smol::Sha1::from(text);
    lua.create_string(digest.digest().to_string()).map(LuaValue::String)
}

/// There is no log in the engine: what a script says is checked and dropped.
fn log(_: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    if args.len() < 2 {
        return Err(raise::reply("ERR redis.log() requires two arguments or more."));
    }
    let Some(level) = number(args) else {
        return Err(raise::reply("ERR First argument must be a number (log level)."));
    };
    if !(0.0..LOG_LEVELS).contains(&level) {
        return Err(raise::reply("ERR Invalid debug level."));
    }
    Ok(LuaValue::Nil)
}

fn setresp(_: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    if args.len() != 1 {
        return Err(raise::reply("ERR redis.setresp() requires one argument."));
    }
    let protocol = match number(args) {
        Some(2.0) => Protocol::Resp2,
        Some(3.0) => Protocol::Resp3,
        _ => return Err(raise::reply("ERR RESP version must be 2 or 3.")),
    };
    on_scene(|scene| scene.session.protocol = protocol)?;
    Ok(LuaValue::Nil)
}

/// Accepted and without effect: what a script writes is always logged, or a replay would lead elsewhere.
fn set_repl(_: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    if args.len() != 1 {
        return Err(raise::reply("ERR redis.set_repl() requires two arguments."));
    }
    match number(args) {
        Some(flags) if (0.0..4.0).contains(&flags) => Ok(LuaValue::Nil),
        _ => Err(raise::reply(
            "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        )),
    }
}

/// Lends the running script's scene to `work`.
fn on_scene<R>(work: impl FnOnce(&mut Scene) -> R) -> mlua::Result<R> {
    with_scene(work).ok_or_else(|| raise::reply(NO_SCENE))
}

fn number(args: &MultiValue) -> Option<f64> {
    match args.front()? {
        LuaValue::Integer(number) => Some(*number as f64),
        LuaValue::Number(number) => Some(*number),
        _ => None,
    }
}

/// Whether the caller of the script may run a command.
fn acl_check_cmd(_: &Lua, args: &MultiValue) -> mlua::Result<LuaValue> {
    let words = words(args).map_err(|error| raise::reply(error.text()))?;
    let words: Words<'_> = words.iter().map(Word::bytes).collect();
    let is_allowed = on_scene(|scene| {
        let command = scene.state.commands.find(words[0])?.descend(Args(&words)).ok()?;
        Some(scene.state.users.denial(&scene.session.user, command, Args(&words)).is_none())
    })?;
    let unknown = || raise::reply("ERR Invalid command passed to redis.acl_check_cmd()");
    is_allowed.map(LuaValue::Boolean).ok_or_else(unknown)
}
