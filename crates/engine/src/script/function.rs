//! Libraries of functions in the Lua state: their code is run once, and what it registered is kept to be called.

use std::collections::HashMap;

use mlua::{FromLua, Function as Callback, Lua, LuaString, Table, Value as LuaValue};
use windlass_resp::Value;

use super::bridge::Kept;
use super::cache::{Entry, Invocation, Scripts};
use super::machine::Code;
use super::raise;
use super::scene::Caller;
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::function::{self, FLAGS, Function, Library};
use crate::state::State;

/// The most instructions of Lua that the code of a library may take when it is loaded, which only registers functions:
/// about half a second.
const LOAD_INSTRUCTIONS_MAX: u64 = 50_000_000;

/// What stands for the functions of libraries in the present Lua state, by the library's name, in their order there.
pub type Callbacks = HashMap<Blob, Vec<Kept>>;

/// A function that the code of a library has registered.
pub struct Registered {
    pub function: Function,
    pub callback: Callback,
}

impl FromLua for Registered {
    fn from_lua(value: LuaValue, lua: &Lua) -> mlua::Result<Self> {
        let item = Table::from_lua(value, lua)?;
        let text = |text: LuaString| Blob::from(&*text.as_bytes());
        let given: Vec<String> = item.raw_get("flags")?;
        let flags = FLAGS.map(|flag| given.iter().any(|other| other == flag));
        let description = item.raw_get::<Option<LuaString>>("description")?.map(text);
        let function = Function { name: text(item.raw_get("name")?), description, flags };
        Ok(Self { function, callback: item.raw_get("callback")? })
    }
}

/// The names of the flags, as a set for the sandbox.
pub fn flags(lua: &Lua) -> mlua::Result<Table> {
    lua.create_table_from(FLAGS.map(|flag| (flag, true)))
}

/// Raises an error for what cannot be the name of a function.
pub fn check_name(_: &Lua, name: LuaString) -> mlua::Result<()> {
    function::check_name(&name.as_bytes()).map_err(|error| raise::reply(error.text()))
}

/// A library whose code was run, before anybody may call its functions.
pub struct Loaded {
    pub library: Library,
    callbacks: Vec<Kept>,
}

impl Scripts {
    /// Runs the code of a library.
    ///
    /// # Errors
    /// In Redis's words, when it is not well-formed, takes too long, or registers nothing.
    pub fn load_library(&mut self, source: &[u8]) -> Result<Loaded> {
        let (name, code) = function::split(source)?;
        let registered = match self.machine()?.load(code, LOAD_INSTRUCTIONS_MAX) {
            Ok(registered) => registered,
            Err(error) => {
                if !error.is_sound {
                    self.replace_machine();
                }
                return Err(Error::new(format!("ERR {}", error.message)));
            }
        };
        if registered.is_empty() {
            return Err(Error::new("ERR No functions registered"));
        }
        let (functions, callbacks) = registered.into_iter().unzip();
        Ok(Loaded { library: Library { name: name.into(), source: source.into(), functions }, callbacks })
    }

    /// Keeps what stands for the functions of a library that was taken.
    pub fn keep_library(&mut self, loaded: Loaded) -> Library {
        self.forget_library(&loaded.library.name);
        self.callbacks.insert(loaded.library.name.clone(), loaded.callbacks);
        loaded.library
    }

    /// Lets go of a library that was not taken.
    pub fn drop_library(&mut self, loaded: Loaded) {
        self.forget_callbacks(loaded.callbacks);
    }

    /// Lets go of what stands for the functions of a library; they are loaded again when needed.
    pub fn forget_library(&mut self, name: &[u8]) {
        let callbacks = self.callbacks.remove(name).unwrap_or_default();
        self.forget_callbacks(callbacks);
    }

    /// The same for all libraries.
    pub fn forget_libraries(&mut self) {
        for callbacks in std::mem::take(&mut self.callbacks).into_values() {
            self.forget_callbacks(callbacks);
        }
    }

    fn forget_callbacks(&mut self, callbacks: Vec<Kept>) {
        if let Some(machine) = self.made_machine() {
            callbacks.into_iter().for_each(|callback| machine.forget(callback));
        }
    }

    /// Calls the function at a place of its library, by the name that the caller gave it, on `state`.
    ///
    /// # Errors
    /// When it may not run as it declares itself.
    pub fn call(
        &mut self,
        name: &[u8],
        (library, place): (&Library, usize),
        state: &mut Box<State>,
        run: Invocation<'_>,
    ) -> Result<Value> {
        let function = &library.functions[place];
        let entry = Entry {
            caller: Caller::Function(name.into()),
            is_read_only: function.is_read_only(),
            allows_oom: function.allows_oom(),
        };
        entry.check(state, &run)?;
        let callback = self.callback(library, place)?;
        self.enter(entry, state, run, |scripts, scene, run| {
            let command = if run.is_read_only { "fcall_ro" } else { "fcall" };
            let count = run.keys.len().to_string();
            let call = [&[command.as_bytes(), name, count.as_bytes()], run.keys, run.argv].concat();
            scripts.play_code(scene, Code::Function(callback, &call), run)
        })
    }

    /// What stands for a function; its library's code runs again where the Lua state is another one than it was.
    fn callback(&mut self, library: &Library, place: usize) -> Result<Kept> {
        if let Some(callbacks) = self.callbacks.get(&library.name) {
            return Ok(callbacks[place]);
        }
        let loaded = self.load_library(&library.source)?;
        let callback = loaded.callbacks.get(place).copied();
        self.keep_library(loaded);
        callback.ok_or(Error::FUNCTION_NOT_FOUND)
    }
}
