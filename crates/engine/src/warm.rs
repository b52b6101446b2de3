//! What several commands are about to look at, fetched from memory for all of them at once. Of a large keyspace nearly
//! every lookup waits for memory, which is longer than all else that a small command does; waits that do not depend on
//! one another go on at the same time.

use crate::args::Args;
use crate::engine::Engine;
use crate::object::Object;
use crate::session::SessionId;

/// How a command begins: its name and up to three arguments, empty where there are none.
pub type Head<'a> = [&'a [u8]; 4];

impl Engine {
    /// Looks at what commands of a session are about to look at. It is a guess by their first arguments, changes nothing
    /// and costs time only if it is wrong.
    pub fn warm(&self, id: SessionId, heads: &[Head<'_>]) {
        let (Some(session), Some([_, first, ..])) = (self.session(id), heads.first()) else { return };
        let keys = &self.state.databases[session.db];
        if heads.iter().any(|head| head[1] != *first) {
            return keys.warm(heads.iter().map(|[_, key, ..]| *key));
        }
        let second = heads.iter().map(|[_, _, member, _]| *member);
        match keys.entry(first).map(|entry| &entry.value) {
            Some(Object::Hash(hash)) => hash.warm(second),
            Some(Object::Set(set)) => set.warm(second),
            Some(Object::SortedSet(set)) => {
                // The member stands behind the score.
                let is_adding = |head: &Head<'_>| Args(head).is(0, "ZADD") || Args(head).is(0, "ZINCRBY");
                set.warm(heads.iter().map(|head| head[if is_adding(head) { 3 } else { 2 }]));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Time};

    /// Heads of any kind on values of any size: nothing is asserted but that it is a look and no more.
    #[test]
    fn a_look_ahead_changes_nothing() {
        let mut engine = Engine::new(Config::default());
        let id = engine.open_session("", Time::default());
        engine.warm(id, &[]);
        let mut run = |words: &str| {
            let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            engine.execute(id, &args, Time::default()).reply
        };
        for n in 0..3_000 {
            run(&format!("SET k{n} {n}"));
            run(&format!("SADD set m{n}"));
            run(&format!("HSET hash f{n} {n}"));
            run(&format!("ZADD zset {n} m{n}"));
        }
        let bytes = engine.bytes();
        for line in ["SADD set m1 m2", "HSET hash f9 1", "ZADD zset 3 m4", "ZREM zset m5", "GET k7", "PING"] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let head: Head<'_> = std::array::from_fn(|place| words.get(place).copied().unwrap_or_default());
            for count in [1, 2, 16, 40] {
                engine.warm(id, &vec![head; count]);
                engine.warm(id, &[vec![head; count], vec![[b"GET", b"k1", b"", b""]]].concat());
            }
        }
        assert_eq!(engine.bytes(), bytes);
        engine.warm(SessionId(77), &[[b"GET", b"k1", b"", b""]]);
    }
}
