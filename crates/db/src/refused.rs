//! What a session answers while a slow script holds the engine, and what follows from it later.
//!
//! Nothing of the engine can be looked at meanwhile, a session's transaction included. A command that never reached the
//! engine must not be missing from a transaction that then runs: that is remembered here until the engine is free.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use windlass_resp::Value;

use crate::busy::Busy;

const NOT_AUTHENTICATED: &str = "NOAUTH Authentication required.";
const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
const NO_TRANSACTION: &str = "ERR DISCARD without MULTI";

/// What a session missed.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    commands: AtomicU8,
    /// An EXEC, which ended the transaction before it.
    exec: AtomicBool,
}

const NOTHING: u8 = 0;
/// A command, which may belong to a transaction.
const COMMAND: u8 = 1;
/// The beginning of a transaction.
const MULTI: u8 = 2;

/// What is answered without the engine.
pub(crate) enum Refusal {
    Reply(Value),
    /// The database is to end, and no reply is due.
    Shutdown,
}

impl Missed {
    /// The answer to a command while a slow script runs.
    pub fn refuse(&self, args: &[&[u8]], busy: &Busy, is_authenticated: bool) -> Refusal {
        let is = |index: usize, word: &str| {
            args.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
        };
        if is(0, "QUIT") {
            return Refusal::Reply(Value::OK);
        }
        if !is_authenticated {
            let text = if is(0, "AUTH") || is(0, "HELLO") { busy.text() } else { NOT_AUTHENTICATED };
            return Refusal::Reply(Value::Error(text.into()));
        }
        let are = |first: &str, second: &str| args.len() == 2 && is(0, first) && is(1, second);
        if are("SHUTDOWN", "NOSAVE") {
            return Refusal::Shutdown;
        }
        let answer = if are("SCRIPT", "KILL") {
            busy.kill(false).map(|()| Value::OK)
        } else if are("FUNCTION", "KILL") {
            busy.kill(true).map(|()| Value::OK)
        } else if are("FUNCTION", "STATS") {
            Ok(running(busy))
        } else if let Some(reply) = self.after_multi(args, busy) {
            Ok(reply)
        } else if is(0, "EXEC") {
            self.commands.store(NOTHING, Ordering::Relaxed);
            self.exec.store(true, Ordering::Relaxed);
            return Refusal::Reply(Value::Error(
                format!("EXECABORT Transaction discarded because of: {}", busy.text()).into(),
            ));
        } else {
            let missed = if is(0, "MULTI") { MULTI } else { COMMAND };
            self.commands.fetch_max(missed, Ordering::Relaxed);
            Err(busy.text())
        };
        Refusal::Reply(answer.unwrap_or_else(|text| Value::Error(text.into())))
    }

    /// The answer to what belongs to a transaction whose MULTI was refused; none for all else.
    pub fn after_multi(&self, args: &[&[u8]], busy: &Busy) -> Option<Value> {
        if self.commands.load(Ordering::Relaxed) != MULTI {
            return None;
        }
        let is = |word: &str| args.first().is_some_and(|name| name.eq_ignore_ascii_case(word.as_bytes()));
        let text = if is("EXEC") {
            ABORTED
        } else if is("DISCARD") {
            NO_TRANSACTION
        } else if is("MULTI") || is("RESET") {
            self.commands.store(NOTHING, Ordering::Relaxed);
            return None;
        } else {
            return Some(Value::Error(busy.text().into()));
        };
        self.commands.store(NOTHING, Ordering::Relaxed);
        Some(Value::Error(text.into()))
    }

    /// True, once, when an EXEC was refused.
    pub fn take_exec(&self) -> bool {
        self.exec.load(Ordering::Relaxed) && self.exec.swap(false, Ordering::Relaxed)
    }

    /// True, once, when commands were refused that may belong to a transaction.
    pub fn take_command(&self) -> bool {
        self.commands.load(Ordering::Relaxed) == COMMAND
            && self.commands.swap(NOTHING, Ordering::Relaxed) == COMMAND
    }
}

/// FUNCTION STATS while a slow script runs; how many libraries there are only the engine could tell.
fn running(busy: &Busy) -> Value {
    let running = busy.function().map_or(Value::Nil, |(words, took_ms)| {
        let command = words.iter().map(Value::bulk).collect();
        Value::Map(vec![
            ("name".into(), words.get(1).map_or(Value::Nil, Value::bulk)),
            ("command".into(), Value::Array(command)),
            ("duration_ms".into(), Value::Integer(took_ms as i64)),
        ])
    });
    Value::Map(vec![("running_script".into(), running), ("engines".into(), Value::Map(Vec::new()))])
}
