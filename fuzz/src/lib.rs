//! What the targets share.

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::Value;

/// What a script of a target may compute: far less than a script of a user, so that none is slow.
const INSTRUCTIONS_MAX: u64 = 200_000;
/// What the data of a target may take.
const MEMORY_MAX: usize = 64 << 20;

/// An engine with one session.
pub struct Fuzzed {
    engine: Engine,
    session: SessionId,
}

impl Default for Fuzzed {
    fn default() -> Self {
        let config =
            Config { script_instructions_max: INSTRUCTIONS_MAX, memory_max: MEMORY_MAX, ..Config::default() };
        let mut engine = Engine::new(config);
        let session = engine.open_session("fuzz", Time::default());
        Self { engine, session }
    }
}

impl Fuzzed {
    /// Runs a command and answers its reply.
    ///
    /// # Panics
    /// When the command waits, which none of a target does.
    pub fn call(&mut self, args: &[&[u8]]) -> Value {
        let outcome = self.engine.execute(self.session, args, Time::default());
        outcome.reply.expect("no command of a target waits")
    }
}

/// Holds that what a function of scripts reads can be written by another, and is then read as the same. The first
/// writing may lose something: what is nested too deeply, and with it the length of a list that ends there.
///
/// # Panics
/// When it is another.
pub fn check_round_trip(bytes: &[u8], read: &str, write: &str) {
    let script = format!(
        "local is_read, value = pcall({read}, ARGV[1])
        if not is_read then return 'no' end
        local is_written, text = pcall({write}, value)
        if not is_written then return 'no' end
        text = {write}({read}(text))
        local again = {write}({read}(text))
        return #again == #text and 'same' or 'other'"
    );
    let reply = Fuzzed::default().call(&[b"EVAL", script.as_bytes(), b"0", bytes]);
    // Its budget may end a script.
    assert!(reply.is_error() || reply == Value::from("no") || reply == Value::from("same"), "{reply:?}");
}
