//! Values from replies to Lua and back.

use std::borrow::Cow;

use mlua::{IntoLua, Lua, LuaString, Table, Value as LuaValue};
use windlass_resp::{Protocol, Value};

use super::{hook, raise};
use crate::error::{Error, Result};
use crate::number::format_float;

/// The deepest reply that a script may build; Redis allows some thousands, as far as the stack of Lua goes.
const DEPTH_MAX: usize = 200;

/// What each value of a reply counts in the script's budget, in instructions of Lua.
const ITEM_COST: u64 = 10;

/// The most bytes that the reply of a script may take: tables that contain each other would fill any memory.
const REPLY_MAX: usize = 512 * 1024 * 1024;

/// What each value of a reply counts besides its text.
const VALUE_COST: usize = std::mem::size_of::<Value>();

/// A reply on its way into a script, in the terms of a protocol.
pub struct Reply(pub Value, pub Protocol);

impl IntoLua for Reply {
    fn into_lua(self, lua: &Lua) -> mlua::Result<LuaValue> {
        let Self(value, protocol) = self;
        raise::spend(ITEM_COST)?;
        let is_typed = protocol == Protocol::Resp3;
        match value {
            Value::Nil | Value::NilArray if is_typed => Ok(LuaValue::Nil),
            Value::Nil | Value::NilArray => Ok(LuaValue::Boolean(false)),
            Value::Simple(text) => field(lua, "ok", lua.create_string(&*text)?),
            Value::Error(text) => field(lua, "err", lua.create_string(&*text)?),
            Value::Integer(number) => Ok(LuaValue::Integer(number)),
            Value::Double(number) if is_typed => field(lua, "double", number),
            Value::Double(number) => string(lua, format_float(number).as_bytes()),
            Value::Boolean(yes) if is_typed => Ok(LuaValue::Boolean(yes)),
            Value::Boolean(yes) => Ok(LuaValue::Integer(i64::from(yes))),
            Value::Bulk(bytes) => string(lua, &bytes),
            Value::Verbatim(format, text) if is_typed => {
                let parts = lua.create_table_with_capacity(0, 2)?;
                parts.raw_set("format", format)?;
                parts.raw_set("string", text)?;
                field(lua, "verbatim_string", parts)
            }
            Value::Verbatim(_, text) => string(lua, text.as_bytes()),
            Value::Map(pairs) if is_typed => {
                let table = lua.create_table_with_capacity(0, pairs.len())?;
                for (key, value) in pairs {
                    table.raw_set(Self(key, protocol), Self(value, protocol))?;
                }
                field(lua, "map", table)
            }
            Value::Set(items) if is_typed => {
                let table = lua.create_table_with_capacity(0, items.len())?;
                for item in items {
                    table.raw_set(Self(item, protocol), true)?;
                }
                field(lua, "set", table)
            }
            Value::Array(items) | Value::Set(items) | Value::Push(items) => {
                let items = items.into_iter().map(|item| Self(item, protocol));
                lua.create_sequence_from(items).map(LuaValue::Table)
            }
            Value::Map(pairs) => {
                let items = pairs.into_iter().flat_map(|(key, value)| [key, value]);
                let items = items.map(|item| Self(item, protocol));
                lua.create_sequence_from(items).map(LuaValue::Table)
            }
        }
    }
}

fn string(lua: &Lua, bytes: &[u8]) -> mlua::Result<LuaValue> {
    lua.create_string(bytes).map(LuaValue::String)
}

fn field(lua: &Lua, name: &str, value: impl IntoLua) -> mlua::Result<LuaValue> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(LuaValue::Table(table))
}

/// The names by which a table says what it stands for, made once: each table that a script returns is asked.
pub struct Names {
    err: LuaString,
    ok: LuaString,
    typed: [(LuaString, Typed); 5],
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
        Ok(Self {
            err: lua.create_string("err")?,
            ok: lua.create_string("ok")?,
            typed: [
                (lua.create_string("double")?, Typed::Double),
                (lua.create_string("map")?, Typed::Map),
                (lua.create_string("set")?, Typed::Set),
                (lua.create_string("big_number")?, Typed::BigNumber),
                (lua.create_string("verbatim_string")?, Typed::Verbatim),
            ],
        })
    }

    /// The reply that a script's result stands for.
    ///
    /// # Errors
    /// When it is too deep or too large.
    pub fn reply(&self, value: &LuaValue, protocol: Protocol) -> Result<Value> {
        Reader { names: self, is_typed: protocol == Protocol::Resp3, left: REPLY_MAX }.read(value, 0)
    }
}

struct Reader<'a> {
    names: &'a Names,
    is_typed: bool,
    /// Bytes that the reply may still take.
    left: usize,
}

impl Reader<'_> {
    fn read(&mut self, value: &LuaValue, depth: usize) -> Result<Value> {
        self.spend(VALUE_COST)?;
        if !hook::spend(ITEM_COST) {
            return Err(Error::new("ERR Script killed: its reply takes longer than it may"));
        }
        Ok(match value {
            LuaValue::String(text) => self.bulk(text)?,
            LuaValue::Integer(number) => Value::Integer(*number),
            LuaValue::Number(number) => Value::Integer(truncate(*number)),
            LuaValue::Boolean(yes) if self.is_typed => Value::Boolean(*yes),
            LuaValue::Boolean(true) => Value::Integer(1),
            LuaValue::Table(_) if depth >= DEPTH_MAX => {
                return Err(Error::new("ERR reached lua stack limit"));
            }
            LuaValue::Table(table) => self.table(table, depth)?,
            _ => Value::Nil,
        })
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<Value> {
        let names = self.names;
        if let Some(text) = text_field(table, &names.err) {
            return Ok(Value::Error(line(&text)));
        }
        if let Some(text) = text_field(table, &names.ok) {
            return Ok(Value::Simple(line(&text)));
        }
        for (name, typed) in &names.typed {
            let value: LuaValue = raw(table, name);
            if !value.is_nil()
                && let Some(reply) = self.typed(*typed, &value, depth)?
            {
                return Ok(reply);
            }
        }
        let mut items = Vec::new();
        for index in 1.. {
            let item: LuaValue = table.raw_get(index).map_err(|_| Error::OUT_OF_MEMORY)?;
            if item.is_nil() {
                break;
            }
            items.push(self.read(&item, depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    /// The reply of a table with a typed field; none when the field's value does not fit.
    fn typed(&mut self, typed: Typed, value: &LuaValue, depth: usize) -> Result<Option<Value>> {
        match (typed, value) {
            (Typed::Double, LuaValue::Integer(number)) => Ok(Some(Value::Double(*number as f64))),
            (Typed::Double, LuaValue::Number(number)) => Ok(Some(Value::Double(*number))),
            (Typed::Map, LuaValue::Table(entries)) => {
                let mut pairs = Vec::new();
                for pair in entries.pairs::<LuaValue, LuaValue>() {
                    let (key, value) = pair.map_err(|_| Error::OUT_OF_MEMORY)?;
                    pairs.push((self.read(&key, depth + 1)?, self.read(&value, depth + 1)?));
                }
                Ok(Some(Value::Map(pairs)))
            }
            (Typed::Set, LuaValue::Table(entries)) => {
                let mut items = Vec::new();
                for pair in entries.pairs::<LuaValue, LuaValue>() {
                    let (key, _) = pair.map_err(|_| Error::OUT_OF_MEMORY)?;
                    items.push(self.read(&key, depth + 1)?);
                }
                Ok(Some(Value::Set(items)))
            }
            // There is no big number in `Value`: RESP2's form of one, its digits as text, serves for both.
            (Typed::BigNumber, LuaValue::String(digits)) => self.bulk(digits).map(Some),
            (Typed::Verbatim, LuaValue::Table(parts)) => {
                let text: Option<LuaString> = parts.raw_get("string").ok();
                let format: Option<LuaString> = parts.raw_get("format").ok();
                let (Some(text), Some(format)) = (text, format) else { return Ok(None) };
                let text = text.to_string_lossy();
                self.spend(text.len())?;
                let format = if format.as_bytes() == b"mkd" { "mkd" } else { "txt" };
                Ok(Some(Value::Verbatim(format, text)))
            }
            _ => Ok(None),
        }
    }

    fn bulk(&mut self, text: &LuaString) -> Result<Value> {
        let bytes = text.as_bytes();
        self.spend(bytes.len())?;
        Ok(Value::bulk(&*bytes))
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| Error::new("ERR the reply of the script is too large"))?;
        Ok(())
    }
}

fn raw(table: &Table, name: &LuaString) -> LuaValue {
    table.raw_get(name).unwrap_or(LuaValue::Nil)
}

fn text_field(table: &Table, name: &LuaString) -> Option<String> {
    raw(table, name).as_string().map(LuaString::to_string_lossy)
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

/// A number as a command's argument: `%.17g`.
pub fn argument(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan".into() } else { "nan".into() };
    }
    format_float(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_off_and_what_does_not_fit_is_the_smallest() {
        assert_eq!([2.9, -3.9, 1e300, -1e300, f64::NAN].map(truncate), [2, -3, i64::MIN, i64::MIN, i64::MIN]);
    }

    #[test]
    fn numbers_become_arguments_with_seventeen_digits() {
        let written = [3.0, 0.1, -1e15, 1e17, f64::INFINITY].map(argument);
        assert_eq!(written, ["3", "0.10000000000000001", "-1000000000000000", "1e+17", "inf"]);
    }
}
