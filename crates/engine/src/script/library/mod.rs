//! The libraries that scripts find besides Lua's own: one file each. A new one gets its file and its line in
//! [`register`].

use mlua::{IntoLua, IntoLuaMulti, Lua, MultiValue, Table};

use super::bridge::guarded;
use super::machine::relaxed;
use super::{raise, redis};

mod bit;
mod cjson;
mod cmsgpack;
mod cstruct;
mod math;

/// What a call of a function counts in the script's budget, in instructions of Lua; what depends on its arguments is counted
/// beside it, where they are read.
const CALL_COST: u64 = 20;

/// The version of Redis whose behaviour scripts find.
pub const VERSION: &str = "7.0.15";
/// The same as a number, a byte for each part.
pub const VERSION_NUMBER: i64 = 0x07_00_0f;

/// Puts what the libraries remember into a fresh Lua state.
pub fn prepare(lua: &Lua, seed: u64) {
    math::prepare(lua, seed);
}

/// Adds the libraries to what the sandbox is given.
pub fn register(lua: &Lua, native: &Table) -> mlua::Result<()> {
    math::register(lua, native)?;
    let libraries = lua.create_table()?;
    libraries.raw_set("redis", redis::library(lua)?)?;
    libraries.raw_set("bit", bit::library(lua)?)?;
    libraries.raw_set("cjson", cjson::library(lua)?)?;
    libraries.raw_set("cmsgpack", cmsgpack::library(lua)?)?;
    libraries.raw_set("struct", cstruct::library(lua)?)?;
    native.raw_set("libraries", libraries)
}

type Function<R> = Box<dyn Fn(&Lua, &MultiValue) -> mlua::Result<R> + Send>;

/// A table of functions in the making.
pub struct Library<'a> {
    lua: &'a Lua,
    table: Table,
}

impl<'a> Library<'a> {
    pub fn new(lua: &'a Lua) -> mlua::Result<Self> {
        Ok(Self { lua, table: lua.create_table()? })
    }

    /// Adds a function.
    pub fn with<R, F>(self, name: &str, function: F) -> mlua::Result<Self>
    where
        R: IntoLuaMulti + 'static,
        F: Fn(&Lua, &MultiValue) -> mlua::Result<R> + Send + 'static,
    {
        self.add(name, Box::new(function))
    }

    /// What stands around a function is compiled for each type of result, not for each function.
    fn add<R: IntoLuaMulti + 'static>(self, name: &str, function: Function<R>) -> mlua::Result<Self> {
        let function = self.lua.create_function(move |lua, args: MultiValue| {
            raise::spend(CALL_COST)?;
            guarded(|| relaxed(lua, || function(lua, &args))).unwrap_or_else(|| Err(raise::stopped()))
        })?;
        self.table.raw_set(name, function)?;
        Ok(self)
    }

    /// Adds a value.
    pub fn value(self, name: &str, value: impl IntoLua) -> mlua::Result<Self> {
        self.table.raw_set(name, value)?;
        Ok(self)
    }

    pub fn finish(self) -> Table {
        self.table
    }
}
