//! Replies and arguments on their way into Lua, and numbers on theirs to a command.
//!
//! Unsafe by the rules that `bridge` states: what pushes may leave by a long jump and holds no value with a destructor.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};
use windlass_resp::Value;

use super::hook::{self, BYTES_PER_INSTRUCTION};
use crate::number::format_float;

/// What each value of a reply counts in the script's budget, in instructions of Lua.
pub const ITEM_COST: u64 = 10;

/// The longest text of a number.
const NUMBER_TEXT_MAX: usize = 64;

/// From here on a whole number is written the long way.
const WHOLE_MAX: u64 = 1_000_000_000_000_000;

/// How many places of the stack one level of a reply takes at most.
pub const LEVEL_PLACES: c_int = 6;

/// Pushes a reply in the terms of a protocol.
///
/// # Safety
/// Within a protected call; nothing that owns memory may be alive in the frames from there to here. A few places of
/// the stack must be free.
pub unsafe fn push(state: *mut lua_State, value: &Value, is_typed: bool) {
    // SAFETY: as this function's; each table asks for the places that it and what is in it take.
    unsafe {
        let bytes = if let Value::Bulk(bytes) = value { bytes.len() } else { 0 };
        if !hook::spend(ITEM_COST + (bytes / BYTES_PER_INSTRUCTION) as u64) {
            raise_stopped(state);
        }
        match value {
            Value::Nil | Value::NilArray | Value::Head(_) if is_typed => ffi::lua_pushnil(state),
            Value::Nil | Value::NilArray | Value::Head(_) => ffi::lua_pushboolean(state, 0),
            Value::Simple(text) => push_field(state, c"ok", |state| push_bytes(state, text.as_bytes())),
            Value::Error(text) => push_field(state, c"err", |state| push_bytes(state, text.as_bytes())),
            Value::Integer(number) => ffi::lua_pushnumber(state, *number as f64),
            Value::Double(number) if is_typed => {
                push_field(state, c"double", |state| ffi::lua_pushnumber(state, *number));
            }
            Value::Double(number) => {
                let (text, length) = written(*number);
                push_bytes(state, &text[..length]);
            }
            Value::Boolean(yes) if is_typed => ffi::lua_pushboolean(state, c_int::from(*yes)),
            Value::Boolean(yes) => ffi::lua_pushnumber(state, f64::from(u8::from(*yes))),
            Value::Bulk(bytes) => push_bytes(state, bytes),
            Value::Verbatim(format, text) if is_typed => push_field(state, c"verbatim_string", |state| {
                push_field(state, c"format", |state| push_bytes(state, format.as_bytes()));
                push_bytes(state, text.as_bytes());
                ffi::lua_setfield(state, -2, c"string".as_ptr());
            }),
            Value::Verbatim(_, text) => push_bytes(state, text.as_bytes()),
            Value::Map(pairs) if is_typed => push_field(state, c"map", |state| {
                push_table(state, 0, pairs.len());
                for (key, value) in pairs {
                    push(state, key, is_typed);
                    push(state, value, is_typed);
                    ffi::lua_rawset(state, -3);
                }
            }),
            Value::Set(items) if is_typed => push_field(state, c"set", |state| {
                push_table(state, 0, items.len());
                for item in items {
                    push(state, item, is_typed);
                    ffi::lua_pushboolean(state, 1);
                    ffi::lua_rawset(state, -3);
                }
            }),
            Value::Array(items) | Value::Set(items) | Value::Push(items) => {
                push_table(state, items.len(), 0);
                for (item, place) in items.iter().zip(1..) {
                    push(state, item, is_typed);
                    ffi::lua_rawseti_(state, -2, place);
                }
            }
            Value::Map(pairs) => {
                push_table(state, 2 * pairs.len(), 0);
                for (item, place) in pairs.iter().flat_map(|(key, value)| [key, value]).zip(1..) {
                    push(state, item, is_typed);
                    ffi::lua_rawseti_(state, -2, place);
                }
            }
        }
    }
}

/// Pushes a list of strings.
///
/// # Safety
/// As [`push`].
pub unsafe fn push_list(state: *mut lua_State, items: &[&[u8]]) {
    // SAFETY: as this function's.
    unsafe {
        push_table(state, items.len(), 0);
        for (item, place) in items.iter().zip(1..) {
            push_bytes(state, item);
            ffi::lua_rawseti_(state, -2, place);
        }
    }
}

/// Stops the script by an error.
///
/// # Safety
/// As [`push`].
pub unsafe fn raise_stopped(state: *mut lua_State) -> ! {
    // SAFETY: as this function's. Arguments or results may have filled the stack, and nobody will look at them.
    unsafe {
        ffi::lua_settop(state, 0);
        push_bytes(state, b"the script is stopped");
        ffi::lua_error(state)
    }
}

/// Pushes a table with room for so many items and fields, and sees to it that there are places for what goes into it.
unsafe fn push_table(state: *mut lua_State, items: usize, fields: usize) {
    let size = |count: usize| c_int::try_from(count).unwrap_or_default();
    // SAFETY: as that of `push`.
    unsafe {
        ffi::luaL_checkstack_(state, LEVEL_PLACES, c"a reply".as_ptr());
        ffi::lua_createtable(state, size(items), size(fields));
    }
}

/// Pushes a table with one field, to which `push` pushes the value.
unsafe fn push_field(state: *mut lua_State, name: &CStr, push: impl FnOnce(*mut lua_State)) {
    // SAFETY: as that of `push`.
    unsafe {
        push_table(state, 0, 1);
        push(state);
        ffi::lua_setfield(state, -2, name.as_ptr());
    }
}

/// Pushes a string.
///
/// # Safety
/// As [`push`].
pub unsafe fn push_bytes(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: as that of `push`; the length is that of the bytes.
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) }
}

/// The text of a number, and its length, in memory that needs no destructor.
fn written(number: f64) -> ([u8; NUMBER_TEXT_MAX], usize) {
    let (mut bytes, text) = ([0; NUMBER_TEXT_MAX], format_float(number));
    let length = text.len().min(NUMBER_TEXT_MAX);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    (bytes, length)
}

/// Writes a number as a command's argument, its length in front.
pub fn write_number(number: f64, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(0);
    let whole = number as i64;
    // Zero may have a sign, and what is larger has more digits than are written.
    if whole != 0 && whole.unsigned_abs() < WHOLE_MAX && whole as f64 == number {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        out.extend_from_slice(argument(number).as_bytes());
    }
    out[start] =
        u8::try_from(out.len() - start - 1).expect("seventeen digits, a sign, a point and an exponent");
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
    fn numbers_are_written_alike_the_short_way_and_the_long_one() {
        let mut written = Vec::new();
        for number in
            [0.0, -0.0, 1.0, -7.0, 1e15 - 1.0, 1e15, -1e15, 1e16, 1e300, 0.5, f64::NAN, f64::INFINITY]
        {
            written.clear();
            write_number(number, &mut written);
            assert_eq!(String::from_utf8_lossy(&written[1..]), argument(number));
            assert_eq!(usize::from(written[0]), written.len() - 1);
        }
    }

    #[test]
    fn numbers_become_arguments_with_seventeen_digits() {
        let written = [3.0, 0.1, -1e15, 1e17, f64::INFINITY].map(argument);
        assert_eq!(written, ["3", "0.10000000000000001", "-1000000000000000", "1e+17", "inf"]);
    }
}
