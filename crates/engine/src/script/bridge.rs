//! How a script is entered, and how it calls a command.
//!
//! Unsafe, as are `push` and `convert`: by the safe interface of `mlua` each value that crosses is anchored, each call
//! guarded and each error carried as an object of Rust, which takes several times as long as the commands themselves.
//! These are the rules by which what is here is sound.
//!
//! - A function of Lua that may fail leaves by a long jump. Where one is called, no frame of ours below the protected
//!   call holds a value with a destructor: what owns memory, as a reply on its way does, rests on the [`Desk`].
//! - Functions of Lua are called only within a protected call, or where they cannot fail: where they allocate nothing, or
//!   without the limit of memory, since without it `mlua`'s allocator ends the process before it fails.
//! - A panic crosses no frame of C: [`guarded`] keeps it, the script is stopped, and it goes on when the script has
//!   ended.
//! - There is room on the stack for what is pushed: Lua gives a function twenty places, and more are asked for.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::ffi::{self, lua_State};
use mlua::{Function, IntoLua, Lua};
use windlass_resp::{Protocol, Value};

use super::convert::{Names, text};
use super::hook::BYTES_PER_INSTRUCTION;
use super::machine::Code;
use super::redis::{NO_ARGUMENT, NO_WORD};
use super::scene::{NO_SCENE, with_scene};
use super::{hook, push};
use crate::args::Args;
use crate::error::{Error, Result};

/// What a command counts in the budget of the script that calls it, besides its arguments, in instructions of Lua.
const CALL_COST: u64 = 100;

/// The most arguments of a command that are listed without an allocation.
const LISTED_MAX: usize = 16;

/// How many places of the stack a start needs: a handler, a function, its argument or result, and one to spare.
const PLACES: c_int = 4;

/// What one call of a script leaves for the next step, out of the reach of long jumps. One for each thread, as the meter.
struct Desk {
    /// The reply that is being handed to Lua.
    reply: UnsafeCell<Value>,
    is_typed: Cell<bool>,
    /// The text of numbers among the arguments, kept for its capacity: of each its length and its digits.
    digits: Cell<Vec<u8>>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

thread_local! {
    static DESK: Desk = const {
        Desk {
            reply: UnsafeCell::new(Value::Nil),
            is_typed: Cell::new(false),
            digits: Cell::new(Vec::new()),
            panic: Cell::new(None),
        }
    };
}

/// A value that Lua keeps for us, by its place in the registry of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept(c_int);

impl Kept {
    /// Pushes the value, which takes no memory.
    ///
    /// # Safety
    /// The state must be one of the Lua that keeps the value, with a free place on its stack.
    pub unsafe fn push(self, state: *mut lua_State) {
        // SAFETY: as this function's.
        unsafe { ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, self.0) }
    }
}

/// What enters scripts. It belongs to one Lua state.
pub struct Bridge {
    state: *mut lua_State,
    enter: Kept,
    on_error: Kept,
    run: Kept,
    call: Kept,
    names: Names,
}

// SAFETY: the state is that of the `Lua` beside which the machine keeps the bridge, and goes from thread to thread with
// it; `mlua` is built so that its states may. Nobody uses it at the same time: the machine's owner has it by `&mut`.
unsafe impl Send for Bridge {}

/// What a script is started with; `enter` finds it by a pointer.
struct Start<'a> {
    run: Kept,
    code: Kept,
    keys: &'a [&'a [u8]],
    argv: &'a [&'a [u8]],
}

impl Bridge {
    /// A bridge into `lua`; `run` calls a script with its keys and arguments and `call` a function of a library,
    /// `on_error` sees what they raise.
    pub fn new(lua: &Lua, run: Function, call: Function, on_error: Function) -> mlua::Result<Self> {
        let mut main = std::ptr::null_mut();
        // SAFETY: the closure only looks at the state. More places on the stack of a state that runs nothing stay there.
        unsafe { lua.exec_raw::<()>((), |state| main = state)? };
        // SAFETY: `enter` keeps to what it is given by `start`, and nothing else of Lua can reach it.
        let enter = unsafe { lua.create_c_function(enter)? };
        // SAFETY: there is no limit of memory yet, so that this cannot fail; what is asked for at the bottom of the stack
        // is there from now on, since a stack shrinks no further than to what is promised.
        assert!(unsafe { ffi::lua_checkstack(main, PLACES) } != 0, "a fresh state has room on its stack");
        let names = Names::new(lua)?;
        let (enter, on_error) = (keep(lua, enter)?, keep(lua, on_error)?);
        let (run, call) = (keep(lua, run)?, keep(lua, call)?);
        Ok(Self { state: main, enter, on_error, run, call, names })
    }

    /// Runs a script or a function, and then `finish` on what it left; or answers the message of the error that ended it.
    pub fn run<R>(
        &self,
        code: Code<'_>,
        (keys, argv): (&[&[u8]], &[&[u8]]),
        finish: impl FnOnce(Left<'_>) -> R,
    ) -> std::result::Result<R, String> {
        let (run, code) = match code {
            Code::Script(script) => (self.run, script),
            Code::Function(function, _) => (self.call, function),
        };
        let start = Start { run, code, keys, argv };
        let state = self.state;
        // SAFETY: the state lives as long as the machine, which is at rest: `new` saw to the places that are used here,
        // nothing allocates before the protected call, and `start` outlives it.
        unsafe {
            let top = ffi::lua_gettop(state);
            self.on_error.push(state);
            self.enter.push(state);
            ffi::lua_pushlightuserdata(state, std::ptr::from_ref(&start).cast_mut().cast());
            let answer = match ffi::lua_pcall(state, 1, 1, top + 1) {
                ffi::LUA_OK => Ok(finish(Left(self))),
                _ => Err(text(state, -1).map(|text| String::from_utf8_lossy(text).into_owned())),
            };
            ffi::lua_settop(state, top);
            answer.map_err(Option::unwrap_or_default)
        }
    }
}

/// The result of a script, still on the stack.
pub struct Left<'a>(&'a Bridge);

impl Left<'_> {
    /// True when reading it allocates nothing in Lua.
    pub fn is_plain(&self) -> bool {
        // SAFETY: `run` has the result on the top of the stack.
        unsafe { ffi::lua_type(self.0.state, -1) != ffi::LUA_TTABLE }
    }

    /// The reply that it stands for. What is not plain is read without a limit of memory.
    ///
    /// # Errors
    /// When it is too deep or too large.
    pub fn reply(self, protocol: Protocol) -> Result<Value> {
        // SAFETY: `run` has the result on the top of the stack, and without a limit nothing that reads it can fail.
        unsafe { self.0.names.reply(self.0.state, protocol) }
    }
}

/// Has Lua keep a value.
pub fn keep(lua: &Lua, value: impl IntoLua) -> mlua::Result<Kept> {
    let mut place = ffi::LUA_NOREF;
    // SAFETY: the value is on the stack, from which `luaL_ref` takes it, and `exec_raw` protects the call.
    unsafe {
        lua.exec_raw::<()>(value.into_lua(lua)?, |state| {
            place = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX)
        })?
    };
    Ok(Kept(place))
}

/// Lets go of a value that [`keep`] kept in the same `lua`. It must not be used again.
pub fn forget(lua: &Lua, value: Kept) {
    // SAFETY: `exec_raw` protects the call.
    let done =
        unsafe { lua.exec_raw::<()>((), |state| ffi::luaL_unref(state, ffi::LUA_REGISTRYINDEX, value.0)) };
    // Setting a place that is there takes no memory.
    done.expect("a place that is there can be given back");
}

/// `redis.call`: the error of a command is raised.
pub fn call(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the function takes any arguments in any state.
    unsafe { lua.create_c_function(redis_call) }
}

/// `redis.pcall`: the error of a command is returned.
pub fn pcall(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the function takes any arguments in any state.
    unsafe { lua.create_c_function(redis_pcall) }
}

/// Lua's `pcall` and `xpcall`. Those that come with Lua push their verdict after the call, when its results may have
/// filled the stack to its last place; Lua built with checks ends the process there.
pub fn protected(lua: &Lua) -> mlua::Result<(Function, Function)> {
    // SAFETY: the functions take any arguments in any state.
    unsafe { Ok((lua.create_c_function(lua_pcall)?, lua.create_c_function(lua_xpcall)?)) }
}

/// Does `work` for a script; if it panics the script is stopped, and [`resume_panic`] goes on with the panic.
pub fn guarded<R>(work: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| {
            DESK.with(|desk| desk.panic.set(Some(panic)));
            hook::stop_for_panic();
        })
        .ok()
}

/// Goes on with a panic that ended a script.
pub fn resume_panic() {
    if let Some(panic) = DESK.with(|desk| desk.panic.take()) {
        std::panic::resume_unwind(panic);
    }
}

/// Calls `run` with a script or a function, its keys and its arguments.
unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: `Bridge::run` gives a pointer to a start that outlives the call. No value here has a destructor.
    unsafe {
        let start = &*ffi::lua_touserdata(state, 1).cast::<Start<'_>>();
        start.run.push(state);
        start.code.push(state);
        push::push_list(state, start.keys);
        push::push_list(state, start.argv);
        ffi::lua_call(state, 3, 1);
        1
    }
}

unsafe extern "C-unwind" fn redis_call(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs. No value here has a destructor.
    unsafe {
        let has_failed = answer(state);
        if has_failed {
            ffi::lua_error(state);
        }
        1
    }
}

unsafe extern "C-unwind" fn redis_pcall(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs. No value here has a destructor.
    unsafe {
        answer(state);
        1
    }
}

/// Runs a command and pushes its reply; true for an error.
unsafe fn answer(state: *mut lua_State) -> bool {
    // SAFETY: the arguments are those of the running function. What owns memory is on the desk when Lua may jump, and
    // nothing else uses the desk meanwhile: pushing a value runs no code of a script.
    unsafe {
        if !guarded(|| execute(state)).unwrap_or(false) {
            push::raise_stopped(state);
        }
        let (reply, is_typed) = DESK.with(|desk| (desk.reply.get(), desk.is_typed.get()));
        push::push(state, &*reply, is_typed);
        let has_failed = (*reply).is_error();
        *reply = Value::Nil;
        has_failed
    }
}

/// Runs the command that the arguments are and leaves its reply on the desk; false when the script must stop.
///
/// # Safety
/// The stack must hold the arguments of the running function and nothing else.
unsafe fn execute(state: *mut lua_State) -> bool {
    DESK.with(|desk| {
        let mut digits = desk.digits.take();
        // SAFETY: as this function's; strings on the stack stay where they are while it holds them, and nothing that is
        // called here can fail.
        let (reply, protocol) = unsafe {
            let count = ffi::lua_gettop(state) as usize;
            let (mut few, mut many) = ([&[][..]; LISTED_MAX], Vec::new());
            let words = match few.get_mut(..count) {
                Some(words) => words,
                None => {
                    many.resize(count, &[][..]);
                    &mut many[..]
                }
            };
            let listed = list(state, words, &mut digits);
            let bytes = *listed.as_ref().unwrap_or(&0);
            if !hook::spend(CALL_COST + (bytes / BYTES_PER_INSTRUCTION) as u64) {
                return false;
            }
            match listed {
                Ok(_) => perform(Args(words)),
                Err(error) => (error.into(), Protocol::Resp2),
            }
        };
        digits.clear();
        desk.digits.set(digits);
        desk.is_typed.set(protocol == Protocol::Resp3);
        // SAFETY: the desk lends its reply to nobody but to `answer`, which is not at it.
        unsafe { *desk.reply.get() = reply };
        true
    })
}

/// Runs a command; answers its reply and the protocol in whose terms the script wants it.
fn perform(args: Args<'_>) -> (Value, Protocol) {
    let done = with_scene(|scene| (scene.execute(args).unwrap_or_else(Value::from), scene.session.protocol));
    done.unwrap_or_else(|| (Error::new(NO_SCENE).into(), Protocol::Resp2))
}

/// Lists the arguments of the running function as those of a command; answers how many bytes of text they are.
unsafe fn list<'a>(state: *mut lua_State, words: &mut [&'a [u8]], digits: &'a mut Vec<u8>) -> Result<usize> {
    if words.is_empty() {
        return Err(Error::new(NO_ARGUMENT));
    }
    let mut bytes = 0;
    // SAFETY: there are as many arguments as words, and a string among them lives until the function returns.
    unsafe {
        for (word, place) in words.iter_mut().zip(1..) {
            match ffi::lua_type(state, place) {
                ffi::LUA_TSTRING => {
                    *word = text(state, place).unwrap_or_default();
                    bytes += word.len();
                }
                ffi::LUA_TNUMBER => push::write_number(ffi::lua_tonumber(state, place), digits),
                _ => return Err(Error::new(NO_WORD)),
            }
        }
        let mut digits = &digits[..];
        if !digits.is_empty() {
            for (word, place) in words.iter_mut().zip(1..) {
                if ffi::lua_type(state, place) == ffi::LUA_TNUMBER {
                    let (length, rest) = digits.split_first().expect("each number was written");
                    (*word, digits) = rest.split_at(usize::from(*length));
                }
            }
        }
    }
    Ok(bytes)
}

unsafe extern "C-unwind" fn lua_pcall(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs. No value here has a destructor.
    unsafe {
        ffi::luaL_checkany(state, 1);
        let given = ffi::lua_gettop(state) - 1;
        // The verdict has its place before the call, and beside a lone error there is room for another.
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if ffi::lua_pcall(state, given, ffi::LUA_MULTRET, 0) != ffi::LUA_OK {
            ffi::lua_pushboolean(state, 0);
            ffi::lua_replace(state, 1);
        }
        ffi::lua_gettop(state)
    }
}

unsafe extern "C-unwind" fn lua_xpcall(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs. No value here has a destructor.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_insert(state, 1);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 2);
        if ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1) != ffi::LUA_OK {
            ffi::lua_pushboolean(state, 0);
            ffi::lua_replace(state, 2);
        }
        ffi::lua_gettop(state) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_kept_until_the_script_has_ended() {
        hook::start(u64::MAX, None, None);
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!((hook::stopped(), hook::spend(1)), (None, true));
        assert_eq!(guarded(|| -> u8 { panic!("a broken invariant") }), None);
        assert_eq!((hook::stopped(), hook::spend(1)), (Some(hook::Stop::Panic), false));
        let panic = catch_unwind(resume_panic).expect_err("it goes on");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a broken invariant"));
        hook::start(u64::MAX, None, None);
        resume_panic();
    }
}
