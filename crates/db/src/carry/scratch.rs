//! An engine for one key at a time, which turns the forms of a value into each other.

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::Value;

use super::content::Content;
use super::fill::{self, Words};
use super::reply::Kind;

/// The key that stands for whichever is at hand.
const KEY: &[u8] = b"k";
/// The time in the engine, in milliseconds: later than every delivery of an entry. Nothing there expires.
const NOW_MS: u64 = 253_402_300_799_000;
/// How much of a deleted value is freed at once; each round takes more of it than the last command made.
const FREE_BUDGET: usize = 4096;

/// Turns DUMP's payloads into contents and commands, and the other way round.
pub struct Scratch {
    engine: Engine,
    session: SessionId,
}

impl Default for Scratch {
    fn default() -> Self {
        let mut engine = Engine::new(Config { databases: 1, ..Config::default() });
        engine.effects().set_recording(false);
        let session = engine.open_session("scratch", now());
        Self { engine, session }
    }
}

impl Scratch {
    /// What a payload holds; none when it is of a later version, damaged, or of a module.
    pub fn content(&mut self, payload: &[u8]) -> Option<Content> {
        self.with(|this| {
            this.restore(payload)?;
            let Value::Simple(kind) = this.call(&[b"TYPE", KEY])? else { return None };
            let kind = Kind::by_name(&kind)?;
            let reply = this.call(&kind.question(KEY))?;
            kind.content(reply)
        })
    }

    /// The payload of a value, in the version that every Redis since 7.0 takes; none when it cannot be.
    pub fn payload(&mut self, content: &Content) -> Option<Vec<u8>> {
        self.with(|this| {
            for command in fill::commands(KEY, content) {
                let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
                this.call(&args)?;
            }
            match this.call(&[b"DUMP", KEY])? {
                Value::Bulk(payload) => Some(payload),
                _ => None,
            }
        })
    }

    /// The commands that make `key` with the value of a payload; none when that is not understood.
    pub fn commands(&mut self, key: &[u8], payload: &[u8]) -> Option<Vec<Words>> {
        self.with(|this| {
            this.restore(payload)?;
            let mut commands: Vec<Words> = Vec::new();
            this.engine.dump(|args| {
                if args[0] != b"SELECT" {
                    let word = |arg: &&[u8]| arg.to_vec();
                    commands.push(args.iter().map(word).collect());
                }
            });
            for command in &mut commands {
                // The name of the command and that of a subcommand cannot be the key's.
                let at = if command[0].eq_ignore_ascii_case(b"XGROUP") { 2 } else { 1 };
                command[at] = key.to_vec();
            }
            Some(commands)
        })
    }

    fn restore(&mut self, payload: &[u8]) -> Option<()> {
        self.call(&[b"RESTORE", KEY, b"0", payload]).map(drop)
    }

    /// Runs `work` on an empty engine, and empties it again.
    fn with<T>(&mut self, work: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let done = work(self);
        self.call(&[b"DEL", KEY]);
        while self.engine.next_due().is_some_and(|due| due <= now()) {
            self.engine.tick(now(), FREE_BUDGET);
        }
        done
    }

    /// The reply to a command; none for an error.
    fn call(&mut self, args: &[&[u8]]) -> Option<Value> {
        self.engine.execute(self.session, args, now()).reply.filter(|reply| !reply.is_error())
    }
}

fn now() -> Time {
    Time::from_millis(NOW_MS)
}

#[cfg(test)]
mod tests {
    use super::super::content::{Consumer, Group, Pending, Stream};
    use super::super::digest::Digest;
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    fn every_kind() -> Vec<Content> {
        let pending = |id: &str| Pending { id: id.into(), delivered_ms: 1_700_000_000_123, deliveries: 3 };
        let worker = Consumer { name: bytes("w1"), pending: vec![pending("2-1"), pending("4-1")] };
        let idle = Consumer { name: bytes("w2"), pending: Vec::new() };
        let group = Group {
            name: bytes("g"),
            last_id: "4-1".into(),
            entries_read: Some(3),
            consumers: vec![worker, idle],
        };
        let stream = Stream {
            last_id: "9-0".into(),
            entries_added: Some(7),
            max_deleted_id: Some("2-1".into()),
            entries: vec![
                ("1-1".into(), vec![bytes("f"), bytes("v")]),
                ("4-1".into(), vec![bytes("f"), vec![0, 255], bytes("g"), bytes("")]),
            ],
            groups: vec![group],
        };
        let empty = Stream { last_id: "5-5".into(), max_deleted_id: Some("5-5".into()), ..Stream::default() };
        vec![
            Content::String(vec![0, 159, 146, 150]),
            Content::List((0..500).map(|n| bytes(&n.to_string())).collect()),
            Content::Set(vec![bytes("a"), bytes("b")]),
            Content::Hash((0..300).map(|n| (bytes(&format!("f{n}")), bytes("v"))).collect()),
            Content::SortedSet(vec![
                (bytes("low"), f64::NEG_INFINITY),
                (bytes("a"), 0.1 + 0.2),
                (bytes("b"), 1e300),
                (bytes("high"), f64::INFINITY),
            ]),
            Content::Stream(stream),
            Content::Stream(Stream { entries_added: Some(1), ..empty }),
        ]
    }

    #[test]
    fn every_kind_goes_through_a_payload_and_back() {
        let mut scratch = Scratch::default();
        for content in every_kind() {
            let payload = scratch.payload(&content).expect("a value");
            let back = scratch.content(&payload).expect("the same value");
            assert_eq!(Digest::of(&back), Digest::of(&content), "{content:?} came back as {back:?}");
            if let Content::Stream(_) = content {
                assert_eq!(back, content, "all of a stream");
            }
        }
    }

    #[test]
    fn commands_make_the_same_value() {
        let mut scratch = Scratch::default();
        for content in every_kind() {
            let payload = scratch.payload(&content).expect("a value");
            let commands = scratch.commands(b"other", &payload).expect("commands");
            let mut engine = Engine::new(Config::default());
            let session = engine.open_session("test", now());
            for command in &commands {
                let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
                engine.replay(session, &args).expect("it fits");
            }
            let dumped = engine.execute(session, &[b"DUMP", b"other"], now()).reply;
            let Some(Value::Bulk(dumped)) = dumped else { panic!("{dumped:?}") };
            let back = scratch.content(&dumped).expect("a value");
            assert_eq!(Digest::of(&back), Digest::of(&content), "{commands:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_none() {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.content(b"nonsense"), None);
        let mut payload = scratch.payload(&Content::String(bytes("x"))).expect("a value");
        let last = payload.len() - 1;
        payload[last] ^= 1;
        assert_eq!(scratch.content(&payload), None);
        assert_eq!(scratch.commands(b"k", &payload), None);
    }
}
