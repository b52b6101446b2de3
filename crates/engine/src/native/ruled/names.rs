//! The keys that the text builds from the prefix of those that it is given.

use super::super::exchange::{Queue, Request};

/// The prefix of a namespace's keys.
pub struct Base<'a>(&'a [u8]);

/// The names of what belongs to a queue.
pub struct Names {
    pub queue: Vec<u8>,
    pub turns: Vec<u8>,
    pub waits: Vec<u8>,
    pub pace: Vec<u8>,
    /// What the name of every lane is preceded by.
    pub lane: Vec<u8>,
    pub jobs: Vec<u8>,
    pub moved: Vec<u8>,
    pub permits: Vec<u8>,
    pub caps: Vec<u8>,
    /// What a rate of the queue has counted.
    pub rate: Vec<u8>,
    /// The rules of the queue and of its keys, and how many single keys have one.
    pub queue_rule: Vec<u8>,
    pub key_rule: Vec<u8>,
    pub key_rules: Vec<u8>,
}

impl<'a> Base<'a> {
    /// The prefix of `key`, up to its tag's end.
    pub fn of(key: &'a [u8]) -> Option<Self> {
        let end = key.windows(2).position(|pair| pair == b"}:")?;
        Some(Self(&key[..end + 2]))
    }

    pub fn key(&self, what: &str, name: &[u8]) -> Vec<u8> {
        [self.0, what.as_bytes(), name].concat()
    }

    /// Whether a key is the namespace's, of that family.
    pub fn has(&self, key: &[u8], family: &[u8]) -> bool {
        key.strip_prefix(self.0).is_some_and(|name| name.starts_with(family))
    }

    fn queue_name(&self, stream: &'a [u8]) -> Option<&'a [u8]> {
        stream.strip_prefix(self.0)?.strip_prefix(b"q:")
    }

    /// Holds that the keys of the queue whose jobs ended are its own, so that no key has two uses; answers its name.
    pub fn ended(&self, request: &Request<'a>) -> Option<&'a [u8]> {
        let queue = self.queue_name(request.stream)?;
        let is_own = request.suspect == self.key("suspect:", queue)
            && request.moved == self.key("moved", b"")
            && request.stats == self.key("stats", b"");
        let has_results = request.results.iter().all(|result| self.has(result.key, b"r:"));
        (is_own && has_results).then_some(queue)
    }

    /// The names of a queue, if the keys that are given are its own.
    pub fn queue(&self, queue: &Queue<'a>) -> Option<Names> {
        let name = self.queue_name(queue.stream)?;
        if queue.gate != self.key("gate:", name) || queue.wake != self.key("wake:", name) {
            return None;
        }
        Some(Names {
            queue: name.to_vec(),
            turns: self.key("turns:", name),
            waits: self.key("waits:", name),
            pace: self.key("pace:", name),
            lane: self.key("lane:", b""),
            jobs: self.key("jobs", b""),
            moved: self.key("moved", b""),
            permits: self.key("permits:", name),
            caps: self.key("caps", b""),
            rate: self.key("rate:queue:", name),
            queue_rule: [b"queue:", name].concat(),
            key_rule: [b"key:", name].concat(),
            key_rules: [b"keys:", name].concat(),
        })
    }
}
