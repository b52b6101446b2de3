//! Makes random calls of the scripts, and commands that change what they find.

use windlass_db::faults::Random;
use windlass_resp::Value;

use crate::subject::Digests;

const QUEUES: usize = 3;

/// What a worker was given: queue, consumer, entry, delivery count.
#[derive(Clone, Debug)]
struct Held {
    queue: usize,
    consumer: String,
    entry: String,
    count: i64,
}

/// Makes calls.
pub struct Script {
    pub random: Random,
    pub digests: Digests,
    held: Vec<Held>,
}

pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

impl Script {
    /// Begins with scripts that were loaded.
    pub fn new(seed: u64, digests: Digests) -> Self {
        Self { random: Random::new(seed), digests, held: Vec::new() }
    }

    fn consumer(&mut self) -> String {
        self.random.pick(&["alice", "bob"]).to_owned()
    }

    fn entry(&mut self) -> String {
        if self.held.is_empty() || self.random.once_in(6) {
            return format!("{}-{}", 1000 + self.random.below(100), self.random.below(3));
        }
        let at = self.random.below(self.held.len());
        self.held[at].entry.clone()
    }

    pub fn push(&mut self) -> Vec<String> {
        let queue = self.random.below(QUEUES);
        let mut call = words(&format!("EVALSHA {} 2 stream{queue} wake{queue}", self.digests[0]));
        call.push(self.random.pick(&["ids", "ids", "ids", "count", "neither"]).to_owned());
        let count = if self.random.once_in(20) { 40 } else { self.random.below(5) };
        // Some are so large that a taking stops before it has its count.
        let filling = if self.random.once_in(60) { "x".repeat(150_000) } else { String::new() };
        call.extend((0..count).map(|number| format!("envelope {number}{filling}")));
        if self.random.once_in(40) {
            call.truncate(5);
            call[2] = "1".to_owned();
        }
        call
    }

    pub fn exchange(&mut self) -> Vec<String> {
        let (consumer, queue) = (self.consumer(), self.random.below(QUEUES));
        let mut ended: Vec<(String, i64)> = Vec::new();
        if !self.random.once_in(3) {
            for held in self.held.clone() {
                let is_own = held.consumer == consumer && held.queue == queue;
                if self.random.once_in(if is_own { 2 } else { 12 }) {
                    ended.push((held.entry, held.count + i64::from(self.random.once_in(8))));
                }
            }
        }
        if self.random.once_in(4) {
            ended.truncate(1);
        }
        if self.random.once_in(10) {
            ended.push((self.entry(), 1));
        }
        let order = |entry: &str| -> (u64, u64) {
            let (ms, seq) = entry.split_once('-').expect("an entry has two parts");
            (ms.parse().expect("a number"), seq.parse().expect("a number"))
        };
        if !self.random.once_in(30) {
            ended.sort_by_key(|(entry, _)| order(entry));
            ended.dedup_by(|a, b| a.0 == b.0);
        }
        let (mut moved, mut results) = (Vec::new(), Vec::new());
        for (entry, _) in &ended {
            if self.random.once_in(6) {
                moved.push([entry.clone(), format!("id{entry}")]);
            }
            if self.random.once_in(6) {
                results.push([entry.clone(), "50".to_owned(), "{}".to_owned()]);
            }
        }
        let mut keys = words(&format!("stream{queue} suspect{queue} moved stats gate{queue}"));
        let mut queues: Vec<usize> = (0..QUEUES).filter(|_| self.random.below(3) > 0).collect();
        if self.random.once_in(2) {
            queues.reverse();
        }
        for queue in &queues {
            keys.extend(words(&format!("gate{queue} stream{queue} wake{queue} suspect{queue}")));
        }
        keys.extend(results.iter().map(|[entry, ..]| format!("result{entry}")));
        if self.random.once_in(20) {
            // One key for two uses.
            let (from, to) = (self.random.below(keys.len()), self.random.below(keys.len()));
            keys[to] = keys[from].clone();
        }
        let mut call = vec!["EVALSHA".to_owned(), self.digests[1].clone(), keys.len().to_string()];
        call.extend(keys);
        let take = self.random.pick(&["0", "1", "2", "3", "5", "5", "20", "90"]);
        let suspect = self.random.pick(&["0", "1", "1"]);
        let woken = self.random.below(QUEUES + 1);
        let count = ended.len();
        call.extend(words(&format!("{consumer} {count} {take} {suspect} {woken} {}", moved.len())));
        call.extend(ended.into_iter().flat_map(|(entry, count)| [entry, count.to_string()]));
        call.extend(moved.into_iter().flatten());
        call.extend(results.into_iter().flatten());
        call
    }

    pub fn plain(&mut self) -> Vec<String> {
        let (mut queue, entry, consumer) = (self.random.below(QUEUES), self.entry(), self.consumer());
        if let Some(held) = self.held.iter().find(|held| held.entry == entry) {
            queue = held.queue;
        }
        words(&match self.random.below(32) {
            24..=28 | 0..=3 => format!("XGROUP CREATE stream{queue} w 0 MKSTREAM"),
            4 => format!("XDEL stream{queue} {entry}"),
            5 => format!("XACK stream{queue} w {entry}"),
            6..=7 => format!("XCLAIM stream{queue} w {consumer} 0 {entry}"),
            8 => format!("XCLAIM stream{queue} w ~recovered 0 {entry}"),
            9 => format!("XCLAIM stream{queue} w ~suspect 0 {entry}"),
            10 => format!(
                "HSET gate{queue} {} 1",
                self.random.pick(&["paused", "recovered", "suspect", "recovered", "suspect", "ruled"])
            ),
            29..=31 | 11..=14 => format!("DEL gate{queue}"),
            15 => format!("HSET suspect{queue} {entry} 0:{consumer}"),
            16 => format!("HSET moved id{entry} {entry}"),
            17 => format!("DEL {}{queue}", self.random.pick(&["wake", "stream", "suspect"])),
            18 => format!("SET {}{queue} text", self.random.pick(&["wake", "suspect", "result"])),
            19..=20 => format!("DEL wake{queue} suspect{queue}"),
            21 => format!("XADD stream{queue} * j envelope i id s {{}}"),
            22 => self
                .random
                .pick(&["DEL stats", "HSET stats completed x", "HSET moved f v", "DEL moved"])
                .into(),
            _ => format!("XGROUP DESTROY stream{queue} w"),
        })
    }

    /// Takes notice of what an exchange gave.
    pub fn note(&mut self, call: &[String], reply: &Value) {
        let Value::Array(answer) = reply else { return };
        let keys: usize = call[2].parse().expect("a number of keys");
        let (keys, consumer) = (&call[3..3 + keys], &call[3 + keys]);
        for part in answer.iter().skip(2) {
            let Value::Array(part) = part else { panic!("{part:?} is no part") };
            // That a queue has rules is said by a word in place of entries.
            let (Value::Integer(number), Value::Array(entries)) = (&part[0], &part[1]) else { continue };
            let stream = &keys[*number as usize * 4 + 2];
            let Some(queue) = stream.strip_prefix("stream").and_then(|queue| queue.parse().ok()) else {
                continue;
            };
            for (at, entry) in entries.iter().enumerate() {
                let Value::Array(entry) = entry else { panic!("{entry:?} is no entry") };
                let Value::Bulk(id) = &entry[0] else { panic!("{entry:?} has no id") };
                let count = match part.get(2) {
                    Some(Value::Array(counts)) => counts[at].clone(),
                    _ => Value::Integer(1),
                };
                let Value::Integer(count) = count else { panic!("{count:?} is no count") };
                let entry = String::from_utf8(id.clone()).expect("an id is text");
                self.held.retain(|held| held.entry != entry || held.queue != queue);
                self.held.push(Held { queue, consumer: consumer.clone(), entry, count });
            }
        }
        // Jobs that are long forgotten are asked for now and then, but not more and more of them.
        let surplus = self.held.len().saturating_sub(30);
        self.held.drain(..surplus);
    }
}
