//! From values of Lua to JSON.

use mlua::{Lua, LuaString, Table, Value};

use super::super::super::arguments::{Arguments, type_name};
use super::super::super::machine::MEMORY_MAX;
use super::super::super::raise;
use super::{Invalid, Settings};
use crate::number::format_general;

pub fn encode(args: &Arguments<'_>, settings: &Settings) -> mlua::Result<LuaString> {
    if args.len() != 1 {
        return Err(args.error(1, "expected 1 argument"));
    }
    let mut encoder = Encoder { lua: args.lua, settings, out: Vec::with_capacity(64) };
    encoder.value(args.get(1).unwrap_or(&Value::Nil), 0)?;
    args.lua.create_string(encoder.out)
}

struct Encoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        match value {
            Value::String(text) => write_string(&text.as_bytes(), &mut self.out),
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => return Err(self.refuse(other, "type not supported")),
        }
        if self.out.len() > MEMORY_MAX {
            return Err(mlua::Error::MemoryError("not enough memory".into()));
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if depth > self.settings.encode_depth_max {
            let reason = format_args!("Cannot serialise, excessive nesting ({depth})").to_string();
            return Err(raise::text(self.lua, reason));
        }
        match self.array_length(table)? {
            Some(length) if length > 0 => self.array(table, length, depth),
            _ => self.object(table, depth),
        }
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
            (true, false) => {
                Err(raise::text(self.lua, "Cannot serialise table: excessively sparse array"))
            }
        }
    }

    fn array(&mut self, table: &Table, length: i64, depth: usize) -> mlua::Result<()> {
        self.out.push(b'[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            self.value(&table.raw_get(index)?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        self.out.push(b'{');
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            match key {
                Value::String(text) => write_string(&text.as_bytes(), &mut self.out),
                Value::Integer(number) => self.number_key(number as f64)?,
                Value::Number(number) => self.number_key(number)?,
                other => return Err(self.refuse(&other, "table key must be a number or string")),
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
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
        if number.fract() == 0.0 && number.abs() < 10_f64.powi(self.settings.precision as i32) && number != 0.0 {
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
