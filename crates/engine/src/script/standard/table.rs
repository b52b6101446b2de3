//! `table.insert`, `remove`, `foreachi`, `concat` and `sort`: as in Lua 5.1, but what they do is counted. Where a table has
//! holes what Lua takes for its length may be a thousand million, and the first place to insert at may be as far below zero.
//!
//! Unsafe by the rules that `bridge` states: each function here may leave by a long jump and holds no value with a
//! destructor.
#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use super::super::convert::text;
use super::super::hook::BYTES_PER_INSTRUCTION;
use super::{forward, spend, spend_results};

/// What it counts to move an item, to add one to a text, and to compare two.
const MOVE_COST: u64 = 4;
const JOIN_COST: u64 = 2;
const COMPARE_COST: u64 = 4;

/// How many items are few, and how many bytes a short text.
const FEW_MAX: c_int = 10_000;
const SHORT_MAX: usize = 256;

/// The length that Lua takes a table for.
unsafe fn length(state: *mut lua_State) -> c_int {
    // SAFETY: Lua gave the state that runs.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_objlen(state, 1) as c_int
    }
}

/// Moves an item of the table.
unsafe fn shift(state: *mut lua_State, from: c_int, to: c_int) {
    // SAFETY: Lua gave the state that runs, and `length` saw that the first argument is a table.
    unsafe {
        spend(state, MOVE_COST);
        ffi::lua_rawgeti_(state, 1, from);
        ffi::lua_rawseti_(state, 1, to);
    }
}

pub unsafe extern "C-unwind" fn insert(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        let end = length(state).wrapping_add(1);
        let place = match ffi::lua_gettop(state) {
            2 => end,
            3 => {
                let place = ffi::luaL_checkinteger(state, 2) as c_int;
                let mut to = end;
                while to > place {
                    shift(state, to - 1, to);
                    to -= 1;
                }
                place
            }
            _ => return ffi::luaL_error(state, c"wrong number of arguments to 'insert'".as_ptr()),
        };
        ffi::lua_rawseti_(state, 1, place);
        0
    }
}

pub unsafe extern "C-unwind" fn remove(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        let end = length(state);
        let place = ffi::luaL_optinteger(state, 2, i64::from(end)) as c_int;
        if !(1..=end).contains(&place) {
            return 0;
        }
        ffi::lua_rawgeti_(state, 1, place);
        for to in place..end {
            shift(state, to + 1, to);
        }
        ffi::lua_pushnil(state);
        ffi::lua_rawseti_(state, 1, end);
        1
    }
}

pub unsafe extern "C-unwind" fn foreachi(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        let end = length(state);
        ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
        for place in 1..=end {
            spend(state, MOVE_COST);
            ffi::lua_pushvalue(state, 2);
            ffi::lua_pushinteger(state, i64::from(place));
            ffi::lua_rawgeti_(state, 1, place);
            ffi::lua_call(state, 2, 1);
            if ffi::lua_type(state, -1) != ffi::LUA_TNIL {
                return 1;
            }
            ffi::lua_settop(state, -2);
        }
        0
    }
}

/// Lua's own `concat`, which fails at the first item that is not there.
pub unsafe extern "C-unwind" fn concat(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs, and what it forwards to finds the arguments as they were.
    unsafe {
        if ffi::lua_type(state, 1) == ffi::LUA_TTABLE {
            let first = if ffi::lua_isnoneornil(state, 3) != 0 { 1.0 } else { ffi::lua_tonumber(state, 3) };
            let length = ffi::lua_objlen(state, 1) as f64;
            let last = if ffi::lua_isnoneornil(state, 4) != 0 { length } else { ffi::lua_tonumber(state, 4) };
            spend(state, (last - first + 1.0).min(length) as u64 * JOIN_COST);
        }
        let count = forward(state);
        spend_results(state, count);
        count
    }
}

/// Lua's own `sort`, with a comparison that counts where one could take long or there are many. One in Lua counts by itself.
pub unsafe extern "C-unwind" fn sort(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs, and what it forwards to finds the arguments as they were, but for the
    // comparison.
    unsafe {
        let is_own = ffi::lua_isnoneornil(state, 2) != 0;
        if ffi::lua_type(state, 1) == ffi::LUA_TTABLE
            && (is_own && !is_soon_sorted(state) || ffi::lua_iscfunction(state, 2) != 0)
        {
            ffi::lua_settop(state, 2);
            ffi::lua_pushcclosure(state, compare, 1);
        }
        forward(state)
    }
}

/// Whether there are few items to sort and no long text among them; then they are counted.
unsafe fn is_soon_sorted(state: *mut lua_State) -> bool {
    // SAFETY: Lua gave the state that runs, whose first argument is a table, and there is a place for an item.
    unsafe {
        let count = length(state);
        let is_short = |place| {
            ffi::lua_rawgeti_(state, 1, place);
            let length = text(state, -1).map_or(0, <[u8]>::len);
            ffi::lua_settop(state, -2);
            length <= SHORT_MAX
        };
        if count > FEW_MAX || !(1..=count).all(is_short) {
            return false;
        }
        let compared = u64::from(count.max(1).unsigned_abs());
        spend(state, compared * u64::from(compared.ilog2()) * COMPARE_COST);
        true
    }
}

/// Compares by the function beside it, or where there is none as `<` does.
unsafe extern "C-unwind" fn compare(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs and two arguments.
    unsafe {
        let [one, other] = [1, 2].map(|place| text(state, place).map_or(0, <[u8]>::len));
        spend(state, COMPARE_COST + (one.min(other) / BYTES_PER_INSTRUCTION) as u64);
        let function = ffi::lua_upvalueindex(1);
        if ffi::lua_type(state, function) == ffi::LUA_TNIL {
            ffi::lua_pushboolean(state, ffi::lua_lessthan(state, 1, 2));
        } else {
            ffi::lua_pushvalue(state, function);
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, 2, 1);
        }
        1
    }
}
