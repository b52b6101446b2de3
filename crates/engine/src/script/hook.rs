//! The budget of a running script, counted in Lua instructions.
//!
//! Unsafe, because what `mlua` offers as a hook raises one error, and a script's `pcall` swallows one
//! error. Redis's answer is to switch, at the limit, to a hook on every line and instruction, so that whatever
//! catches the error meets the next one at once; for that the hook must be set from inside itself, on the thread
//! of Lua that is running, which takes the C interface.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::Arc;

use mlua::Lua;
use mlua::ffi::{self, lua_Debug, lua_State};

use super::guard::ScriptGuard;

/// Instructions between two looks at the meter: often enough to stop soon, seldom enough to cost nothing that could be
/// measured.
const PERIOD: c_int = 1_000;

/// An instruction may pass over all that Lua has in memory, as `..` and `<` do with long strings: so from this memory on the
/// meter is looked at more often, but not after fewer instructions than so many.
const MEMORY_KB: c_int = 8 * 1024;
const PERIOD_MIN: c_int = 10;

/// Instructions between two questions to the guard, which may look at a clock.
const ASK_PERIOD: u64 = 10_000;

/// How many bytes are made or passed over, one by one, in the time of an instruction.
pub const BYTES_PER_INSTRUCTION: usize = 16;

/// What a script spends, kept per thread: a script runs from its start to its end on one.
struct Meter {
    spent: Cell<u64>,
    limit: Cell<u64>,
    /// What was spent since the guard was last asked.
    unasked: Cell<u64>,
    has_written: Cell<bool>,
    stop: Cell<Option<Stop>>,
    guard: RefCell<Option<Arc<dyn ScriptGuard>>>,
}

/// Why a script was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It spent its budget.
    Budget,
    /// The guard said so.
    Guard,
    /// Code of ours panicked on its behalf, which a script must not outlive.
    Panic,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            spent: Cell::new(0),
            limit: Cell::new(u64::MAX),
            unasked: Cell::new(0),
            has_written: Cell::new(false),
            stop: Cell::new(None),
            guard: RefCell::new(None),
        }
    };
}

/// Puts the hook in place. Threads of Lua that scripts make inherit it.
pub fn install(lua: &Lua) -> mlua::Result<()> {
    // SAFETY: `state` is the live state that `exec_raw` hands in, nothing is pushed on its stack, and `on_period`
    // keeps to what Lua allows a hook.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_sethook(state, Some(on_period), ffi::LUA_MASKCOUNT, PERIOD);
        })
    }
}

/// Begins to count for a new script, which the guard looks after if there is one.
pub fn start(limit: u64, guard: Option<&Arc<dyn ScriptGuard>>, function: Option<&[&[u8]]>) {
    METER.with(|meter| {
        meter.spent.set(0);
        meter.limit.set(limit);
        meter.unasked.set(0);
        meter.has_written.set(false);
        meter.stop.set(None);
        meter.guard.replace(guard.cloned());
    });
    if let Some(guard) = guard {
        guard.begin(function);
    }
}

/// Ends what [`start`] began.
pub fn end() {
    if let Some(guard) = METER.with(|meter| meter.guard.take()) {
        guard.end();
    }
}

/// Counts work that was not done in Lua, in instructions that would take as long; false when the script must stop.
pub fn spend(instructions: u64) -> bool {
    METER.with(|meter| !meter.is_over(instructions, instructions))
}

/// Asks before a write: after a true the script may not be stopped, since half a move must not exist; a false says that
/// it is stopped already.
pub fn may_write() -> bool {
    METER.with(|meter| {
        if !meter.has_written.get() && meter.stop.get().is_none() {
            let may = meter.guard.borrow().as_ref().is_none_or(|guard| guard.may_write());
            meter.has_written.set(may);
            meter.stop.set((!may).then_some(Stop::Guard));
        }
        meter.has_written.get()
    })
}

/// Stops the script, even one that has written, because code of ours panicked.
pub fn stop_for_panic() {
    METER.with(|meter| meter.stop.set(Some(Stop::Panic)));
}

/// Why the script has been told to stop, once it has.
pub fn stopped() -> Option<Stop> {
    METER.with(|meter| meter.stop.get())
}

impl Meter {
    /// Counts; true when the script must stop. The guard is asked after so long a `time`, in instructions.
    fn is_over(&self, instructions: u64, time: u64) -> bool {
        self.spent.set(self.spent.get().saturating_add(instructions));
        if self.stop.get().is_some() {
            return true;
        }
        // The guard is asked in any case: it has to see that a script which has written goes on.
        let is_told = self.ask(time);
        // Where inputs are made up no script may run for ever, and what it leaves half done is thrown away.
        if !self.has_written.get() || cfg!(fuzzing) {
            let is_spent = self.spent.get() > self.limit.get();
            self.stop.set(is_told.then_some(Stop::Guard).or(is_spent.then_some(Stop::Budget)));
        }
        self.stop.get().is_some()
    }

    /// Asks the guard, when enough time has passed, whether the script is to stop.
    fn ask(&self, time: u64) -> bool {
        let unasked = self.unasked.get().saturating_add(time);
        if unasked < ASK_PERIOD {
            self.unasked.set(unasked);
            return false;
        }
        self.unasked.set(0);
        self.guard.borrow().as_ref().is_some_and(|guard| guard.is_to_stop())
    }
}

unsafe extern "C-unwind" fn on_period(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: Lua calls a hook with the state that runs. `luaL_error` leaves by a long jump: no value with a destructor is
    // alive in this function.
    unsafe {
        let passed = ffi::lua_gethookcount(state);
        // After fewer instructions than usual as much time may have passed as in many.
        let time = if passed < PERIOD { ASK_PERIOD } else { passed as u64 };
        if METER.with(|meter| meter.is_over(passed as u64, time)) {
            ffi::lua_sethook(state, Some(on_period), ffi::LUA_MASKCOUNT | ffi::LUA_MASKLINE, 1);
            ffi::luaL_error(state, c"the script is stopped".as_ptr());
        }
        let period = PERIOD / (1 + ffi::lua_gc(state, ffi::LUA_GCCOUNT, 0) / MEMORY_KB);
        let period = period.max(PERIOD_MIN);
        if period != passed {
            ffi::lua_sethook(state, Some(on_period), ffi::LUA_MASKCOUNT, period);
        }
    }
}
