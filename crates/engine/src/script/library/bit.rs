//! The library `bit`: operations on the 32 low bits of numbers.

use mlua::{Lua, Table};

use super::super::arguments::Arguments;
use super::Library;

/// Adding this to a number leaves its integer part, modulo 2³², in the low half of the sum.
const MAGIC: f64 = 6_755_399_441_055_744.0;

pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = Library::new(lua)?
        .with("tobit", |lua, args| Ok(bits(&Arguments::new(lua, "tobit", args), 1)? as i32))?
        .with("bnot", |lua, args| Ok(!bits(&Arguments::new(lua, "bnot", args), 1)? as i32))?
        .with("bswap", |lua, args| Ok(bits(&Arguments::new(lua, "bswap", args), 1)?.swap_bytes() as i32))?
        .with("band", |lua, args| fold(&Arguments::new(lua, "band", args), |a, b| a & b))?
        .with("bor", |lua, args| fold(&Arguments::new(lua, "bor", args), |a, b| a | b))?
        .with("bxor", |lua, args| fold(&Arguments::new(lua, "bxor", args), |a, b| a ^ b))?
        .with("lshift", |lua, args| shift(&Arguments::new(lua, "lshift", args), |a, n| a << n))?
        .with("rshift", |lua, args| shift(&Arguments::new(lua, "rshift", args), |a, n| a >> n))?
        .with("arshift", |lua, args| {
            shift(&Arguments::new(lua, "arshift", args), |a, n| ((a as i32) >> n) as u32)
        })?
        .with("rol", |lua, args| shift(&Arguments::new(lua, "rol", args), u32::rotate_left))?
        .with("ror", |lua, args| shift(&Arguments::new(lua, "ror", args), u32::rotate_right))?
        .with("tohex", |lua, args| tohex(&Arguments::new(lua, "tohex", args)))?;
    Ok(library.finish())
}

fn bits(args: &Arguments<'_>, position: usize) -> mlua::Result<u32> {
    Ok((args.number(position)? + MAGIC).to_bits() as u32)
}

fn fold(args: &Arguments<'_>, operation: fn(u32, u32) -> u32) -> mlua::Result<i32> {
    let mut result = bits(args, 1)?;
    for position in 2..=args.len() {
        result = operation(result, bits(args, position)?);
    }
    Ok(result as i32)
}

fn shift(args: &Arguments<'_>, operation: fn(u32, u32) -> u32) -> mlua::Result<i32> {
    let (number, by) = (bits(args, 1)?, bits(args, 2)? & 31);
    Ok(operation(number, by) as i32)
}

fn tohex(args: &Arguments<'_>) -> mlua::Result<String> {
    let number = bits(args, 1)?;
    let digits = if args.get(2).is_some() { bits(args, 2)? as i32 } else { 8 };
    let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    let count = digits.unsigned_abs().min(8) as usize;
    Ok(text[8 - count..].to_owned())
}
