//! `string.find`, `match`, `gmatch` and `gsub`: as in Lua 5.1, by a matcher that counts its steps.
//!
//! Unsafe by the rules that `bridge` states: each function here may leave by a long jump and holds no value with a
//! destructor where Lua is called.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;

use memchr::memmem;
use mlua::ffi::{self, lua_State};

use super::super::bridge::guarded;
use super::super::push::{push_bytes, raise_stopped};
use super::matcher::{Capture, Extent, Matcher, Problem};
use super::spend;

/// How many bytes a plain search passes in the time of an instruction of Lua.
const SEARCHED_PER_INSTRUCTION: usize = 64;

/// What makes a pattern more than plain text.
const SPECIALS: &[u8] = b"^$*+?.([%-";

pub unsafe extern "C-unwind" fn find(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe { look(state, true) }
}

pub unsafe extern "C-unwind" fn first_match(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe { look(state, false) }
}

unsafe fn look(state: *mut lua_State, is_find: bool) -> c_int {
    // SAFETY: the state is the one that runs, and the strings that are looked at are arguments of the function.
    unsafe {
        let (text, full) = (argument(state, 1), argument(state, 2));
        let from = ffi::luaL_optinteger(state, 3, 1);
        let from = if from < 0 { from.saturating_add(text.len() as i64 + 1) } else { from };
        let from = usize::try_from(from - 1).unwrap_or_default().min(text.len());
        let pattern = ended(full);
        let is_plain = || !pattern.iter().any(|byte| SPECIALS.contains(byte));
        if is_find && (ffi::lua_toboolean(state, 4) != 0 || is_plain()) {
            let found = memmem::find(&text[from..], full);
            let passed = found.map_or(text.len() - from, |at| at + full.len());
            spend(state, (passed / SEARCHED_PER_INSTRUCTION) as u64);
            if let Some(at) = found {
                ffi::lua_pushinteger(state, (from + at + 1) as i64);
                ffi::lua_pushinteger(state, (from + at + full.len()) as i64);
                return 2;
            }
        } else {
            let (pattern, is_anchored) = unanchored(pattern);
            let mut matcher = Matcher::new(text, pattern);
            let last = if is_anchored { from } else { text.len() };
            if let Some((start, end)) = next(state, &mut matcher, from, last) {
                if !is_find {
                    return push_captures(state, text, matcher.captures(), Some((start, end)));
                }
                ffi::lua_pushinteger(state, start as i64 + 1);
                ffi::lua_pushinteger(state, end as i64);
                return push_captures(state, text, matcher.captures(), None) + 2;
            }
        }
        ffi::lua_pushnil(state);
        1
    }
}

pub unsafe extern "C-unwind" fn gmatch(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        argument(state, 1);
        argument(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushinteger(state, 0);
        ffi::lua_pushcclosure(state, gmatch_next, 3);
        1
    }
}

/// The next match of a `gmatch`, which keeps the text, the pattern and where to go on.
unsafe extern "C-unwind" fn gmatch_next(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs, and `gmatch` put two strings and a number beside it.
    unsafe {
        let text = argument(state, ffi::lua_upvalueindex(1));
        let pattern = ended(argument(state, ffi::lua_upvalueindex(2)));
        let from = ffi::lua_tonumber(state, ffi::lua_upvalueindex(3)) as usize;
        if from > text.len() {
            return 0;
        }
        let mut matcher = Matcher::new(text, pattern);
        let Some((start, end)) = next(state, &mut matcher, from, text.len()) else { return 0 };
        // A match of nothing goes on by one place.
        ffi::lua_pushinteger(state, end as i64 + i64::from(end == start));
        ffi::lua_replace(state, ffi::lua_upvalueindex(3));
        push_captures(state, text, matcher.captures(), Some((start, end)))
    }
}

pub unsafe extern "C-unwind" fn gsub(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs. The strings that are looked at are arguments of the function; the
    // buffer is used as Lua wants it: what is above it on the stack is gone when something is added.
    unsafe {
        let text = argument(state, 1);
        let pattern = ended(argument(state, 2));
        let by = ffi::lua_type(state, 3);
        // As an `int` of C.
        let most = ffi::luaL_optinteger(state, 4, text.len() as i64 + 1) as c_int;
        if !matches!(by, ffi::LUA_TNUMBER | ffi::LUA_TSTRING | ffi::LUA_TFUNCTION | ffi::LUA_TTABLE) {
            ffi::luaL_argerror(state, 3, c"string/function/table expected".as_ptr());
        }
        let (pattern, is_anchored) = unanchored(pattern);
        let mut buffer = MaybeUninit::uninit();
        let buffer = buffer.as_mut_ptr();
        ffi::luaL_buffinit(state, buffer);
        let mut matcher = Matcher::new(text, pattern);
        let (mut at, mut count) = (0, 0);
        while count < most {
            let last = if is_anchored { at } else { text.len() };
            let Some((start, end)) = next(state, &mut matcher, at, last) else { break };
            add(buffer, &text[at..start]);
            count += 1;
            put(state, buffer, (text, matcher.captures()), (start, end), by);
            at = end;
            if end == start {
                // A match of nothing goes on by one place.
                let Some(byte) = text.get(at) else { break };
                add(buffer, std::slice::from_ref(byte));
                at += 1;
            }
            if is_anchored {
                break;
            }
        }
        add(buffer, &text[at..]);
        ffi::luaL_pushresult(buffer);
        ffi::lua_pushinteger(state, i64::from(count));
        super::spend_results(state, 2);
        2
    }
}

/// Adds what is put in the place of a match.
unsafe fn put(
    state: *mut lua_State,
    buffer: *mut ffi::luaL_Buffer,
    (text, captures): (&[u8], &[Capture]),
    (start, end): (usize, usize),
    by: c_int,
) {
    // SAFETY: as in `gsub`, whose state and buffer these are.
    unsafe {
        match by {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, 3);
                let count = push_captures(state, text, captures, Some((start, end)));
                ffi::lua_call(state, count, 1);
            }
            ffi::LUA_TTABLE => {
                push_capture(state, text, captures, 0, Some((start, end)));
                ffi::lua_gettable_(state, 3);
            }
            _ => return put_text(state, buffer, (text, captures), (start, end)),
        }
        if ffi::lua_toboolean(state, -1) == 0 {
            ffi::lua_settop(state, -2);
            push_bytes(state, &text[start..end]);
        } else if ffi::lua_isstring(state, -1) == 0 {
            let kind = ffi::luaL_typename(state, -1);
            ffi::luaL_error(state, c"invalid replacement value (a %s)".as_ptr(), kind);
        }
        ffi::luaL_addvalue(buffer);
    }
}

/// Adds the text that is put in the place of a match, in which `%1` is a capture.
unsafe fn put_text(
    state: *mut lua_State,
    buffer: *mut ffi::luaL_Buffer,
    (text, captures): (&[u8], &[Capture]),
    (start, end): (usize, usize),
) {
    // SAFETY: as in `gsub`.
    unsafe {
        let by = argument(state, 3);
        let mut rest = by;
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            add(buffer, &rest[..at]);
            // What ends in a `%` goes on with the zero byte behind a string of C.
            let escaped = rest.get(at + 1).unwrap_or(&0);
            match escaped {
                b'0' => add(buffer, &text[start..end]),
                b'1'..=b'9' => {
                    push_capture(state, text, captures, usize::from(escaped - b'1'), Some((start, end)));
                    ffi::luaL_addvalue(buffer);
                }
                other => add(buffer, std::slice::from_ref(other)),
            }
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        add(buffer, rest);
        // Each byte of it was looked at.
        spend(state, (by.len() / SEARCHED_PER_INSTRUCTION) as u64);
    }
}

unsafe fn add(buffer: *mut ffi::luaL_Buffer, bytes: &[u8]) {
    // SAFETY: as in `gsub`, whose buffer it is.
    unsafe { ffi::luaL_addlstring(buffer, bytes.as_ptr().cast::<c_char>(), bytes.len()) }
}

/// The next match, or an error of Lua.
unsafe fn next(
    state: *mut lua_State,
    matcher: &mut Matcher<'_>,
    first: usize,
    last: usize,
) -> Option<(usize, usize)> {
    // SAFETY: the state is the one that runs.
    unsafe {
        match guarded(|| matcher.find(first, last)) {
            Some(Ok(found)) => found,
            Some(Err(Problem::Text(reason))) => fail(state, reason),
            Some(Err(Problem::Stopped)) | None => raise_stopped(state),
        }
    }
}

/// Pushes what was caught, or where nothing was to be caught the whole match if it is given.
unsafe fn push_captures(
    state: *mut lua_State,
    text: &[u8],
    captures: &[Capture],
    whole: Option<(usize, usize)>,
) -> c_int {
    let count = if captures.is_empty() { usize::from(whole.is_some()) } else { captures.len() };
    // SAFETY: the state is the one that runs, and there is room for what is pushed.
    unsafe {
        ffi::luaL_checkstack_(state, count as c_int, c"too many captures".as_ptr());
        for place in 0..count {
            push_capture(state, text, captures, place, whole);
        }
        count as c_int
    }
}

unsafe fn push_capture(
    state: *mut lua_State,
    text: &[u8],
    captures: &[Capture],
    place: usize,
    whole: Option<(usize, usize)>,
) {
    // SAFETY: the state is the one that runs, and who calls has asked for the room.
    unsafe {
        match (captures.get(place), whole) {
            (Some(Capture { start, extent: Extent::Length(length) }), _) => {
                push_bytes(state, &text[*start..start + length]);
            }
            (Some(Capture { start, extent: Extent::Position }), _) => {
                ffi::lua_pushinteger(state, *start as i64 + 1);
            }
            (Some(Capture { extent: Extent::Open, .. }), _) => fail(state, c"unfinished capture"),
            (None, Some((start, end))) if place == 0 => push_bytes(state, &text[start..end]),
            (None, _) => fail(state, c"invalid capture index"),
        }
    }
}

unsafe fn fail(state: *mut lua_State, reason: &CStr) -> ! {
    // SAFETY: the state is the one that runs.
    unsafe {
        ffi::luaL_error(state, c"%s".as_ptr(), reason.as_ptr());
    }
    unreachable!("an error leaves by a long jump")
}

/// A string among the arguments; it lives as long as it stays there.
unsafe fn argument<'a>(state: *mut lua_State, place: c_int) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: the state is the one that runs; a number is made a string in its place.
    unsafe {
        let start = ffi::luaL_checklstring(state, place, &mut length);
        std::slice::from_raw_parts(start.cast(), length)
    }
}

/// A pattern up to its first zero byte, where it ends in Lua 5.1.
fn ended(pattern: &[u8]) -> &[u8] {
    pattern.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A pattern without the mark by which it matches at the first place only, and whether that was there.
fn unanchored(pattern: &[u8]) -> (&[u8], bool) {
    pattern.strip_prefix(b"^").map_or((pattern, false), |rest| (rest, true))
}
