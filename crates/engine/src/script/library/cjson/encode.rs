//! From values of Lua to JSON.

use mlua::{Lua, LuaString, Table, Value};

use super::super::super::arguments::{Arguments, type_name};
use super::super::super::machine::MEMORY_MAX;
use super::super::super::raise;
use super::{Invalid, Settings};
use crate::number::format_general;

/// What a table and what a value in it count in the script's budget, in instructions of Lua.
const TABLE_COST: u64 = 50;
const ITEM_COST: u64 = 10;

pub fn encode(args: &Arguments<'_>, settings: &Settings) -> mlua::Result<LuaString> {
    if args.len() != 1 {
        return Err(args.error(1, "expected 1 argument"));
    }
    let mut encoder = Encoder { lua: args.lua, settings, out: Vec::with_capacity(64) };
    encoder.value(args.get(1).cloned().unwrap_or(Value::Nil))?;
    args.lua.create_string(encoder.out)
}

struct Encoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    out: Vec<u8>,
}

/// An array or an object that is being written.
struct Level {
    items: Table,
    at: i64,
    length: i64,
    is_object: bool,
    is_first: bool,
}

impl Level {
    /// The next value, with its key in an object.
    fn next(&mut self) -> mlua::Result<Option<(Option<Value>, Value)>> {
        if self.at >= self.length {
            return Ok(None);
        }
        let key = if self.is_object { Some(self.take()?) } else { None };
        Ok(Some((key, self.take()?)))
    }

    fn take(&mut self) -> mlua::Result<Value> {
        self.at += 1;
        raise::spend(ITEM_COST)?;
        self.items.raw_get(self.at)
    }
}

impl Encoder<'_> {
    /// Writes a value. Tables within tables are a list here, not calls: the script decides how deep they are.
    fn value(&mut self, value: Value) -> mlua::Result<()> {
        let mut levels = match value {
            Value::Table(table) => vec![self.open(table, 1)?],
            other => return self.scalar(&other),
        };
        while let Some(level) = levels.last_mut() {
            let Some((key, value)) = level.next()? else {
                let bracket = if level.is_object { b'}' } else { b']' };
                self.out.push(bracket);
                levels.pop();
                continue;
            };
            if !std::mem::take(&mut level.is_first) {
                self.out.push(b',');
            }
            if let Some(key) = key {
                self.key(&key)?;
            }
            match value {
                Value::Table(inner) => {
                    let depth = levels.len() + 1;
                    levels.push(self.open(inner, depth)?);
                }
                item => self.scalar(&item)?,
            }
        }
        Ok(())
    }

    /// Begins an array or an object.
    fn open(&mut self, table: Table, depth: usize) -> mlua::Result<Level> {
        if depth > self.settings.encode_depth_max {
            return Err(raise::text(self.lua, format_args!("Cannot serialise, excessive nesting ({depth})")));
        }
        raise::spend(TABLE_COST)?;
        if self.out.len() > MEMORY_MAX {
            return Err(mlua::Error::MemoryError("not enough memory".into()));
        }
        let length = self.array_length(&table)?.unwrap_or(0);
        if length > 0 {
            self.out.push(b'[');
            return Ok(Level { items: table, at: 0, length, is_object: false, is_first: true });
        }
        self.out.push(b'{');
        // Keys and values in turn: Lua can go on from a place in an array, not from one in a hash.
        let items = self.lua.create_table()?;
        let mut length = 0;
        table.for_each(|key: Value, value: Value| {
            items.raw_set(length + 1, key)?;
            items.raw_set(length + 2, value)?;
            length += 2;
            Ok(())
        })?;
        Ok(Level { items, at: 0, length, is_object: true, is_first: true })
    }

    fn scalar(&mut self, value: &Value) -> mlua::Result<()> {
        match value {
            Value::String(text) => self.string(&text.as_bytes())?,
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.out.extend_from_slice(b"null"),
            other => return Err(self.refuse(other, "type not supported")),
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> mlua::Result<()> {
        match key {
            Value::String(text) => self.string(&text.as_bytes())?,
            Value::Integer(number) => self.number_key(*number as f64)?,
            Value::Number(number) => self.number_key(*number)?,
            other => return Err(self.refuse(other, "table key must be a number or string")),
        }
        self.out.push(b':');
        Ok(())
    }

    /// The largest index of a table whose keys are all positive integers; none for others, and for an array that is
    /// mostly holes when such are to become objects.
    fn array_length(&self, table: &Table) -> mlua::Result<Option<i64>> {
        let (mut count, mut largest) = (0, 0);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(key) if key > 0 => {
                    count += 1;
                    largest = largest.max(key);
                }
                _ => return Ok(None),
            }
        }
        let settings = self.settings;
        let is_sparse = settings.sparse_ratio > 0
            && largest > settings.sparse_safe
            && largest > count * settings.sparse_ratio;
        match (is_sparse, settings.sparse_converts) {
            (false, _) => Ok(Some(largest)),
            (true, true) => Ok(None),
            (true, false) => Err(raise::text(self.lua, "Cannot serialise table: excessively sparse array")),
        }
    }

    fn string(&mut self, bytes: &[u8]) -> mlua::Result<()> {
        raise::spend_bytes(bytes.len())?;
        write_string(bytes, &mut self.out);
        Ok(())
    }

    fn number_key(&mut self, number: f64) -> mlua::Result<()> {
        self.out.push(b'"');
        self.number(number)?;
        self.out.push(b'"');
        Ok(())
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            let text: &[u8] = match self.settings.encode_invalid {
                Invalid::Refused => {
                    return Err(self.refuse(&Value::Number(number), "must not be NaN or Inf"));
                }
                Invalid::Null => b"null",
                Invalid::Written if number.is_nan() => b"nan",
                Invalid::Written if number > 0.0 => b"inf",
                Invalid::Written => b"-inf",
            };
            self.out.extend_from_slice(text);
            return Ok(());
        }
        // What has no fraction and few digits is an integer in the general format, too.
        if number.fract() == 0.0
            && number.abs() < 10_f64.powi(self.settings.precision as i32)
            && number != 0.0
        {
            self.out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
        } else if number == 0.0 {
            self.out.extend_from_slice(if number.is_sign_negative() { b"-0" } else { b"0" });
        } else {
            self.out.extend_from_slice(format_general(number, self.settings.precision).as_bytes());
        }
        Ok(())
    }

    fn refuse(&self, value: &Value, reason: &str) -> mlua::Error {
        raise::text(self.lua, format_args!("Cannot serialise {}: {reason}", type_name(value)))
    }
}

fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !needs_escape(*byte) {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'/' | b'\\' | 0x7f)
}
