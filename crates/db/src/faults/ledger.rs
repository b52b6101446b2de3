//! Calls with a known outcome, and the judgement of what an opening finds of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;
use windlass_engine::Time;
use windlass_resp::Value;

use super::random::Random;
use crate::clock::ManualClock;
use crate::config::Config;
use crate::database::Database;
use crate::progress::Position;
use crate::session::{Called, Session};

/// Where the clock of a ledger stands: nothing in it expires.
const NOW_MS: u64 = 1_700_000_000_000;
/// The key that counts the calls.
const STEP: &str = "step";
/// The longest value of most calls, and of a few.
const VALUE_BYTES: usize = 300;
const VALUE_BYTES_MAX: usize = 4_000;

/// How a call of a ledger ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It ran and is safe.
    Acknowledged,
    /// It ran, and nobody knows whether it is safe.
    Unknown,
    /// It did not run, for this reason.
    Refused(String),
}

/// A row of calls that follows from a seed. Each changes several keys in one transaction, one of which counts the calls:
/// so an opening can tell how many of them it found, and whether it found them whole.
pub struct Ledger {
    random: Random,
    /// The lines of each call that ran.
    calls: Vec<Vec<String>>,
    /// What the data is after some numbers of calls, by digest; reckoned when it is asked for.
    states: Mutex<BTreeMap<usize, u64>>,
    value_bytes: usize,
}

impl Ledger {
    /// The calls that follow from `seed`, of which none has been made yet.
    pub fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        Self { random, calls: Vec::new(), states: Mutex::default(), value_bytes: VALUE_BYTES }
    }

    /// The same with values of about so many bytes.
    #[must_use]
    pub fn with_values_of(self, bytes: usize) -> Self {
        Self { value_bytes: bytes, ..self }
    }

    /// The clock of all databases that are judged by a ledger.
    pub fn clock() -> ManualClock {
        ManualClock::new(Time::from_millis(NOW_MS))
    }

    /// The calls that ran so far, whether or not they were acknowledged.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Makes up to `count` calls, one after the other; answers how many calls of this ledger were acknowledged. Ends at
    /// the first that was not.
    pub fn run(&mut self, database: &Database, count: usize) -> usize {
        let session = database.session("ledger");
        let mut acknowledged = self.calls();
        for _ in 0..count {
            if self.call(&session) != Answer::Acknowledged {
                break;
            }
            acknowledged = self.calls();
        }
        acknowledged
    }

    /// Makes the next call, and waits until it is acknowledged or never will be.
    pub fn call(&mut self, session: &Session) -> Answer {
        let lines = self.next();
        let (refusal, position) = send(session, &lines);
        let is_safe = session.database().wait_durable(position).is_ok();
        if let Some(refusal) = refusal {
            // Others may go before it in the log, but it is not among them.
            return Answer::Refused(refusal);
        }
        self.calls.push(lines);
        if is_safe { Answer::Acknowledged } else { Answer::Unknown }
    }

    /// Answers how many calls the data of `database` holds, or what is wrong with it: it holds fewer than were
    /// acknowledged, or something that is the outcome of no number of calls.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn judge(&self, database: &Database, acknowledged: usize) -> Result<usize, String> {
        let found = found(database);
        if found < acknowledged {
            return Err(format!("{acknowledged} calls were acknowledged and {found} are there"));
        }
        if found > self.calls() {
            return Err(format!("{found} calls are there and {} were made", self.calls()));
        }
        if self.state(found) != digest(database) {
            return Err(format!("the data is not what it was after {found} calls"));
        }
        Ok(found)
    }

    /// The digest of the data after so many calls where nothing fails.
    fn state(&self, calls: usize) -> u64 {
        *self.states.lock().entry(calls).or_insert_with(|| {
            let model =
                Database::memory_with(Config::default(), Self::clock()).expect("a database in memory");
            let session = model.session("model");
            self.calls[..calls].iter().for_each(|lines| drop(send(&session, lines)));
            digest(&model)
        })
    }

    /// Forgets all but the first `found` calls, of which an opening told that they are what is left.
    pub fn resume(&mut self, found: usize) {
        self.calls.truncate(found);
        self.states.lock().retain(|calls, _| *calls <= found);
    }

    /// The lines of the next call, which make up one transaction.
    fn next(&mut self) -> Vec<String> {
        let (random, n) = (&mut self.random, self.calls.len() + 1);
        let key = random.below(11);
        let is_long = random.once_in(20);
        let bytes = random.below(self.value_bytes) + self.value_bytes / 2;
        let bytes = if is_long { bytes.max(VALUE_BYTES_MAX) } else { bytes };
        let line = match random.below(10) {
            0..=2 => format!("SET k{key} {}", "v".repeat(bytes)),
            3 => format!("RPUSH l{} {}", key % 3, "w".repeat(bytes)),
            4 => format!("XADD s{} {n}-1 field {}", key % 3, "x".repeat(bytes)),
            5 => format!("ZADD z{} {n} m{key}", key % 3),
            6 => format!("LPOP l{}", key % 3),
            7 => format!("DEL k{}", (key + 3) % 11),
            8 => format!("PEXPIREAT k{key} {}", NOW_MS + 1_000 + n as u64),
            _ => format!("HINCRBY h{} f{key} {n}", key % 2),
        };
        ["MULTI", &format!("INCR {STEP}"), &line, "EXEC"].map(str::to_owned).to_vec()
    }
}

/// Sends the lines of a transaction; answers why it was refused, if it was, and the position of the last reply.
pub(super) fn send(session: &Session, lines: &[String]) -> (Option<String>, Position) {
    let (mut refusal, mut position) = (None, Position::START);
    for line in lines {
        let (reply, at) = send_line(session, line);
        position = at;
        if let Value::Error(text) = reply {
            refusal.get_or_insert(text.into_owned());
        }
    }
    (refusal, position)
}

pub(super) fn send_line(session: &Session, line: &str) -> (Value, Position) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    match session.call(&words) {
        Called::Reply(reply, position) => (reply, position),
        Called::Waiting | Called::Delivered => unreachable!("no call here blocks or subscribes"),
    }
}

/// How many calls the data holds.
fn found(database: &Database) -> usize {
    let (reply, _) = send_line(&database.session("judge"), &format!("GET {STEP}"));
    match reply {
        Value::Bulk(digits) => {
            std::str::from_utf8(&digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// A digest of every key with its expiry and value.
fn digest(database: &Database) -> u64 {
    let session = database.session("judge");
    let mut hasher = DefaultHasher::new();
    let (keys, _) = send_line(&session, "KEYS *");
    let mut keys: Vec<String> = match keys {
        Value::Array(keys) => keys.iter().map(text).collect(),
        other => unreachable!("KEYS answers an array and not {other:?}"),
    };
    keys.sort();
    for key in keys {
        let read = |line: String| format!("{:?}", send_line(&session, &line).0);
        let value = match key.as_bytes().first() {
            Some(b'l') => read(format!("LRANGE {key} 0 -1")),
            Some(b's') if key != STEP => read(format!("XRANGE {key} - +")),
            Some(b'z') => read(format!("ZRANGE {key} 0 -1 WITHSCORES")),
            Some(b'h') => sorted_fields(&session, &key),
            _ => read(format!("GET {key}")),
        };
        (&key, read(format!("PEXPIRETIME {key}")), value).hash(&mut hasher);
    }
    hasher.finish()
}

/// The fields of a hash; two of the same fields need not tell them in the same order.
fn sorted_fields(session: &Session, key: &str) -> String {
    let (fields, _) = send_line(session, &format!("HGETALL {key}"));
    let mut pairs: Vec<String> = match fields {
        Value::Map(pairs) => pairs.iter().map(|(f, v)| format!("{} {}", text(f), text(v))).collect(),
        Value::Array(flat) => {
            flat.chunks(2).map(|pair| pair.iter().map(text).collect::<String>() + " ").collect()
        }
        other => unreachable!("HGETALL answers pairs and not {other:?}"),
    };
    pairs.sort();
    pairs.join(",")
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}
