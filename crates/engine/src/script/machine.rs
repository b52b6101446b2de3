//! The Lua state, and how a script runs in it.

use std::sync::Arc;

use mlua::{Function, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value as LuaValue};
use windlass_resp::Value;

use super::bridge::{self, Bridge, Kept};
use super::function::{self, Registered};
use super::guard::ScriptGuard;
use super::hook::Stop;
use super::scene::{Caller, Scene, stage, with_scene};
use super::{hook, library, raise, standard};
use crate::error::Error;

/// The most memory that the Lua state may take. Where inputs are made up it is little, since a single instruction may pass
/// over all of it.
pub const MEMORY_MAX: usize = if cfg!(fuzzing) { 2 } else { 256 } * 1024 * 1024;

/// The name of every script, as it appears in errors, and that of the code of every library.
const CHUNK_NAME: &str = "@user_script";
const LIBRARY_NAME: &str = "@user_function";

/// The name of our own code in Lua, which errors never tell.
const SANDBOX_NAME: &str = "=sandbox";

/// How far up the stack the line of an error is looked for.
const PLACE_DEPTH_MAX: usize = 16;

/// A Lua state with its sandbox.
pub struct Machine {
    bridge: Bridge,
    compile: Function,
    load: Function,
    lua: Lua,
}

/// A script or a function that is to run.
pub struct Task<'a> {
    pub code: Code<'a>,
    pub keys: &'a [&'a [u8]],
    pub argv: &'a [&'a [u8]],
    pub instructions_max: u64,
    pub guard: Option<&'a Arc<dyn ScriptGuard>>,
}

/// What is to run of what Lua keeps.
#[derive(Clone, Copy, Debug)]
pub enum Code<'a> {
    Script(Kept),
    /// A function, and the command that calls it.
    Function(Kept, &'a [&'a [u8]]),
}

/// Why the code of a library was not taken.
pub struct LoadError {
    pub message: String,
    /// False when the Lua state must not be used again.
    pub is_sound: bool,
}

/// What a run leaves behind.
pub struct Run {
    pub reply: Value,
    pub scene: Scene,
    /// False when the Lua state must not be used again: its memory ran out, or it was stopped somewhere.
    pub is_sound: bool,
}

impl Machine {
    /// A fresh state; `seed` is that of `math.random`.
    pub fn new(seed: u64) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        // Nothing may be collected while the parser runs on a name that only it knows.
        lua.gc_stop();
        // What the sandbox calls while it is loaded counts.
        hook::start(u64::MAX, None, None);
        standard::install(&lua)?;
        library::prepare(&lua, seed);
        let native = lua.create_table()?;
        native.raw_set("unwrap", lua.create_function(raise::unwrap)?)?;
        let (pcall, xpcall) = bridge::protected(&lua)?;
        native.raw_set("pcall", pcall)?;
        native.raw_set("xpcall", xpcall)?;
        native.raw_set("string_max", MEMORY_MAX)?;
        native.raw_set("function_flags", function::flags(&lua)?)?;
        native.raw_set("check_name", lua.create_function(function::check_name)?)?;
        library::register(&lua, &native)?;
        let sandbox = lua.load(include_str!("sandbox.lua")).set_name(SANDBOX_NAME);
        let (run, call, compile, parts): (_, _, _, Table) = sandbox.call(&native)?;
        let functions = lua.load(include_str!("functions.lua")).set_name(SANDBOX_NAME);
        let load = functions.call((native, parts))?;
        let bridge = Bridge::new(&lua, run, call, lua.create_function(on_error)?)?;
        lua.gc_restart();
        hook::install(&lua)?;
        lua.set_memory_limit(MEMORY_MAX)?;
        Ok(Self { bridge, compile, load, lua })
    }

    /// Compiles a script, which is kept until it is [forgotten](Self::forget).
    ///
    /// # Errors
    /// In Redis's words, when it is not well-formed.
    pub fn compile(&self, source: &[u8]) -> Result<Kept, Error> {
        // The parser allocates as the source says and is bounded by it; a failure could not be told from a bad script.
        hook::start(u64::MAX, None, None);
        let answer = self.lua.create_string(source).and_then(|source| {
            self.compile.call::<(Option<Function>, Option<LuaString>)>((source, CHUNK_NAME))
        });
        let message = match answer {
            Ok((Some(function), _)) => match bridge::keep(&self.lua, function) {
                Ok(script) => return Ok(script),
                Err(error) => raise::plain(&error),
            },
            Ok((None, message)) => message.map(|text| text.to_string_lossy()).unwrap_or_default(),
            Err(error) => raise::plain(&error),
        };
        Err(Error::new(format!("ERR Error compiling script (new function): {message}")))
    }

    /// Runs the code of a library for at most so many instructions, and answers what it registered: each function is
    /// kept until it is [forgotten](Self::forget).
    ///
    /// # Errors
    /// When it is not well-formed, fails, or takes too long.
    pub fn load(
        &self,
        code: &[u8],
        instructions_max: u64,
    ) -> Result<Vec<(crate::function::Function, Kept)>, LoadError> {
        hook::start(instructions_max, None, None);
        let answer = self.lua.create_string(code).and_then(|code| {
            self.load.call::<(Option<Vec<Registered>>, Option<LuaString>)>((code, LIBRARY_NAME))
        });
        let is_stopped = hook::stopped().is_some();
        hook::end();
        let unsound = |message: &str| LoadError { message: message.into(), is_sound: false };
        if is_stopped {
            return Err(unsound("Error registering functions: ERR FUNCTION LOAD timeout"));
        }
        match answer {
            Ok((Some(registered), _)) => {
                let keep = |one: Registered| Ok((one.function, bridge::keep(&self.lua, one.callback)?));
                let kept: mlua::Result<_> = registered.into_iter().map(keep).collect();
                kept.map_err(|error| unsound(&raise::plain(&error)))
            }
            Ok((None, message)) => {
                let message = message.map(|text| text.to_string_lossy()).unwrap_or_default();
                Err(LoadError { message, is_sound: true })
            }
            Err(error) => Err(unsound(&raise::plain(&error))),
        }
    }

    /// Lets go of a script or a function.
    pub fn forget(&self, script: Kept) {
        bridge::forget(&self.lua, script);
    }

    /// Runs a script on a scene.
    pub fn run(&self, task: &Task<'_>, scene: Scene) -> Run {
        stage(Some(scene));
        let function = if let Code::Function(_, call) = task.code { Some(call) } else { None };
        hook::start(task.instructions_max, task.guard, function);
        let mut stop = None;
        let answer = self.bridge.run(task.code, (task.keys, task.argv), |left| {
            stop = hook::stopped();
            hook::end();
            let protocol = with_scene(|scene| scene.session.protocol).unwrap_or_default();
            if left.is_plain() {
                return Ok(left.reply(protocol));
            }
            relaxed(&self.lua, || Ok(left.reply(protocol)))
        });
        hook::end();
        let scene = stage(None).expect("the scene was put on the stage");
        // A script that was told to stop may have got around it to its end: it is stopped all the same.
        if let Some(stop) = stop.or_else(|| hook::stopped().filter(|_| answer.is_err())) {
            return Run { reply: killed(stop, &scene).into(), scene, is_sound: false };
        }
        let (reply, is_sound) = match answer {
            Ok(Ok(reply)) => (reply.unwrap_or_else(Value::from), true),
            Ok(Err(error)) => (aborted(&scene.caller, &raise::plain(&error)), false),
            Err(message) => match &scene.failure {
                Some(text) => (Error::new(text.as_str()).into(), true),
                // No handler runs when memory is out.
                None => (aborted(&scene.caller, &message), false),
            },
        };
        Run { reply, scene, is_sound }
    }
}

/// The reply of a script that was stopped. Redis tells the line of a script that somebody killed.
fn killed(stop: Stop, scene: &Scene) -> Error {
    match stop {
        Stop::Panic => {
            bridge::resume_panic();
            unreachable!("a panic is kept until it goes on")
        }
        Stop::Budget => Error::new("ERR Script killed: it ran for longer than it may, and had not written"),
        Stop::Guard => {
            let failure = scene.failure.as_deref().unwrap_or_default();
            let place = failure.find(" script: ").map_or("", |at| &failure[at..]);
            Error::new(format!("{}{place}", raise::KILLED))
        }
    }
}

fn aborted(caller: &Caller, message: &str) -> Value {
    Error::new(format!("ERR Error running script {}, {message}", caller.name())).into()
}

/// Runs `work`, in which our code and no script allocates, without the memory limit; what it took counts afterwards.
/// With a limit in force each call into Lua is guarded against a failing allocation, at twice its price.
pub fn relaxed<R>(lua: &Lua, work: impl FnOnce() -> mlua::Result<R>) -> mlua::Result<R> {
    lua.set_memory_limit(0)?;
    let result = work();
    lua.set_memory_limit(MEMORY_MAX)?;
    result
}

/// Fails like an allocation when the state has taken more than it may; for work that is [`relaxed`].
pub fn check_memory(lua: &Lua) -> mlua::Result<()> {
    if lua.used_memory() > MEMORY_MAX {
        return Err(mlua::Error::MemoryError("not enough memory".into()));
    }
    Ok(())
}

/// Makes the error reply of a script that failed, where the stack still shows the line.
fn on_error(lua: &Lua, raised: LuaValue) -> mlua::Result<MultiValue> {
    relaxed(lua, || {
        let raised = raise::unwrap(lua, raised)?;
        let message = match &raised {
            LuaValue::Table(table) => match table.raw_get::<LuaValue>("err")? {
                LuaValue::String(text) => text.to_string_lossy(),
                _ => "ERR unknown error".into(),
            },
            LuaValue::String(text) => format!("ERR {}", text.to_string_lossy()),
            other => format!("ERR {}", other.to_string()?),
        };
        let place = place(lua);
        with_scene(|scene| {
            scene.failure = Some(match place {
                Some(place) => format!("{message} script: {}, on {place}.", scene.caller.name()),
                None => message,
            });
        });
        Ok(MultiValue::new())
    })
}

/// The source and line of the script's code that raised an error, or called what raised it.
fn place(lua: &Lua) -> Option<String> {
    (1..PLACE_DEPTH_MAX).find_map(|level| {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let line = debug.current_line()?;
            source.source.filter(|name| *name != SANDBOX_NAME).map(|name| format!("{name}:{line}"))
        });
        found.flatten()
    })
}
