//! Makes random calls of the scripts for lanes, for rules and for unique jobs, and commands that change what they find.

use windlass_db::faults::Random;
use windlass_resp::Value;

use crate::script::words;
use crate::subject::Digests;

/// Histories of jobs, some of which nobody can read.
const HISTORIES: [&str; 5] = [
    r#"{"state":"enqueued","attempts":2}"#,
    r#"{"state":"enqueued","attempts":1}"#,
    r#"{"state":"dead""#,
    r#"{"attempts":[]}"#,
    "7",
];

const BASE: &str = "wl:{t}:";
const QUEUES: [&str; 2] = ["q", "p"];
const LOCKS: usize = 12;
/// Rules that bind and rules that do not, and some that the native body leaves to the text.
const RULES: [&str; 12] = [
    r#"{"cap":1000}"#,
    r#"{"cap":1000}"#,
    r#"{"cap":60}"#,
    r#"{"cap":4}"#,
    r#"{"rate":{"form":"bucket","n":300,"per_ms":7}}"#,
    r#"{"rate":{"form":"bucket","n":60,"per_ms":900,"burst":200}}"#,
    r#"{"rate":{"form":"window","n":200,"per_ms":10}}"#,
    r#"{"rate":{"form":"sliding","n":200,"per_ms":30}}"#,
    r#"{"cap":500,"rate":{"form":"sliding","n":90,"per_ms":30},"max_jobs":7}"#,
    r#"{"max_jobs":9}"#,
    r#"{"paused":true}"#,
    r#"{"breaker":{"failures":2,"window_ms":9,"cooldown_ms":9}}"#,
];

/// What a worker was given.
#[derive(Clone, Debug)]
struct Held {
    queue: &'static str,
    consumer: String,
    entry: String,
    /// Its id, if it came from a lane.
    id: Option<String>,
    count: i64,
}

/// Makes calls.
pub struct Laned {
    pub random: Random,
    digests: Digests,
    held: Vec<Held>,
    /// Locks with the jobs that they name.
    locks: Vec<(String, String)>,
    /// Whether rules are set rather than lanes filled.
    is_ruled: bool,
}

fn envelope(number: usize, filling: &str) -> String {
    format!("{{\"v\":1,\"kind\":\"k\",\"args\":\"{number}{filling}\"}}")
}

impl Laned {
    pub fn new(seed: u64, digests: Digests, is_ruled: bool) -> Self {
        Self { random: Random::new(seed), digests, held: Vec::new(), locks: Vec::new(), is_ruled }
    }

    fn queue(&mut self) -> &'static str {
        self.random.pick(&QUEUES)
    }

    fn evalsha(&self, script: usize, keys: &[String]) -> Vec<String> {
        let mut call = vec!["EVALSHA".to_owned(), self.digests[script].clone(), keys.len().to_string()];
        call.extend_from_slice(keys);
        call
    }

    /// The next call.
    pub fn call(&mut self) -> Vec<String> {
        match self.random.below(20) {
            0..=4 if self.is_ruled => self.push(),
            5 if self.is_ruled => self.plain(),
            6..=15 if self.is_ruled => self.exchange(),
            _ if self.is_ruled => self.rule(),
            0..=1 => self.push(),
            2..=5 => self.push_lane(),
            6..=7 => self.push_unique(),
            8 => self.release(),
            9..=16 => self.exchange(),
            _ => self.plain(),
        }
    }

    fn count(&mut self) -> usize {
        if self.random.once_in(12) { 45 } else { 1 + self.random.below(5) }
    }

    /// Some are so large that a taking stops before it has its count.
    fn filling(&mut self) -> String {
        if self.random.once_in(60) { "x".repeat(150_000) } else { String::new() }
    }

    fn push(&mut self) -> Vec<String> {
        let queue = self.queue();
        let mut call = self.evalsha(0, &[format!("{BASE}q:{queue}"), format!("{BASE}wake:{queue}")]);
        call.push("ids".to_owned());
        let filling = self.filling();
        call.extend((0..self.count()).map(|number| envelope(number, &filling)));
        call
    }

    fn push_lane(&mut self) -> Vec<String> {
        let queue = self.queue();
        let keys = ["seq".to_owned(), "jobs".to_owned(), format!("wake:{queue}")];
        let mut call = self.evalsha(3, &keys.map(|key| format!("{BASE}{key}")));
        call.extend([queue.to_owned(), self.random.pick(&["ids", "count"]).to_owned()]);
        let filling = self.filling();
        for number in 0..self.count() {
            let rank = self.random.pick(&["0", "1", "129", "129", "129", "200"]);
            let group = self.random.pick(&["", "a", "b", "c", "d/e"]);
            call.extend([rank.to_owned(), group.to_owned(), envelope(number, &filling)]);
        }
        call
    }

    fn push_unique(&mut self) -> Vec<String> {
        let queue = self.queue();
        let sets = "scheduled retry parked dead discarded cancelled";
        let mut keys = words(&format!("jobs moved q:{queue} suspect:{queue} {sets} wake:{queue} seq"));
        let locks: Vec<String> =
            (0..self.count()).map(|_| format!("unique:{}", self.random.below(LOCKS * 4))).collect();
        keys.extend(locks.iter().cloned());
        let keys: Vec<String> = keys.into_iter().map(|key| format!("{BASE}{key}")).collect();
        let mut call = self.evalsha(4, &keys);
        let life = self.random.pick(&["0", "40", "5000"]);
        let due = self.random.pick(&["", "", "", "", "", "+10"]);
        let scope = self.random.pick(&["done", "started", "window"]);
        let replace = self.random.pick(&["keep", "replace"]);
        call.extend([queue, scope, life, replace, due, "{\"state\":\"scheduled\"}"].map(str::to_owned));
        let lane = if self.random.once_in(10) { ",\"lane\":{\"key\":\"a\"}" } else { "" };
        call.extend((0..locks.len()).map(|at| format!("{{\"v\":1,\"kind\":\"k\",\"n\":{at}{lane}}}")));
        call
    }

    fn release(&mut self) -> Vec<String> {
        let mut locks: Vec<(String, String)> = Vec::new();
        for lock in self.locks.clone() {
            if self.random.once_in(3) {
                locks.push(lock);
            }
        }
        locks.push((format!("{BASE}unique:{}", self.random.below(LOCKS)), "q/1-1".to_owned()));
        let keys: Vec<String> = locks.iter().map(|(lock, _)| lock.clone()).collect();
        let mut call = self.evalsha(5, &keys);
        call.extend(locks.into_iter().map(|(_, id)| id));
        call
    }

    fn exchange(&mut self) -> Vec<String> {
        let (consumer, queue) = (self.random.pick(&["alice", "bob"]).to_owned(), self.queue());
        let mut ended: Vec<Held> = Vec::new();
        for held in self.held.clone() {
            let is_own = held.consumer == consumer && held.queue == queue;
            if is_own && self.random.below(3) > 0 {
                ended.push(held);
            }
        }
        let order = |held: &Held| -> (u64, u64) {
            let (ms, seq) = held.entry.split_once('-').expect("an entry has two parts");
            (ms.parse().expect("a number"), seq.parse().expect("a number"))
        };
        ended.sort_by_key(order);
        ended.dedup_by(|a, b| a.entry == b.entry);
        let moved: Vec<[String; 2]> =
            ended.iter().filter_map(|held| Some([held.entry.clone(), held.id.clone()?])).collect();
        let mut results: Vec<&Held> = Vec::new();
        for held in &ended {
            if self.random.once_in(6) {
                results.push(held);
            }
        }
        let mut keys = words(&format!("q:{queue} suspect:{queue} moved stats gate:{queue}"));
        let mut queues = QUEUES.to_vec();
        if self.random.once_in(3) {
            queues.reverse();
        }
        if self.random.once_in(3) {
            queues.truncate(1);
        }
        for queue in &queues {
            keys.extend(words(&format!("gate:{queue} q:{queue} wake:{queue} suspect:{queue}")));
        }
        keys.extend(results.iter().map(|held| format!("r:{queue}/{}", held.entry)));
        let keys: Vec<String> = keys.into_iter().map(|key| format!("{BASE}{key}")).collect();
        let mut call = self.evalsha(2, &keys);
        let take = self.random.pick(&["0", "1", "2", "3", "5", "20", "90"]);
        let suspect = self.random.pick(&["0", "1"]);
        let woken = self.random.below(queues.len() + 1);
        let free = self.random.pick(&["50", "50", "50", "50", "100", "2", "0"]);
        let counts = format!("{consumer} {} {take} {suspect}r{free} {woken} {}", ended.len(), moved.len());
        call.extend(words(&counts));
        for held in &ended {
            call.extend([held.entry.clone(), (held.count + i64::from(self.random.once_in(15))).to_string()]);
        }
        call.extend(moved.into_iter().flatten());
        for held in results {
            call.extend([held.entry.clone(), "50".to_owned(), "{}".to_owned()]);
        }
        call
    }

    /// A command that sets a rule, or takes back what rules have led to.
    fn rule(&mut self) -> Vec<String> {
        let (queue, rule) = (self.queue(), self.random.pick(&RULES));
        let line = match self.random.below(16) {
            0..=2 => format!("HSET {BASE}rules kinds 1 kind:k {rule}"),
            3..=5 => format!("HSET {BASE}rules queue:{queue} {rule}"),
            6..=9 => format!("HSET {BASE}gate:{queue} ruled 1"),
            10 => format!("DEL {BASE}rules"),
            11 => format!("XGROUP CREATE {BASE}q:{queue} w 0 MKSTREAM"),
            12..=13 => format!(
                "DEL {BASE}turns:q {BASE}turns:p {BASE}waits:q {BASE}waits:p {BASE}lane:q/129/k/ {BASE}lane:p/129/k/"
            ),
            14 => format!("DEL {BASE}asleep {BASE}blocked"),
            _ => format!("HDEL {BASE}gate:{queue} recovered suspect paused"),
        };
        line.split(' ').map(str::to_owned).collect()
    }

    fn plain(&mut self) -> Vec<String> {
        let queue = self.queue();
        let entry = self.held.first().map_or("1-1".to_owned(), |held| held.entry.clone());
        let line = match self.random.below(25) {
            0..=4 => format!("XGROUP CREATE {BASE}q:{queue} w 0 MKSTREAM"),
            5 => format!("XCLAIM {BASE}q:{queue} w ~recovered 0 {entry}"),
            6 => format!("HSET {BASE}gate:{queue} recovered 1"),
            7 => format!("HSET {BASE}gate:{queue} paused 1"),
            8..=10 => format!("HDEL {BASE}gate:{queue} paused"),
            11 => format!("HSET {BASE}rules kinds 1 kind:k {{\"cap\":3}}"),
            12..=15 => format!("DEL {BASE}rules {BASE}permits:q {BASE}permits:p {BASE}caps"),
            16 => format!("HSET {BASE}rules queue:{queue} {{\"cap\":3}}"),
            17 => format!("HSET {BASE}rules key:{queue} {{\"weight\":2}}"),
            18 => format!("HDEL {BASE}jobs {queue}/s{}", self.random.below(40)),
            19 => format!("ZREM {BASE}lane:{queue}/129//a {queue}/s{}", self.random.below(40)),
            20 => format!("XDEL {BASE}q:{queue} {entry}"),
            21 => format!("ZADD {BASE}asleep 1500 key:q/a"),
            22 => format!("XADD {BASE}q:{queue} * j {{}} i {queue}/1-1 s {}", self.random.pick(&HISTORIES)),
            23 => format!("HSET {BASE}jobs {queue}/s{} no-line-end", self.random.below(40)),
            _ => {
                let history = self.random.pick(&HISTORIES);
                format!("HSET {BASE}jobs {queue}/s{} {history}\n{{}}", self.random.below(40))
            }
        };
        line.split(' ').map(str::to_owned).collect()
    }

    /// Takes notice of what a call gave.
    pub fn note(&mut self, call: &[String], reply: &Value) {
        let (Value::Array(answer), true) = (reply, call[0] == "EVALSHA") else { return };
        let keys: usize = call[2].parse().expect("a number of keys");
        let (keys, argv) = call[3..].split_at(keys);
        if call[1] == self.digests[4] {
            for (lock, pair) in keys[12..].iter().zip(answer) {
                let Value::Array(pair) = pair else { panic!("{pair:?} is no pair") };
                if let Value::Bulk(id) = &pair[1] {
                    self.locks.push((lock.clone(), String::from_utf8_lossy(id).into_owned()));
                }
            }
            self.locks.drain(..self.locks.len().saturating_sub(20));
        }
        if call[1] != self.digests[2] {
            return;
        }
        for part in answer.iter().skip(2) {
            let Value::Array(part) = part else { panic!("{part:?} is no part") };
            let (Value::Integer(number), Value::Array(entries)) = (&part[0], &part[1]) else { continue };
            let stream = &keys[*number as usize * 4 + 2];
            let queue = QUEUES.into_iter().find(|queue| stream.ends_with(&format!(":{queue}")));
            for (at, entry) in entries.iter().enumerate() {
                let Value::Array(entry) = entry else { panic!("{entry:?} is no entry") };
                let (Value::Bulk(id), Value::Array(fields)) = (&entry[0], &entry[1]) else { continue };
                let texts: Vec<_> = fields
                    .iter()
                    .map(|field| if let Value::Bulk(text) = field { text.as_slice() } else { b"" })
                    .collect();
                let id_field = texts.chunks(2).find(|pair| pair[0] == b"i");
                let count = match part.get(2) {
                    Some(Value::Array(counts)) => counts[at].clone(),
                    _ => Value::Integer(1),
                };
                let Value::Integer(count) = count else { panic!("{count:?} is no count") };
                self.held.push(Held {
                    queue: queue.expect("a part is of a queue that was asked"),
                    consumer: argv[0].clone(),
                    entry: String::from_utf8_lossy(id).into_owned(),
                    id: id_field.map(|pair| String::from_utf8_lossy(pair[1]).into_owned()),
                    count,
                });
            }
        }
        self.held.drain(..self.held.len().saturating_sub(60));
    }
}
