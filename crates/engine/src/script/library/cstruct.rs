//! The library `struct`: numbers and strings in the layout of C.

use mlua::{Lua, LuaString, MultiValue, Table, Value};

use super::super::arguments::Arguments;
use super::super::machine::MEMORY_MAX;
use super::super::raise;
use super::Library;

/// The largest integer in bytes.
const INTEGER_MAX: usize = 32;
/// The alignment of `!` alone.
const ALIGNMENT: usize = 8;
/// The most results of one `unpack`; Lua's stack has room for 8000 values.
const RESULTS_MAX: usize = 7900;

/// What an option counts in the script's budget, in instructions of Lua.
const OPTION_COST: u64 = 5;

pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = Library::new(lua)?
        .with("pack", |lua, args| pack(&Arguments::new(lua, "pack", args)))?
        .with("unpack", |lua, args| unpack(&Arguments::new(lua, "unpack", args)))?
        .with("size", |lua, args| size(&Arguments::new(lua, "size", args)))?;
    Ok(library.finish())
}

/// A format on its way: the options that are left, and how numbers are laid out from here on.
struct Format<'a> {
    args: &'a Arguments<'a>,
    rest: &'a [u8],
    is_big: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(args: &'a Arguments<'a>, format: &'a [u8]) -> Self {
        // A string of C ends at a zero byte.
        let end = format.iter().position(|byte| *byte == 0).unwrap_or(format.len());
        Self { args, rest: &format[..end], is_big: false, align: 1 }
    }

    /// The next option and its size.
    fn next(&mut self) -> mlua::Result<Option<(u8, usize)>> {
        let Some((option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        raise::spend(OPTION_COST)?;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.count(1)?,
            b'i' | b'I' => {
                let size = self.count(4)?;
                if size > INTEGER_MAX {
                    let reason = format_args!("integral size {size} is larger than limit of {INTEGER_MAX}")
                        .to_string();
                    return Err(raise::text(self.args.lua, reason));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((*option, size)))
    }

    /// The number that follows an option.
    fn count(&mut self, default: usize) -> mlua::Result<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let mut count: i32 = 0;
        for digit in number {
            let next = count.checked_mul(10).and_then(|count| count.checked_add(i32::from(digit - b'0')));
            count = next.ok_or_else(|| raise::text(self.args.lua, "integral size overflow"))?;
        }
        Ok(count as usize)
    }

    /// Obeys an option that sets the layout.
    fn control(&mut self, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.is_big = true,
            b'<' => self.is_big = false,
            b'!' => {
                let align = self.count(ALIGNMENT)?;
                if !align.is_power_of_two() {
                    let reason = format!("alignment {align} is not a power of 2");
                    return Err(raise::text(self.args.lua, reason));
                }
                self.align = align;
            }
            other => {
                return Err(self.args.error(1, format_args!("invalid format option '{}'", other as char)));
            }
        }
        Ok(())
    }

    /// The bytes to skip before an option at `position`.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align);
        (size - (position & (size - 1))) & (size - 1)
    }
}

fn pack(args: &Arguments<'_>) -> mlua::Result<LuaString> {
    let text = args.string(1)?.as_bytes();
    let mut format = Format::new(args, &text);
    let mut out = Vec::new();
    let mut position = 1;
    let mut next_argument = || {
        position += 1;
        position
    };
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = number(args, next_argument())?;
                put_integer(number, size, format.is_big, &mut out);
            }
            b'x' => out.push(0),
            b'f' => put((number(args, next_argument())? as f32).to_le_bytes(), format.is_big, &mut out),
            b'd' => put(number(args, next_argument())?.to_le_bytes(), format.is_big, &mut out),
            b'c' | b's' => {
                let at = next_argument();
                let bytes = args.string(at)?.as_bytes();
                let size = if size == 0 { bytes.len() } else { size };
                let part = bytes.get(..size).ok_or_else(|| args.error(at + 1, "string too short"))?;
                raise::spend_bytes(part.len())?;
                out.extend_from_slice(part);
                if option == b's' {
                    out.push(0);
                }
            }
            other => format.control(other)?,
        }
        if out.len() > MEMORY_MAX {
            return Err(raise::text(args.lua, "resulting string too large"));
        }
    }
    args.lua.create_string(out)
}

/// A number; an absent one is told as nil.
fn number(args: &Arguments<'_>, position: usize) -> mlua::Result<f64> {
    match args.get(position) {
        None => Err(args.error(position, "number expected, got nil")),
        Some(_) => args.number(position),
    }
}

fn put_integer(number: f64, size: usize, is_big: bool, out: &mut Vec<u8>) {
    let value = if number < 0.0 { number as i64 as u64 } else { number as u64 };
    let mut bytes = [0; INTEGER_MAX];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    let bytes = &mut bytes[..size];
    if is_big {
        bytes.reverse();
    }
    out.extend_from_slice(bytes);
}

fn put<const N: usize>(mut bytes: [u8; N], is_big: bool, out: &mut Vec<u8>) {
    if is_big {
        bytes.reverse();
    }
    out.extend_from_slice(&bytes);
}

fn unpack(args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let text = args.string(1)?.as_bytes();
    let data = args.string(2)?.as_bytes();
    let too_short = || args.error(2, "data string too short");
    let mut position = match args.given(3) {
        None => 0,
        Some(_) => match args.integer(3)? {
            0 => return Err(args.error(3, "offset must be 1 or greater")),
            offset => usize::try_from(offset).map_err(|_| too_short())? - 1,
        },
    };
    let mut format = Format::new(args, &text);
    let mut results = Vec::new();
    while let Some((option, mut size)) = format.next()? {
        position += format.padding(position, option, size);
        let mut part = data.get(position..).and_then(|rest| rest.get(..size)).ok_or_else(too_short)?;
        if results.len() >= RESULTS_MAX {
            return Err(raise::text(args.lua, "stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                results.push(Value::Number(integer(part, format.is_big, option.is_ascii_lowercase())));
            }
            b'x' => {}
            b'f' => results.push(Value::Number(f64::from(f32::from_le_bytes(get(part, format.is_big))))),
            b'd' => results.push(Value::Number(f64::from_le_bytes(get(part, format.is_big)))),
            b'c' => {
                if size == 0 {
                    let Some(Value::Number(count)) = results.pop() else {
                        return Err(raise::text(args.lua, "format 'c0' needs a previous size"));
                    };
                    if count < 0.0 {
                        return Err(too_short());
                    }
                    size = count as usize;
                    part = data.get(position..).and_then(|rest| rest.get(..size)).ok_or_else(too_short)?;
                }
                raise::spend_bytes(size)?;
                results.push(Value::String(args.lua.create_string(part)?));
            }
            b's' => {
                let rest = &data[position..];
                let end = rest.iter().position(|byte| *byte == 0);
                let end = end.ok_or_else(|| raise::text(args.lua, "unfinished string in data"))?;
                raise::spend_bytes(end)?;
                results.push(Value::String(args.lua.create_string(&rest[..end])?));
                size = end + 1;
            }
            other => format.control(other)?,
        }
        position += size;
    }
    results.push(Value::Number((position + 1) as f64));
    Ok(MultiValue::from_vec(results))
}

fn integer(bytes: &[u8], is_big: bool, is_signed: bool) -> f64 {
    let take = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if is_big { bytes.iter().fold(0, take) } else { bytes.iter().rev().fold(0, take) };
    if !is_signed {
        return value as f64;
    }
    // The shift wraps for integers beyond eight bytes, as it does in Redis on its usual machines.
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    let value = if value & mask == 0 { value } else { value | mask };
    value as i64 as f64
}

fn get<const N: usize>(bytes: &[u8], is_big: bool) -> [u8; N] {
    let mut bytes: [u8; N] = bytes.try_into().expect("the option's size was taken");
    if is_big {
        bytes.reverse();
    }
    bytes
}

fn size(args: &Arguments<'_>) -> mlua::Result<f64> {
    let text = args.string(1)?.as_bytes();
    let mut format = Format::new(args, &text);
    let mut position = 0;
    while let Some((option, size)) = format.next()? {
        position += format.padding(position, option, size);
        match option {
            b's' => return Err(args.error(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(args.error(1, "option 'c0' has no fixed size")),
            other if !other.is_ascii_alphanumeric() => format.control(other)?,
            _ => {}
        }
        position += size;
    }
    Ok(position as f64)
}
