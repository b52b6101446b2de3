//! Lua scripts, run as Redis 7.0 runs them.
//!
//! In reading order: `cache` knows scripts by their digest, `machine` holds the Lua state and runs one,
//! `sandbox.lua` is what the machine shows to scripts, `function` and `functions.lua` load libraries of functions, `scene`
//! is what a running script works on, `redis` and `library` are the functions that scripts call, `standard` those of Lua itself, `bridge` is how a script
//! is entered and calls a command, `push` and `convert` carry values between the two worlds, `raise` the errors, `hook`
//! stops a script that runs for too long, and `guard` lets others see and stop it. Deliberately absent: a clock (the
//! budget is a number of instructions), a debugger, and everything through which Lua reaches files or the process.

mod arguments;
mod bridge;
mod cache;
mod convert;
mod function;
mod guard;
mod hook;
mod library;
mod machine;
mod push;
mod raise;
mod redis;
mod scene;
mod source;
mod standard;

pub use cache::{Digest, Invocation, Scripts};
pub use function::Loaded;
pub use guard::ScriptGuard;
pub use scene::Scene;
