//! What a script returns, as a reply.
//!
//! Unsafe by the rules that `bridge` states: what reads a value runs where nothing can fail.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::c_int;

use mlua::Lua;
use mlua::ffi::{self, lua_State};
use windlass_resp::{Protocol, Value};

use super::bridge::{Kept, keep};
use super::hook;
use super::push::{ITEM_COST, LEVEL_PLACES, push_bytes};
use crate::error::{Error, Result};

/// The deepest reply that a script may build; Redis allows some thousands, as far as the stack of Lua goes.
const DEPTH_MAX: usize = 200;

/// The most bytes that the reply of a script may take: tables that contain each other would fill any memory.
const REPLY_MAX: usize = 512 * 1024 * 1024;

/// What each value of a reply counts besides its text.
const VALUE_COST: usize = std::mem::size_of::<Value>();

/// The bytes of a string; none of another value.
///
/// # Safety
/// There must be a value at `place`, and the string lives only as long as Lua keeps it.
pub unsafe fn text<'a>(state: *mut lua_State, place: c_int) -> Option<&'a [u8]> {
    // SAFETY: as this function's; a string is not converted, so that nothing is allocated.
    unsafe {
        if ffi::lua_type(state, place) != ffi::LUA_TSTRING {
            return None;
        }
        let mut length = 0;
        let start = ffi::lua_tolstring(state, place, &mut length);
        Some(std::slice::from_raw_parts(start.cast(), length))
    }
}

/// The names by which a table says what it stands for, made once: each table that a script returns is asked.
pub struct Names {
    err: Kept,
    ok: Kept,
    typed: [(Kept, Typed); 5],
}

#[derive(Clone, Copy)]
enum Typed {
    Double,
    Map,
    Set,
    BigNumber,
    Verbatim,
}

impl Names {
    pub fn new(lua: &Lua) -> mlua::Result<Self> {
        let name = |text: &str| keep(lua, lua.create_string(text)?);
        Ok(Self {
            err: name("err")?,
            ok: name("ok")?,
            typed: [
                (name("double")?, Typed::Double),
                (name("map")?, Typed::Map),
                (name("set")?, Typed::Set),
                (name("big_number")?, Typed::BigNumber),
                (name("verbatim_string")?, Typed::Verbatim),
            ],
        })
    }

    /// The reply that the value on the top of the stack stands for.
    ///
    /// # Errors
    /// When it is too deep or too large.
    ///
    /// # Safety
    /// The names must have been made in the same Lua, and a table needs that no limit of memory is in force.
    pub unsafe fn reply(&self, state: *mut lua_State, protocol: Protocol) -> Result<Value> {
        let mut reader =
            Reader { state, names: self, is_typed: protocol == Protocol::Resp3, left: REPLY_MAX };
        // SAFETY: as this function's.
        unsafe { reader.read(0) }
    }
}

/// Reads the value on the top of the stack and leaves it there.
struct Reader<'a> {
    state: *mut lua_State,
    names: &'a Names,
    is_typed: bool,
    /// Bytes that the reply may still take.
    left: usize,
}

impl Reader<'_> {
    unsafe fn read(&mut self, depth: usize) -> Result<Value> {
        self.spend(VALUE_COST)?;
        if !hook::spend(ITEM_COST) {
            return Err(Error::new("ERR Script killed: its reply takes longer than it may"));
        }
        let state = self.state;
        // SAFETY: there is a value on the top of the stack, and none of these calls can fail.
        unsafe {
            Ok(match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING => self.bulk()?,
                ffi::LUA_TNUMBER => Value::Integer(truncate(ffi::lua_tonumber(state, -1))),
                ffi::LUA_TBOOLEAN => match ffi::lua_toboolean(state, -1) {
                    yes if self.is_typed => Value::Boolean(yes != 0),
                    0 => Value::Nil,
                    _ => Value::Integer(1),
                },
                ffi::LUA_TTABLE if depth >= DEPTH_MAX || ffi::lua_checkstack(state, LEVEL_PLACES) == 0 => {
                    return Err(Error::new("ERR reached lua stack limit"));
                }
                ffi::LUA_TTABLE => self.table(depth)?,
                _ => Value::Nil,
            })
        }
    }

    unsafe fn table(&mut self, depth: usize) -> Result<Value> {
        let (state, names) = (self.state, self.names);
        // SAFETY: the table is on the top of the stack, with places beside it; nothing fails without a limit of memory.
        unsafe {
            for (name, make) in [(names.err, Value::Error as fn(_) -> _), (names.ok, Value::Simple)] {
                self.field(name);
                let text = text(state, -1).map(|text| line(&String::from_utf8_lossy(text)));
                self.pop();
                if let Some(text) = text {
                    return Ok(make(text));
                }
            }
            for (name, typed) in &names.typed {
                self.field(*name);
                let reply = self.typed(*typed, depth);
                self.pop();
                if let Some(reply) = reply? {
                    return Ok(reply);
                }
            }
            let mut items = Vec::new();
            for place in 1.. {
                ffi::lua_rawgeti_(state, -1, place);
                let item =
                    if ffi::lua_type(state, -1) == ffi::LUA_TNIL { None } else { Some(self.read(depth + 1)) };
                self.pop();
                let Some(item) = item else { break };
                items.push(item?);
            }
            Ok(Value::Array(items))
        }
    }

    /// The reply of a table with a typed field, whose value is on the top of the stack; none when that does not fit.
    unsafe fn typed(&mut self, typed: Typed, depth: usize) -> Result<Option<Value>> {
        let state = self.state;
        // SAFETY: as in `table`, which asked for the places.
        unsafe {
            match (typed, ffi::lua_type(state, -1)) {
                (Typed::Double, ffi::LUA_TNUMBER) => Ok(Some(Value::Double(ffi::lua_tonumber(state, -1)))),
                (Typed::Map, ffi::LUA_TTABLE) => {
                    let mut pairs = Vec::new();
                    ffi::lua_pushnil(state);
                    while ffi::lua_next(state, -2) != 0 {
                        ffi::lua_pushvalue(state, -2);
                        let key = self.read(depth + 1);
                        self.pop();
                        let value = key.and_then(|key| Ok((key, self.read(depth + 1)?)));
                        self.pop();
                        pairs.push(value.inspect_err(|_| self.pop())?);
                    }
                    Ok(Some(Value::Map(pairs)))
                }
                (Typed::Set, ffi::LUA_TTABLE) => {
                    let mut items = Vec::new();
                    ffi::lua_pushnil(state);
                    while ffi::lua_next(state, -2) != 0 {
                        self.pop();
                        let item = self.read(depth + 1);
                        items.push(item.inspect_err(|_| self.pop())?);
                    }
                    Ok(Some(Value::Set(items)))
                }
                // There is no big number in `Value`: RESP2's form of one, its digits as text, serves for both.
                (Typed::BigNumber, ffi::LUA_TSTRING) => self.bulk().map(Some),
                (Typed::Verbatim, ffi::LUA_TTABLE) => self.verbatim(),
                _ => Ok(None),
            }
        }
    }

    /// The verbatim text of the table on the top of the stack; none when a part is missing.
    unsafe fn verbatim(&mut self) -> Result<Option<Value>> {
        let state = self.state;
        // SAFETY: as in `table`, which asked for the places. A number is converted, which takes memory.
        let part = |name: &[u8]| unsafe {
            push_bytes(state, name);
            ffi::lua_rawget(state, -2);
            let is_text = ffi::lua_isstring(state, -1) != 0;
            let part = is_text.then(|| {
                ffi::lua_tolstring(state, -1, std::ptr::null_mut());
                String::from_utf8_lossy(text(state, -1).unwrap_or_default()).into_owned()
            });
            ffi::lua_settop(state, -2);
            part
        };
        let (Some(text), Some(format)) = (part(b"string"), part(b"format")) else { return Ok(None) };
        self.spend(text.len())?;
        Ok(Some(Value::Verbatim(if format == "mkd" { "mkd" } else { "txt" }, text)))
    }

    /// Pushes the field `name` of the table on the top of the stack.
    unsafe fn field(&self, name: Kept) {
        // SAFETY: as in `table`.
        unsafe {
            name.push(self.state);
            ffi::lua_rawget(self.state, -2);
        }
    }

    fn pop(&self) {
        // SAFETY: who calls this has pushed a value.
        unsafe { ffi::lua_settop(self.state, -2) }
    }

    /// The string on the top of the stack.
    unsafe fn bulk(&mut self) -> Result<Value> {
        // SAFETY: there is a value on the top of the stack, which stays.
        let bytes = unsafe { text(self.state, -1).unwrap_or_default() };
        self.spend(bytes.len())?;
        Ok(Value::bulk(bytes))
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| Error::new("ERR the reply of the script is too large"))?;
        Ok(())
    }
}

/// A status or an error is one line.
fn line(text: &str) -> Cow<'static, str> {
    text.replace(['\r', '\n'], " ").into()
}

/// A number as C casts it to a 64-bit integer on the machines that Redis runs on: cut off, and what does not fit
/// becomes the smallest.
fn truncate(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_off_and_what_does_not_fit_is_the_smallest() {
        assert_eq!([2.9, -3.9, 1e300, -1e300, f64::NAN].map(truncate), [2, -3, i64::MIN, i64::MIN, i64::MIN]);
    }
}
