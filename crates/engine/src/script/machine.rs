//! The Lua state, and how a script runs in it.

use std::sync::Arc;

use mlua::{Function, IntoLua, Lua, LuaOptions, LuaString, MultiValue, StdLib, Value as LuaValue};
use windlass_resp::Value;

use super::cache::Digest;
use super::convert::Names;
use super::guard::ScriptGuard;
use super::hook::Stop;
use super::scene::{Scene, Stage};
use super::{hook, library, raise};
use crate::error::Error;

/// The most memory that the Lua state may take.
pub const MEMORY_MAX: usize = 256 * 1024 * 1024;

/// The name of every script, as it appears in errors.
const CHUNK_NAME: &str = "@user_script";

/// The name of our own code in Lua, which errors never tell.
const SANDBOX_NAME: &str = "=sandbox";

/// How far up the stack the line of an error is looked for.
const PLACE_DEPTH_MAX: usize = 16;

/// A Lua state with its sandbox.
pub struct Machine {
    lua: Lua,
    run: Function,
    compile: Function,
    names: Names,
}

/// A script that is to run.
pub struct Task<'a> {
    pub function: &'a Function,
    pub keys: &'a [&'a [u8]],
    pub argv: &'a [&'a [u8]],
    pub instructions_max: u64,
    pub guard: Option<&'a Arc<dyn ScriptGuard>>,
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
        lua.set_app_data(Stage::default());
        library::prepare(&lua, seed);
        let native = lua.create_table()?;
        native.raw_set("unwrap", lua.create_function(raise::unwrap)?)?;
        native.raw_set("on_error", lua.create_function(on_error)?)?;
        native.raw_set("string_max", MEMORY_MAX)?;
        library::register(&lua, &native)?;
        let sandbox = lua.load(include_str!("sandbox.lua")).set_name(SANDBOX_NAME);
        let (run, compile): (Function, Function) = sandbox.call(native)?;
        let names = Names::new(&lua)?;
        lua.gc_restart();
        hook::install(&lua)?;
        lua.set_memory_limit(MEMORY_MAX)?;
        Ok(Self { lua, run, compile, names })
    }

    /// Compiles a script.
    ///
    /// # Errors
    /// In Redis's words, when it is not well-formed.
    pub fn compile(&self, source: &[u8]) -> Result<Function, Error> {
        // The parser allocates as the source says and is bounded by it; a failure could not be told from a bad script.
        hook::start(u64::MAX, None);
        let answer = self.lua.create_string(source).and_then(|source| {
            self.compile.call::<(Option<Function>, Option<LuaString>)>((source, CHUNK_NAME))
        });
        let message = match answer {
            Ok((Some(function), _)) => return Ok(function),
            Ok((None, message)) => message.map(|text| text.to_string_lossy()).unwrap_or_default(),
            Err(error) => raise::plain(&error),
        };
        Err(Error::new(format!("ERR Error compiling script (new function): {message}")))
    }

    /// Runs a script on a scene.
    pub fn run(&self, task: &Task<'_>, scene: Scene) -> Run {
        let protocol_of = |scene: &Scene| scene.session.protocol;
        let digest = scene.digest;
        self.stage(Some(scene));
        hook::start(task.instructions_max, task.guard);
        let answer = self.call(task);
        hook::end();
        let scene = self.stage(None).expect("the scene was put on the stage");
        // A script that was told to stop may have got around it to its end: it is stopped all the same.
        if let Some(stop) = hook::stopped() {
            return Run { reply: killed(stop, &scene).into(), scene, is_sound: false };
        }
        let (reply, is_sound) = match answer {
            Ok((true, result)) => match self.names.reply(&result, protocol_of(&scene)) {
                Ok(reply) => (reply, true),
                Err(error) => (error.into(), true),
            },
            Ok((false, result)) => match &scene.failure {
                Some(text) => (Error::new(text.as_str()).into(), true),
                // No handler runs when memory is out.
                None => (aborted(&digest, &result.to_string().unwrap_or_default()), false),
            },
            Err(error) => (aborted(&digest, &raise::plain(&error)), !raise::is_memory(&error)),
        };
        Run { reply, scene, is_sound }
    }

    fn call(&self, task: &Task<'_>) -> mlua::Result<(bool, LuaValue)> {
        // Without a limit the bridge need not guard each of these calls against a failing allocation.
        let (keys, argv) = relaxed(&self.lua, || {
            let list = |items: &[&[u8]]| self.lua.create_sequence_from(items.iter().map(|item| Bytes(item)));
            Ok((list(task.keys)?, list(task.argv)?))
        })?;
        self.run.call((task.function, keys, argv))
    }

    /// Puts a scene on the stage and answers the one that was there.
    fn stage(&self, scene: Option<Scene>) -> Option<Scene> {
        let mut stage = self.lua.app_data_mut::<Stage>().expect("the stage is built with the machine");
        std::mem::replace(&mut stage.0, scene)
    }
}

/// The reply of a script that was stopped. Redis tells the line of a script that somebody killed.
fn killed(stop: Stop, scene: &Scene) -> Error {
    match stop {
        Stop::Budget => Error::new("ERR Script killed: it ran for longer than it may, and had not written"),
        Stop::Guard => {
            let failure = scene.failure.as_deref().unwrap_or_default();
            let place = failure.find(" script: ").map_or("", |at| &failure[at..]);
            Error::new(format!("{}{place}", raise::KILLED))
        }
    }
}

fn aborted(digest: &Digest, message: &str) -> Value {
    Error::new(format!("ERR Error running script {}, {message}", digest.hex())).into()
}

/// Bytes that become a string of Lua.
struct Bytes<'a>(&'a [u8]);

impl IntoLua for Bytes<'_> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<LuaValue> {
        lua.create_string(self.0).map(LuaValue::String)
    }
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
        Stage::with(lua, |scene| {
            scene.failure = Some(match place {
                Some(place) => format!("{message} script: {}, on {place}.", scene.digest.hex()),
                None => message,
            });
        })
    })?;
    Ok(MultiValue::new())
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
