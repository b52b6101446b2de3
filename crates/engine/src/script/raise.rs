//! Errors that functions of ours raise in a script.
//!
//! `mlua` carries an error of Rust through Lua as a userdata. Where a script can catch one (`pcall`, `xpcall`,
//! `coroutine.resume`) the sandbox passes it through [`unwrap`], so that scripts see tables and strings only.

use mlua::{Lua, Value};

use super::hook::{self, BYTES_PER_INSTRUCTION};

/// What is raised.
#[derive(Debug, thiserror::Error)]
pub enum Raised {
    /// An error reply: a script sees a table with the field `err`.
    #[error("{0}")]
    Reply(String),
    /// An error of a library: a script sees a string with the place where it was raised.
    #[error("{0}")]
    Text(String),
}

/// How Redis tells that somebody killed a script.
pub const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";

/// An error reply; `text` has its prefix.
pub fn reply(text: impl Into<String>) -> mlua::Error {
    mlua::Error::external(Raised::Reply(text.into()))
}

/// An error of a library function, told with the line of the script that called it.
pub fn text(lua: &Lua, message: impl std::fmt::Display) -> mlua::Error {
    mlua::Error::external(Raised::Text(format!("{}{message}", place(lua))))
}

/// An error of Lua itself, which tells no line.
pub fn bare(message: &str) -> mlua::Error {
    mlua::Error::external(Raised::Text(message.to_owned()))
}

/// The error of a script that is to stop.
pub fn stopped() -> mlua::Error {
    bare("the script is stopped")
}

/// Counts work of a library in the script's budget.
///
/// # Errors
/// When the budget is spent.
pub fn spend(instructions: u64) -> mlua::Result<()> {
    if hook::spend(instructions) { Ok(()) } else { Err(stopped()) }
}

/// Counts text that a library reads or writes in the script's budget.
///
/// # Errors
/// When the budget is spent.
pub fn spend_bytes(count: usize) -> mlua::Result<()> {
    spend((count / BYTES_PER_INSTRUCTION) as u64)
}

/// The error for argument `position` of the function `name`, in Lua's words.
pub fn argument(lua: &Lua, name: &str, position: usize, reason: impl std::fmt::Display) -> mlua::Error {
    // Called by another function of C there is no name to tell, and Lua says so by a question mark.
    let place = place(lua);
    let name = if place.is_empty() { "?" } else { name };
    mlua::Error::external(Raised::Text(format!("{place}bad argument #{position} to '{name}' ({reason})")))
}

/// What a script sees of an error that it caught.
pub fn unwrap(lua: &Lua, caught: Value) -> mlua::Result<Value> {
    let Value::Error(error) = caught else { return Ok(caught) };
    match error.downcast_ref::<Raised>() {
        Some(Raised::Reply(text)) => {
            let table = lua.create_table_with_capacity(0, 1)?;
            table.raw_set("err", text.as_str())?;
            Ok(Value::Table(table))
        }
        Some(Raised::Text(text)) => lua.create_string(text).map(Value::String),
        None => lua.create_string(plain(&error)).map(Value::String),
    }
}

/// The message of an error of Lua's own, without its traceback.
pub fn plain(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => plain(cause),
        mlua::Error::MemoryError(_) => "not enough memory".into(),
        mlua::Error::RuntimeError(text) => text.split("\nstack traceback:").next().unwrap_or_default().into(),
        mlua::Error::StackError => "stack overflow".into(),
        other => other.to_string(),
    }
}

/// The place in the script that called the running function, as `name:line: `; empty when that was no Lua code.
fn place(lua: &Lua) -> String {
    let place = lua.inspect_stack(1, |debug| {
        let source = debug.source();
        debug.current_line().map(|line| format!("{}:{line}: ", source.short_src.unwrap_or_default()))
    });
    place.flatten().unwrap_or_default()
}
