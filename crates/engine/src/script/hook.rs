//! The budget of a running script, counted in Lua instructions.
//!
//! Unsafe, and here alone: what `mlua` offers as a hook raises one error, and a script's `pcall` swallows one
//! error. Redis's answer is to switch, at the limit, to a hook on every line and instruction, so that whatever
//! catches the error meets the next one at once; for that the hook must be set from inside itself, on the thread
//! of Lua that is running, which takes the C interface.
#![allow(unsafe_code)]

use std::cell::Cell;

use mlua::{Lua, ffi};

/// Instructions between two looks at the meter: often enough to stop within microseconds, seldom enough to cost
/// nothing that could be measured.
const PERIOD: u32 = 10_000;

/// What a script spends, kept per thread: a script runs from its start to its end on one.
struct Meter {
    spent: Cell<u64>,
    limit: Cell<u64>,
    has_written: Cell<bool>,
    is_stopped: Cell<bool>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            spent: Cell::new(0),
            limit: Cell::new(u64::MAX),
            has_written: Cell::new(false),
            is_stopped: Cell::new(false),
        }
    };
}

/// Puts the hook in place. Threads of Lua that scripts make inherit it.
pub fn install(lua: &Lua) -> mlua::Result<()> {
    // SAFETY: `state` is the live state that `exec_raw` hands in, nothing is pushed on its stack, and `on_period`
    // keeps to what Lua allows a hook.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_sethook(state, Some(on_period), ffi::LUA_MASKCOUNT, PERIOD as i32);
        })
    }
}

/// Begins to count for a new script.
pub fn start(limit: u64) {
    METER.with(|meter| {
        meter.spent.set(0);
        meter.limit.set(limit);
        meter.has_written.set(false);
        meter.is_stopped.set(false);
    });
}

/// Counts work that was not done in Lua, in instructions that would take as long; false when the script must stop.
pub fn spend(instructions: u64) -> bool {
    METER.with(|meter| !meter.is_over(instructions))
}

/// Says that the script has written: from now on it may not be stopped, since half a move must not exist.
pub fn note_write() {
    METER.with(|meter| meter.has_written.set(true));
}

/// True once the script has been told to stop.
pub fn is_stopped() -> bool {
    METER.with(|meter| meter.is_stopped.get())
}

impl Meter {
    /// Counts; true when the script must stop.
    fn is_over(&self, instructions: u64) -> bool {
        self.spent.set(self.spent.get().saturating_add(instructions));
        if self.is_stopped.get() {
            return true;
        }
        let is_over = self.spent.get() > self.limit.get() && !self.has_written.get();
        self.is_stopped.set(is_over);
        is_over
    }
}

unsafe extern "C-unwind" fn on_period(state: *mut ffi::lua_State, _: *mut ffi::lua_Debug) {
    if METER.with(|meter| meter.is_over(u64::from(PERIOD))) {
        // SAFETY: Lua calls a hook with the state that runs. `luaL_error` leaves by a long jump: no value with a
        // destructor is alive in this function.
        unsafe {
            ffi::lua_sethook(state, Some(on_period), ffi::LUA_MASKCOUNT | ffi::LUA_MASKLINE, 1);
            ffi::luaL_error(state, c"the script is stopped".as_ptr());
        }
    }
}
