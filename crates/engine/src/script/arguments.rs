//! The arguments of a library function, read as Lua's own C functions read theirs.

use mlua::{Lua, LuaString, MultiValue, Value};

use super::raise;

/// The arguments of one call. Positions begin at 1, as in Lua's errors.
pub struct Arguments<'a> {
    pub lua: &'a Lua,
    name: &'static str,
    values: &'a MultiValue,
}

impl<'a> Arguments<'a> {
    pub fn new(lua: &'a Lua, name: &'static str, values: &'a MultiValue) -> Self {
        Self { lua, name, values }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn get(&self, position: usize) -> Option<&'a Value> {
        self.values.get(position - 1)
    }

    /// The argument, none when it is absent or nil.
    pub fn given(&self, position: usize) -> Option<&'a Value> {
        self.get(position).filter(|value| !value.is_nil())
    }

    /// A string; numbers count as one.
    pub fn string(&self, position: usize) -> mlua::Result<LuaString> {
        match self.get(position) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(number @ (Value::Integer(_) | Value::Number(_))) => {
                let text = self.lua.coerce_string(number.clone())?;
                text.ok_or_else(|| self.expected(position, "string"))
            }
            _ => Err(self.expected(position, "string")),
        }
    }

    /// A number; a string that reads as one counts.
    pub fn number(&self, position: usize) -> mlua::Result<f64> {
        match self.get(position) {
            Some(Value::Integer(number)) => Ok(*number as f64),
            Some(Value::Number(number)) => Ok(*number),
            Some(text @ Value::String(_)) => {
                let number = self.lua.coerce_number(text.clone())?;
                number.ok_or_else(|| self.expected(position, "number"))
            }
            _ => Err(self.expected(position, "number")),
        }
    }

    /// An integer; a fraction is cut off, as a C cast does.
    pub fn integer(&self, position: usize) -> mlua::Result<i64> {
        self.number(position).map(|number| number as i64)
    }

    /// The error for an argument of another type than `wanted`.
    pub fn expected(&self, position: usize, wanted: &str) -> mlua::Error {
        let found = self.get(position).map_or("no value", type_name);
        self.error(position, format_args!("{wanted} expected, got {found}"))
    }

    /// The error for an argument, with its reason.
    pub fn error(&self, position: usize, reason: impl std::fmt::Display) -> mlua::Error {
        raise::argument(self.lua, self.name, position, reason)
    }
}

/// The name of a value's type as Lua 5.1 gives it; the bridge tells integers apart, Lua does not.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) | Value::Number(_) => "number",
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) => "userdata",
        other => other.type_name(),
    }
}
