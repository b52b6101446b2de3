//! Commands that make values of every type in every size: those that Redis packs and those that it does not.

use windlass_db::faults::Random;

/// One command.
pub type Command = Vec<Vec<u8>>;

/// Beyond the time of any test.
const LATER_MS: u64 = 4_000_000_000_000;

/// Values of any kind, from seeded randomness.
trait Values {
    fn number(&mut self) -> i64;
    fn text(&mut self) -> Vec<u8>;
    fn bytes(&mut self, bound: usize) -> Vec<u8>;
    fn score(&mut self) -> String;
}

impl Values for Random {
    /// A number whose width in bits is as likely as any other.
    fn number(&mut self) -> i64 {
        let wide = self.draw() as i64;
        wide >> self.below(64)
    }

    /// A text of any kind: nothing, a number, letters, any bytes, short, long, one that can be compressed.
    fn text(&mut self) -> Vec<u8> {
        let is_long = self.below(20) == 0;
        match self.below(9) {
            0 => Vec::new(),
            1..=3 => self.number().to_string().into_bytes(),
            4 => format!("0{}", self.number()).into_bytes(),
            5 => self.bytes(100),
            6 => self.bytes(if is_long { 5000 } else { 70 }),
            7 => b"again and ".repeat(1 + self.below(if is_long { 900 } else { 9 })),
            _ => (0..self.below(60)).map(|_| b'a' + self.below(26) as u8).collect(),
        }
    }

    fn bytes(&mut self, bound: usize) -> Vec<u8> {
        (0..self.below(bound)).map(|_| self.draw() as u8).collect()
    }

    fn score(&mut self) -> String {
        match self.below(6) {
            0 => self.number().to_string(),
            1 => format!("{}.25", self.below(100)),
            2 => ["inf", "-inf", "1e300", "-1e-300", "0.1"][self.below(5)].to_owned(),
            _ => f64::from_bits(self.draw()).to_string(),
        }
    }
}

/// Makes commands and keeps them.
pub struct Generator {
    random: Random,
    commands: Vec<Command>,
}

/// The commands of a seed. The keys of different names have nothing in common.
pub fn commands(seed: u64, name: &str) -> Vec<Command> {
    let mut generator = Generator { random: Random::new(seed), commands: Vec::new() };
    for db in [0, 15] {
        generator.put(&[b"SELECT", db.to_string().as_bytes()]);
        for size in [1, 30, 127, 129, 700] {
            let suffix = format!("{name}:{size}");
            generator.strings(&suffix);
            generator.list(&suffix, size);
            generator.sets(&suffix, size);
            generator.hash(&suffix, size);
            generator.zset(&suffix, size);
            generator.stream(&suffix, size);
        }
        generator.odd_streams(name);
    }
    generator.commands
}

impl Generator {
    fn put(&mut self, words: &[&[u8]]) {
        self.commands.push(words.iter().map(|word| word.to_vec()).collect());
    }

    /// A command on a key with so many words as `word` gives.
    fn put_many(&mut self, name: &str, key: &str, words: Vec<Vec<u8>>) {
        let mut command = vec![name.as_bytes().to_vec(), key.as_bytes().to_vec()];
        command.extend(words);
        self.commands.push(command);
        if self.random.below(3) == 0 {
            let at = LATER_MS + self.random.draw() % LATER_MS;
            self.put(&[b"PEXPIREAT", key.as_bytes(), at.to_string().as_bytes()]);
        }
    }

    fn strings(&mut self, suffix: &str) {
        for number in 0..6 {
            let text = self.random.text();
            self.put_many("SET", &format!("string:{suffix}:{number}"), vec![text]);
        }
    }

    fn list(&mut self, suffix: &str, size: usize) {
        let items = (0..size).map(|_| self.random.text()).collect();
        self.put_many("RPUSH", &format!("list:{suffix}"), items);
    }

    fn sets(&mut self, suffix: &str, size: usize) {
        let members = (0..size).map(|_| self.random.text()).collect();
        self.put_many("SADD", &format!("set:{suffix}"), members);
        for bits in [8, 24, 60] {
            let numbers = (0..size).map(|_| (self.random.number() >> (63 - bits)).to_string().into_bytes());
            let numbers = numbers.collect();
            self.put_many("SADD", &format!("integers:{suffix}:{bits}"), numbers);
        }
    }

    fn hash(&mut self, suffix: &str, size: usize) {
        let words = (0..size * 2).map(|_| self.random.text()).collect();
        self.put_many("HSET", &format!("hash:{suffix}"), words);
        let words = (0..size * 2).map(|number| number.to_string().into_bytes()).collect();
        self.put_many("HSET", &format!("small:{suffix}"), words);
    }

    fn zset(&mut self, suffix: &str, size: usize) {
        let score = |random: &mut Random| loop {
            let score = random.score();
            if score != "NaN" {
                return score.into_bytes();
            }
        };
        let words = (0..size).flat_map(|_| [score(&mut self.random), self.random.text()]).collect();
        self.put_many("ZADD", &format!("zset:{suffix}"), words);
        let words =
            (0..size).flat_map(|number| [score(&mut self.random), number.to_string().into_bytes()]).collect();
        self.put_many("ZADD", &format!("ranks:{suffix}"), words);
    }

    /// A stream whose entries mostly have the same fields, with gaps, groups, and pending entries that are gone.
    fn stream(&mut self, suffix: &str, size: usize) {
        let key = format!("stream:{suffix}");
        let key = key.as_bytes();
        let (mut ms, mut seq) = (self.random.draw() >> 24, 1);
        let mut ids = Vec::new();
        for _ in 0..size {
            match self.random.below(8) {
                0 => (ms, seq) = (ms + 1 + self.random.draw() % 100, self.random.draw() >> 40),
                1 => (ms, seq) = (ms + 1, 0),
                2 => seq += self.random.draw() >> 30,
                _ => seq += 1,
            }
            let id = format!("{ms}-{seq}").into_bytes();
            let (first, second) = (self.random.text(), self.random.text());
            match self.random.below(6) {
                0 => self.put(&[b"XADD", key, &id, &first, &second]),
                1 => self.put(&[b"XADD", key, &id, b"kind", &first, b"args", &second, b"12", b"-7"]),
                _ => self.put(&[b"XADD", key, &id, b"kind", &first, b"args", &second]),
            }
            ids.push(id);
        }
        for group in 0..self.random.below(4) {
            let group = format!("group{group}");
            let from = ids[self.random.below(ids.len())].clone();
            let from: &[u8] = if group == "group0" { b"0" } else { &from };
            self.put(&[b"XGROUP", b"CREATE", key, group.as_bytes(), from]);
            self.put(&[b"XGROUP", b"CREATECONSUMER", key, group.as_bytes(), b"idle"]);
            for _ in 0..4 {
                let consumer = [b"one", b"two", b"six"][self.random.below(3)];
                let count = (1 + self.random.below(size)).to_string();
                self.put(&[
                    b"XREADGROUP",
                    b"GROUP",
                    group.as_bytes(),
                    consumer,
                    b"COUNT",
                    count.as_bytes(),
                    b"STREAMS",
                    key,
                    b">",
                ]);
                let id = ids[self.random.below(ids.len())].clone();
                let (time, tries) = (self.random.draw() >> 24, self.random.below(100).to_string());
                let time = time.to_string();
                self.put(&[
                    b"XCLAIM",
                    key,
                    group.as_bytes(),
                    consumer,
                    b"0",
                    &id,
                    b"TIME",
                    time.as_bytes(),
                    b"RETRYCOUNT",
                    tries.as_bytes(),
                ]);
                let id = ids[self.random.below(ids.len())].clone();
                self.put(&[b"XACK", key, group.as_bytes(), &id]);
            }
        }
        for _ in 0..size / 4 {
            let id = ids[self.random.below(ids.len())].clone();
            self.put(&[b"XDEL", key, &id]);
        }
        if self.random.below(3) == 0 {
            self.put(&[b"XTRIM", key, b"MAXLEN", (size * 2 / 3).to_string().as_bytes()]);
        }
    }

    /// Streams without entries, and at the ends of the numbers.
    fn odd_streams(&mut self, name: &str) {
        let key = |kind: &str| format!("odd:{name}:{kind}").into_bytes();
        self.put(&[b"XGROUP", b"CREATE", &key("new"), b"group", b"$", b"MKSTREAM"]);
        self.put(&[b"XADD", &key("emptied"), b"5-5", b"f", b"v"]);
        self.put(&[b"XDEL", &key("emptied"), b"5-5"]);
        self.put(&[b"XADD", &key("far"), b"1-18446744073709551615", b"f", b"v"]);
        self.put(&[b"XADD", &key("far"), b"18446744073709551615-18446744073709551614", b"", b""]);
        self.put(&[b"XGROUP", b"CREATE", &key("far"), b"", b"0", b"ENTRIESREAD", b"7"]);
        self.put(&[b"XADD", &key("set"), b"3-0", b"f", b"v"]);
        self.put(&[b"XSETID", &key("set"), b"9-9", b"ENTRIESADDED", b"70000", b"MAXDELETEDID", b"4-4"]);
        let longest = vec![b'x'; 300_000];
        self.put(&[b"RPUSH", &key("long"), b"a", &longest, b"1", &longest, b"b"]);
    }
}
