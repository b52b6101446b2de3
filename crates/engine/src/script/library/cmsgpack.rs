//! The library `cmsgpack`: MessagePack, as the library of that name writes and reads it.

use mlua::{Lua, LuaString, MultiValue, Table, Value};

use super::super::arguments::Arguments;
use super::super::machine::{MEMORY_MAX, check_memory};
use super::super::raise;
use super::Library;

/// Tables deeper than this are written as nil.
const PACK_DEPTH_MAX: usize = 16;
/// The deepest input that is read.
const UNPACK_DEPTH_MAX: usize = 1000;
/// The most values that one `unpack` returns; Lua's stack has room for 8000.
const RESULTS_MAX: usize = 7900;
/// How many values are read between two looks at the memory.
const MEMORY_CHECK_PERIOD: usize = 4096;

/// What a value counts in the script's budget, in instructions of Lua.
const ITEM_COST: u64 = 10;

pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = Library::new(lua)?
        .with("pack", pack)?
        .with("unpack", |lua, args| unpack(&Arguments::new(lua, "unpack", args), 0, 0))?
        .with("unpack_one", |lua, args| {
            let args = Arguments::new(lua, "unpack_one", args);
            let offset = args.given(2).map_or(Ok(0), |_| args.integer(2))?;
            unpack(&args, 1, offset)
        })?
        .with("unpack_limit", |lua, args| {
            let args = Arguments::new(lua, "unpack_limit", args);
            let limit = args.integer(2)?;
            let offset = args.given(3).map_or(Ok(0), |_| args.integer(3))?;
            unpack(&args, limit, offset)
        })?
        .value("_NAME", "cmsgpack")?
        .value("_VERSION", "lua-cmsgpack 0.4.0")?
        .value("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?
        .value("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(library.finish())
}

fn pack(lua: &Lua, args: &MultiValue) -> mlua::Result<LuaString> {
    if args.is_empty() {
        return Err(raise::argument(lua, "pack", 0, "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for value in args {
        write(lua, value, 0, &mut out)?;
    }
    lua.create_string(out)
}

fn write(lua: &Lua, value: &Value, depth: usize, out: &mut Vec<u8>) -> mlua::Result<()> {
    raise::spend(ITEM_COST)?;
    if out.len() > MEMORY_MAX {
        return Err(mlua::Error::MemoryError("not enough memory".into()));
    }
    match value {
        Value::String(text) => {
            raise::spend_bytes(text.as_bytes().len())?;
            write_string(&text.as_bytes(), out);
        }
        Value::Boolean(yes) => out.push(if *yes { 0xc3 } else { 0xc2 }),
        Value::Integer(number) => write_integer(*number, out),
        Value::Number(number) => write_number(*number, out),
        Value::Table(table) if depth < PACK_DEPTH_MAX => write_table(lua, table, depth, out)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        length @ 0..32 => out.push(0xa0 | length as u8),
        length @ 32..0x100 => out.extend([0xd9, length as u8]),
        length => write_length(length, [0xda, 0xdb], out),
    }
    out.extend_from_slice(bytes);
}

/// A length of two or four bytes after its mark.
fn write_length(length: usize, marks: [u8; 2], out: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(length) {
        out.push(marks[0]);
        out.extend(length.to_be_bytes());
    } else {
        out.push(marks[1]);
        out.extend((length as u32).to_be_bytes());
    }
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend([0xcc, number as u8]),
        0x100..=0xffff => tagged(0xcd, (number as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => tagged(0xce, (number as u32).to_be_bytes(), out),
        0x1_0000_0000.. => tagged(0xcf, number.to_be_bytes(), out),
        -32..0 => out.push(number as u8),
        -0x80..-32 => out.extend([0xd0, number as u8]),
        -0x8000..-0x80 => tagged(0xd1, (number as i16).to_be_bytes(), out),
        -0x8000_0000..-0x8000 => tagged(0xd2, (number as i32).to_be_bytes(), out),
        _ => tagged(0xd3, number.to_be_bytes(), out),
    }
}

fn write_number(number: f64, out: &mut Vec<u8>) {
    // The largest float below 2^63 is the largest that fits.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits && number.fract() == 0.0 {
        write_integer(number as i64, out);
    } else if f64::from(number as f32) == number {
        tagged(0xca, (number as f32).to_be_bytes(), out);
    } else {
        tagged(0xcb, number.to_be_bytes(), out);
    }
}

fn tagged<const N: usize>(mark: u8, bytes: [u8; N], out: &mut Vec<u8>) {
    out.push(mark);
    out.extend(bytes);
}

fn write_table(lua: &Lua, table: &Table, depth: usize, out: &mut Vec<u8>) -> mlua::Result<()> {
    let (count, is_array) = shape(table)?;
    if is_array {
        match count {
            0..=15 => out.push(0x90 | count as u8),
            _ => write_length(count, [0xdc, 0xdd], out),
        }
        for index in 1..=count {
            write(lua, &table.raw_get(index)?, depth + 1, out)?;
        }
        return Ok(());
    }
    match count {
        0..=15 => out.push(0x80 | count as u8),
        _ => write_length(count, [0xde, 0xdf], out),
    }
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        write(lua, &key, depth + 1, out)?;
        write(lua, &value, depth + 1, out)?;
    }
    Ok(())
}

/// The number of entries, and whether their keys are 1, 2, 3 and so on.
fn shape(table: &Table) -> mlua::Result<(usize, bool)> {
    let (mut count, mut largest, mut is_array) = (0, 0, true);
    for pair in table.pairs::<Value, Value>() {
        count += 1;
        match pair?.0 {
            Value::Integer(key) if key > 0 => largest = largest.max(key),
            _ => is_array = false,
        }
    }
    Ok((count, is_array && largest == count as i64))
}

fn unpack(args: &Arguments<'_>, limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    let lua = args.lua;
    let bytes = args.string(1)?.as_bytes();
    let length = bytes.len();
    let start = match usize::try_from(offset) {
        Ok(start) if limit >= 0 => start,
        _ => {
            let reason = format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
            return Err(raise::text(lua, reason));
        }
    };
    let rest = bytes.get(start..).ok_or_else(|| {
        raise::text(lua, format_args!("Start offset {offset} greater than input length {length}."))
    })?;
    let takes_all = limit == 0 && offset == 0;
    let limit = if takes_all { usize::MAX } else { limit as usize };
    let mut reader = Reader { lua, rest, count: 0 };
    let mut results = Vec::new();
    while !reader.rest.is_empty() && results.len() < limit {
        if results.len() >= RESULTS_MAX {
            let reason =
                "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
            return Err(raise::text(lua, reason));
        }
        results.push(reader.value()?);
    }
    if !takes_all {
        let next = if reader.rest.is_empty() { -1 } else { (length - reader.rest.len()) as i64 };
        results.insert(0, Value::Integer(next));
    }
    Ok(MultiValue::from_vec(results))
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    count: usize,
}

/// A table that is being read.
struct Frame {
    table: Table,
    left: usize,
    /// The next index of an array; none for a map.
    index: Option<i64>,
    /// The key whose value comes next.
    key: Option<Value>,
}

enum Item {
    Value(Value),
    Array(usize),
    Map(usize),
}

impl Reader<'_> {
    /// Reads one value with all that is in it. Tables within tables are a list here, not calls: the input decides
    /// how deep they are.
    fn value(&mut self) -> mlua::Result<Value> {
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let mut value = match self.item()? {
                Item::Value(value) => value,
                Item::Array(0) | Item::Map(0) => Value::Table(self.lua.create_table()?),
                Item::Array(left) => {
                    frames.push(self.frame(left, Some(1), frames.len(), "mp_decode_to_lua_array")?);
                    continue;
                }
                Item::Map(left) => {
                    frames.push(self.frame(left * 2, None, frames.len(), "mp_decode_to_lua_hash")?);
                    continue;
                }
            };
            // The value may complete the table that it is in, and that one the table around it.
            while let Some(frame) = frames.last_mut() {
                frame.add(value)?;
                if frame.left > 0 {
                    value = Value::Nil;
                    break;
                }
                value = Value::Table(frames.pop().expect("it was looked at").table);
            }
            if frames.is_empty() {
                return Ok(value);
            }
        }
    }

    fn frame(&self, left: usize, index: Option<i64>, depth: usize, name: &str) -> mlua::Result<Frame> {
        if depth >= UNPACK_DEPTH_MAX {
            return Err(raise::text(self.lua, format_args!("stack overflow (in function {name})")));
        }
        // Room is made as items come: the count is a claim of the input.
        Ok(Frame { table: self.lua.create_table()?, left, index, key: None })
    }

    fn item(&mut self) -> mlua::Result<Item> {
        raise::spend(ITEM_COST)?;
        self.count += 1;
        if self.count.is_multiple_of(MEMORY_CHECK_PERIOD) {
            check_memory(self.lua)?;
        }
        let [mark] = self.take()?;
        let value = match mark {
            0x00..=0x7f => Value::Integer(i64::from(mark)),
            0x80..=0x8f => return Ok(Item::Map(usize::from(mark & 0x0f))),
            0x90..=0x9f => return Ok(Item::Array(usize::from(mark & 0x0f))),
            0xa0..=0xbf => self.string(usize::from(mark & 0x1f))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => Value::Number(f64::from_be_bytes(self.take()?)),
            0xcc => Value::Integer(i64::from(u8::from_be_bytes(self.take()?))),
            0xcd => Value::Integer(i64::from(u16::from_be_bytes(self.take()?))),
            0xce => Value::Integer(i64::from(u32::from_be_bytes(self.take()?))),
            0xcf | 0xd3 => Value::Integer(i64::from_be_bytes(self.take()?)),
            0xd0 => Value::Integer(i64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => Value::Integer(i64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => Value::Integer(i64::from(i32::from_be_bytes(self.take()?))),
            0xd9 => {
                let [length] = self.take()?;
                self.string(usize::from(length))?
            }
            0xda => {
                let length = self.short()?;
                self.string(length)?
            }
            0xdb => {
                let length = self.long()?;
                self.string(length)?
            }
            0xdc => return self.short().map(Item::Array),
            0xdd => return self.long().map(Item::Array),
            0xde => return self.short().map(Item::Map),
            0xdf => return self.long().map(Item::Map),
            0xe0..=0xff => Value::Integer(i64::from(mark as i8)),
            _ => return Err(raise::text(self.lua, "Bad data format in input.")),
        };
        Ok(Item::Value(value))
    }

    fn short(&mut self) -> mlua::Result<usize> {
        Ok(usize::from(u16::from_be_bytes(self.take()?)))
    }

    fn long(&mut self) -> mlua::Result<usize> {
        Ok(u32::from_be_bytes(self.take()?) as usize)
    }

    fn string(&mut self, length: usize) -> mlua::Result<Value> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.missing())?;
        self.rest = rest;
        raise::spend_bytes(length)?;
        self.lua.create_string(bytes).map(Value::String)
    }

    fn take<const N: usize>(&mut self) -> mlua::Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.missing())?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn missing(&self) -> mlua::Error {
        raise::text(self.lua, "Missing bytes in input.")
    }
}

impl Frame {
    fn add(&mut self, value: Value) -> mlua::Result<()> {
        self.left -= 1;
        if let Some(index) = &mut self.index {
            self.table.raw_set(*index, value)?;
            *index += 1;
            return Ok(());
        }
        match self.key.take() {
            Some(key) => self.table.raw_set(key, value),
            None if value.is_nil() => Err(raise::bare("table index is nil")),
            None if value.as_number().is_some_and(f64::is_nan) => Err(raise::bare("table index is NaN")),
            None => {
                self.key = Some(value);
                Ok(())
            }
        }
    }
}
