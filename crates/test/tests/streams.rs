//! Random commands on streams: Redis must give the same replies, and a replay of what the engine logged and of what
//! it dumps must lead to the same state, in the engine and in Redis.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use windlass_db::faults::Random;
use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::Value;
use windlass_test::fixture::{Target, WireTarget, notation, run};
use windlass_test::redis_server::RedisServer;

const SEEDS: std::ops::Range<u64> = 0..12;
const COMMANDS: usize = 400;
/// Everything that is known of the streams, by commands whose replies do not depend on the clock once
/// [`without_clock`] is through with them.
const LOOKS: &[&str] = &[
    "XINFO STREAM s FULL COUNT 0",
    "XINFO STREAM t FULL COUNT 0",
    "XINFO STREAM s",
    "XINFO GROUPS s",
    "XINFO GROUPS t",
    "XINFO CONSUMERS s g",
    "XPENDING s g",
    "XPENDING s g - + 100",
];

/// Makes commands whose replies do not depend on the clock.
struct Script {
    random: Random,
    last_ms: usize,
}

impl Script {
    fn id(&mut self) -> String {
        let ms = self.random.below(self.last_ms + 2);
        match self.random.below(4) {
            0 => format!("{ms}"),
            _ => format!("{ms}-{}", self.random.below(3)),
        }
    }

    fn ids(&mut self) -> String {
        let count = 1 + self.random.below(6);
        (0..count).map(|_| self.id()).collect::<Vec<_>>().join(" ")
    }

    fn bound(&mut self, open: &str) -> String {
        match self.random.below(4) {
            0 => open.to_owned(),
            1 => format!("({}", self.id()),
            _ => self.id(),
        }
    }

    fn command(&mut self) -> String {
        let key = self.random.pick(&["s", "s", "s", "t"]);
        let group = self.random.pick(&["g", "g", "h"]);
        let consumer = self.random.pick(&["alice", "bob", "carol"]);
        let (count, id) = (self.random.below(5), self.id());
        match self.random.below(40) {
            0..=10 => {
                self.last_ms += self.random.below(2);
                let trim = match self.random.below(12) {
                    0 => format!("MAXLEN {} ", self.random.below(12)),
                    1 => format!("MINID = {id} "),
                    2 => format!("MAXLEN ~ {} ", self.random.below(12)),
                    _ => String::new(),
                };
                let make = self.random.pick(&["", "", "NOMKSTREAM "]);
                let seq = self.random.pick(&["*", "*", "1", "2"]);
                format!("XADD {key} {make}{trim}{}-{seq} field {count} other value{id}", self.last_ms)
            }
            11 => format!("XTRIM {key} MAXLEN {}", self.random.below(20)),
            12 => format!("XTRIM {key} MINID {id}"),
            13..=15 => format!("XDEL {key} {}", self.ids()),
            16 => format!("XRANGE {key} {} {} COUNT {count}", self.bound("-"), self.bound("+")),
            17 => format!("XREVRANGE {key} {} {}", self.bound("+"), self.bound("-")),
            18 => format!("XREAD COUNT {count} STREAMS s t {id} {}", self.id()),
            19..=23 => format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS {key} >"),
            24 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT {count} STREAMS {key} >"),
            25 => format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS {key} {id}"),
            26..=27 => format!("XACK {key} {group} {}", self.ids()),
            28 => format!(
                "XGROUP CREATE {key} {group} {} {}",
                self.random.pick(&["0", "$", "3-1"]),
                self.random.pick(&["", "MKSTREAM", "ENTRIESREAD 2"])
            ),
            29 => match self.random.below(3) {
                0 => format!("XGROUP SETID {key} {group} {id} ENTRIESREAD {count}"),
                1 => format!("XGROUP SETID {key} {group} {id}"),
                _ => format!("XGROUP SETID {key} {group} $"),
            },
            30 => match self.random.below(4) {
                0 => format!("XGROUP DESTROY {key} {group}"),
                1 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
                _ => format!("XGROUP CREATECONSUMER {key} {group} {consumer}"),
            },
            31..=33 => {
                let idle = self.random.pick(&["0", "0", "3600000"]);
                let (force, just) = (self.random.pick(&["", "FORCE"]), self.random.pick(&["", "JUSTID"]));
                let more = match self.random.below(5) {
                    0 => format!("RETRYCOUNT {count}"),
                    1 => "TIME 5000".to_owned(),
                    2 => format!("LASTID {id}"),
                    _ => String::new(),
                };
                format!("XCLAIM {key} {group} {consumer} {idle} {} {force} {just} {more}", self.ids())
            }
            34..=35 => {
                let idle = self.random.pick(&["0", "3600000"]);
                let just = self.random.pick(&["", "JUSTID"]);
                format!("XAUTOCLAIM {key} {group} {consumer} {idle} {id} COUNT {count} {just}")
            }
            36 => format!("XPENDING {key} {group} IDLE 3600000 - + {count} {consumer}"),
            37 => format!("XPENDING {key} {group} {} {} {count}", self.bound("-"), self.bound("+")),
            // Never below what was deleted: no command can say that of a stream with entries, so no dump could.
            38 => format!("XSETID {key} {}-5 ENTRIESADDED 1000", self.last_ms),
            _ => self.random.pick(LOOKS).to_owned(),
        }
    }
}

struct Subject {
    engine: Engine,
    session: SessionId,
    now: Time,
}

impl Subject {
    fn new() -> Self {
        let mut engine = Engine::new(Config::default());
        engine.effects().set_recording(true);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
        // A little in the past, so that Redis takes no delivery time for one of the future.
        let now = Time::from_millis(since_epoch.as_millis() as u64 - 60_000);
        let session = engine.open_session("test", now);
        Self { engine, session, now }
    }

    fn execute(&mut self, command: &str) -> Value {
        let args: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        self.engine.execute(self.session, &args, self.now).reply.expect("nothing waits")
    }

    fn replay(&mut self, args: &[&[u8]]) {
        self.engine.replay(self.session, args).unwrap_or_else(|error| panic!("{error}: {args:?}"));
    }

    /// The replies to [`LOOKS`].
    fn look(&mut self) -> Vec<String> {
        LOOKS.iter().map(|look| notation::render(&without_clock(self.execute(look)))).collect()
    }

    /// What was logged, as commands.
    fn effects(&mut self) -> Vec<Vec<Vec<u8>>> {
        requests(&self.engine.effects().take())
    }

    fn dump(&self) -> Vec<Vec<Vec<u8>>> {
        let mut commands = Vec::new();
        self.engine.dump(|args| commands.push(args.iter().map(|arg| arg.to_vec()).collect()));
        commands
    }
}

/// Requests as they stand in a log.
fn requests(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    fn number(bytes: &mut &[u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\r').expect("a line ends");
        let number = std::str::from_utf8(&bytes[1..end]).ok().and_then(|text| text.parse().ok());
        *bytes = &bytes[end + 2..];
        number.expect("a number")
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let mut args = Vec::new();
        for _ in 0..number(&mut bytes) {
            let len = number(&mut bytes);
            args.push(bytes[..len].to_vec());
            bytes = &bytes[len + 2..];
        }
        all.push(args);
    }
    all
}

/// The reply with `?` in place of what depends on the clock or on how Redis stores streams, and without maps, which
/// Redis answers only in RESP3.
fn without_clock(reply: Value) -> Value {
    const ANYTHING: Value = Value::Simple(std::borrow::Cow::Borrowed("?"));
    const VAGUE: &[&str] = &["radix-tree-keys", "radix-tree-nodes", "idle", "seen-time"];
    match reply {
        Value::Map(pairs) => {
            let pairs = pairs.into_iter().flat_map(|(name, value)| {
                let is_vague = VAGUE.iter().any(|vague| name == Value::from(*vague));
                let value = if is_vague { ANYTHING } else { without_clock(value) };
                [name, value]
            });
            Value::Array(pairs.collect())
        }
        Value::Array(mut items) => {
            // A row of XPENDING, or of what XINFO shows as pending: three or four, the last two of them numbers.
            let is_row = matches!(items.len(), 3 | 4)
                && items[items.len() - 2..].iter().all(|item| matches!(item, Value::Integer(_)));
            if is_row {
                let at = items.len() - 2;
                items[at] = ANYTHING;
            }
            Value::Array(items.into_iter().map(without_clock).collect())
        }
        other => other,
    }
}

/// A fixture's line for a command of any bytes.
fn command_line(args: &[Vec<u8>]) -> String {
    let quoted = args.iter().map(|arg| notation::render(&Value::bulk(arg)));
    format!("> {}\n", quoted.collect::<Vec<_>>().join(" "))
}

fn expected_line(reply: &str) -> String {
    format!("{}\n", reply.replace("+?", "?"))
}

/// Runs a text in the form of a fixture against Redis.
fn check_with_redis(text: &str) {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(text.as_bytes()).expect("a temporary file can be written");
    let mut target = Target::Wire(WireTarget::connect(server.address(), true).expect("the server listens"));
    let (steps, mismatches) = run(&mut target, &[file.path().to_owned()]);
    assert!(steps > 0);
    let shown: Vec<_> = mismatches.iter().take(12).cloned().collect();
    assert!(shown.is_empty(), "{} of {steps} steps differ:\n{}", mismatches.len(), shown.join("\n"));
}

/// Runs a random script of commands; `each` sees command and reply.
fn play(seed: u64, mut each: impl FnMut(&str, Value)) -> Subject {
    let mut subject = Subject::new();
    let mut script = Script { random: Random::new(seed), last_ms: 1 };
    for _ in 0..COMMANDS {
        let command = script.command();
        let reply = subject.execute(&command);
        each(&command, without_clock(reply));
    }
    subject
}

#[test]
fn random_commands_get_the_same_replies_from_redis() {
    let mut text = String::new();
    for seed in SEEDS {
        writeln!(text, "== seed {seed}").expect("a string grows");
        play(seed, |command, reply| {
            writeln!(text, "> {command}").expect("a string grows");
            text += &expected_line(&notation::render(&reply));
        });
    }
    check_with_redis(&text);
}

#[test]
fn effects_and_dump_lead_to_the_same_state() {
    let mut text = String::new();
    for seed in SEEDS {
        let mut subject = play(seed, |_, _| {});
        let (state, effects, dump) = (subject.look(), subject.effects(), subject.dump());
        for (commands, origin) in [(&effects, "effects"), (&dump, "dump")] {
            let mut other = Subject::new();
            writeln!(text, "== seed {seed}, {origin}").expect("a string grows");
            for args in commands {
                let args_of: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                other.replay(&args_of);
                text += &command_line(args);
                text += "?\n";
            }
            assert_eq!(other.look(), state, "seed {seed}, {origin}");
            for (look, reply) in LOOKS.iter().zip(&state) {
                writeln!(text, "> {look}").expect("a string grows");
                text += &expected_line(reply);
            }
        }
    }
    check_with_redis(&text);
}
