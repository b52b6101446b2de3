//! One engine that is compared with another.

use windlass::broker::hot_scripts;
use windlass_engine::{Config, Delivery, Engine, SessionId, Time};
use windlass_resp::Value;

use crate::script::words;

/// The scripts' digests, in the order of [`hot_scripts`].
pub type Digests = [String; 6];

/// An engine with native bodies or without.
pub struct Subject {
    pub engine: Engine,
    pub worker: SessionId,
    /// A session that waits for marks.
    pub idle: SessionId,
    /// A session that only looks.
    viewer: SessionId,
}

/// What one call led to.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub reply: Option<Value>,
    pub deliveries: Vec<Delivery>,
    pub effects: String,
}

impl Subject {
    pub fn new(native_scripts: bool, now: Time) -> Self {
        let mut engine = Engine::new(Config { native_scripts, ..Config::default() });
        engine.effects().set_recording(true);
        let worker = engine.open_session("worker", now);
        let idle = engine.open_session("idle", now);
        let viewer = engine.open_session("viewer", now);
        Self { engine, worker, idle, viewer }
    }

    /// Loads the scripts; answers their digests.
    pub fn load(&mut self, now: Time) -> Digests {
        hot_scripts().map(|text| {
            let load = ["SCRIPT".to_owned(), "LOAD".to_owned(), text.to_owned()];
            match self.call(self.worker, &load, now).reply {
                Some(Value::Bulk(digest)) => String::from_utf8(digest).expect("a digest is text"),
                other => panic!("the script is not well-formed: {other:?}"),
            }
        })
    }

    pub fn call(&mut self, session: SessionId, args: &[String], now: Time) -> Answer {
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let outcome = self.engine.execute(session, &args, now);
        let effects = String::from_utf8(self.engine.effects().take()).expect("all arguments are text");
        Answer { reply: outcome.reply, deliveries: outcome.deliveries, effects }
    }

    pub fn tick(&mut self, now: Time) -> Answer {
        let deliveries = self.engine.tick(now, 2);
        let effects = String::from_utf8(self.engine.effects().take()).expect("all arguments are text");
        Answer { reply: None, deliveries, effects }
    }

    /// How many commands ran, those that scripts called among them.
    pub fn commands(&mut self, now: Time) -> u64 {
        let Some(Value::Verbatim(_, info)) = self.call(self.viewer, &words("INFO stats"), now).reply else {
            panic!("INFO answers text")
        };
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|number| number.parse().ok()).expect("INFO counts commands")
    }
}
