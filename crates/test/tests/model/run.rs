//! Runs a sequence on the engine and on the model.

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::{Protocol, Value, encode};
use windlass_test::content::{compare, replayed, restored};
use windlass_test::fixture::{Reader, notation};

use crate::state::{Model, START_MS};
use crate::table::Command;

/// How much one tick may do; small, so that going on in the next tick is tested, too.
const TICK_BUDGET: usize = 2;

/// The commands whose replies are in no order.
const UNORDERED: &[&str] = &["KEYS", "HKEYS", "HVALS", "SMEMBERS", "SINTER", "SUNION", "SDIFF"];

/// Runs a sequence.
///
/// # Errors
/// The first difference, in words.
pub fn check(commands: &[Command]) -> Result<(), String> {
    let mut subject = Subject::new();
    let mut model = Model::new();
    for (at, command) in commands.iter().enumerate() {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        match command[0] {
            "@pass" => model.now_ms += command[1].parse::<u64>().expect("the table has numbers"),
            "@tick" => subject.tick(model.now_ms),
            _ => {
                // EXEC answers commands that the model forgets as it runs them.
                let queued = model.queued_names();
                let got = canonical(command[0], &queued, subject.execute(&command, model.now_ms));
                let expected = canonical(command[0], &queued, model.run(&command, got == Value::Nil));
                if got != expected {
                    let (got, expected) = (notation::render(&got), notation::render(&expected));
                    return Err(format!("command {at}, {command:?}, is answered\n{got}, not\n{expected}"));
                }
            }
        }
    }
    subject.end(model.now_ms)
}

/// The engine, with its log.
struct Subject {
    engine: Engine,
    session: SessionId,
}

impl Subject {
    fn new() -> Self {
        let mut engine = Engine::new(Config { seed: 1, ..Config::default() });
        engine.effects().set_recording(true);
        let session = engine.open_session("model", Time::from_millis(START_MS));
        Self { engine, session }
    }

    fn execute(&mut self, command: &[&str], now_ms: u64) -> Value {
        let args: Vec<&[u8]> = command.iter().map(|arg| arg.as_bytes()).collect();
        let outcome = self.engine.execute(self.session, &args, Time::from_millis(now_ms));
        outcome.reply.expect("nothing waits")
    }

    fn tick(&mut self, now_ms: u64) {
        self.engine.tick(Time::from_millis(now_ms), TICK_BUDGET);
    }

    /// Compares what the engine holds with what its log and its dump lead to, before and after everything that is
    /// due was done.
    fn end(mut self, now_ms: u64) -> Result<(), String> {
        let now = Time::from_millis(now_ms);
        let mut log = Vec::new();
        for _ in 0..2 {
            self.engine.effects().append_to(&mut log);
            let reason = |origin: &'static str| {
                let log = log.escape_ascii().to_string();
                move |difference| format!("the {origin} leads to another state: {difference}\n{log}")
            };
            compare(&self.engine, &replayed(&log)?).map_err(reason("log"))?;
            compare(&self.engine, &restored(&self.engine)?).map_err(reason("dump"))?;
            while self.engine.next_due().is_some_and(|due| due <= now) {
                self.tick(now_ms);
            }
        }
        Ok(())
    }
}

/// A reply as RESP2 has it, sorted where Redis promises no order. `queued` are the commands that an EXEC answers.
fn canonical(name: &str, queued: &[String], reply: Value) -> Value {
    let mut bytes = Vec::new();
    encode(&reply, Protocol::Resp2, &mut bytes);
    let reply = Reader::new(bytes.as_slice()).read().expect("it was just written").expect("it is one value");
    sorted(name, queued, reply)
}

fn sorted(name: &str, queued: &[String], reply: Value) -> Value {
    let by_text = notation::render;
    match reply {
        Value::NilArray => Value::Nil,
        Value::Array(items) if name == "EXEC" => {
            assert_eq!(items.len(), queued.len(), "a reply for each command");
            Value::Array(queued.iter().zip(items).map(|(name, item)| sorted(name, &[], item)).collect())
        }
        Value::Array(mut items) if UNORDERED.contains(&name) => {
            items.sort_by_key(by_text);
            Value::Array(items)
        }
        Value::Array(items) if name == "HGETALL" => {
            let mut pairs: Vec<_> = items.chunks(2).map(|pair| Value::Array(pair.to_vec())).collect();
            pairs.sort_by_key(by_text);
            Value::Array(pairs)
        }
        other => other,
    }
}
