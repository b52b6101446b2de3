//! Eviction: at the memory limit, keys go that were not used for long, if the policy says so.
//!
//! As in Redis the order is approximate: a few keys are drawn from each database, the idlest of all draws are kept in a
//! small pool, and the idlest of the pool goes first. So no list of all keys has to be kept in order of their use.

use crate::blob::Blob;
use crate::config::Eviction;
use crate::keyspace::Keyspace;
use crate::notify::Event;
use crate::state::State;

/// How many candidates are remembered from one draw to the next.
const POOL_MAX: usize = 16;
/// How many keys one command may evict before it runs; what is left goes with later ones, and with ticks.
pub const STEP_MAX: usize = 64;

/// The idlest keys that were seen, the idlest last.
#[derive(Debug, Default)]
pub struct Pool(Vec<Candidate>);

#[derive(Debug)]
struct Candidate {
    used_s: u32,
    db: usize,
    key: Blob,
}

impl Pool {
    fn offer(&mut self, candidate: Candidate) {
        if self.0.iter().any(|other| other.db == candidate.db && other.key == candidate.key) {
            return;
        }
        let place = self.0.partition_point(|other| other.used_s > candidate.used_s);
        self.0.insert(place, candidate);
        if self.0.len() > POOL_MAX {
            self.0.remove(0);
        }
    }

    /// The idlest candidate that is still there and was not used since.
    fn take(&mut self, databases: &[Keyspace]) -> Option<Candidate> {
        let is_idle = |candidate: &Candidate| {
            let entry = databases.get(candidate.db).and_then(|database| database.entry(&candidate.key));
            entry.is_some_and(|entry| entry.used.get() == candidate.used_s)
        };
        std::iter::from_fn(|| self.0.pop()).find(is_idle)
    }
}

impl State {
    /// True when the data takes more memory than it may.
    pub fn is_over_limit(&self) -> bool {
        let limit = self.config.memory_max;
        // What the databases take when they are empty counts here, so that no store is within a limit of nothing.
        limit > 0 && self.bytes() + size_of::<Keyspace>() * self.databases.len() > limit
    }

    /// True when keys are to go because of the memory limit, and there are any.
    pub fn has_to_evict(&self) -> bool {
        self.config.eviction == Eviction::AllkeysLru
            && self.write_refusal.is_none()
            && !self.is_loading
            && self.is_over_limit()
            && self.databases.iter().any(|database| database.len() > 0)
    }

    /// Evicts keys until the data is within its limit, at most `budget` of them.
    pub fn evict_some(&mut self, budget: usize) {
        for _ in 0..budget {
            if !self.has_to_evict() || !self.evict_one() {
                break;
            }
        }
    }

    /// Evicts the idlest key of some draws; false when there is none.
    fn evict_one(&mut self) -> bool {
        for db in 0..self.databases.len() {
            for _ in 0..self.config.eviction_samples {
                let Some(entry) = self.databases[db].choose(&mut self.random) else { break };
                let candidate = Candidate { used_s: entry.used.get(), db, key: entry.key.clone() };
                self.eviction_pool.offer(candidate);
            }
        }
        let Some(Candidate { db, key, .. }) = self.eviction_pool.take(&self.databases) else { return false };
        let Some(entry) = self.databases[db].remove(&key) else { return false };
        self.garbage.add(entry.value);
        self.effects.push(db, &[b"DEL", &key]);
        self.effects.end_group();
        self.stats.evicted_keys += 1;
        self.touch(db, &key);
        self.notify(db, Event::EVICTED, &key);
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Engine, Eviction, Time};

    const NOW_S: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Time {
        Time::from_millis((NOW_S + seconds) * 1000)
    }

    /// An engine with a hundred keys, of which the first ten were used a while later than the others.
    fn engine(eviction: Eviction) -> (Engine, crate::SessionId) {
        let mut engine = Engine::new(Config { eviction, ..Config::default() });
        let session = engine.open_session("test", at(0));
        engine.effects().set_recording(true);
        for number in 0..100 {
            let key = format!("key:{number}");
            engine.execute(session, &[b"SET", key.as_bytes(), &[b'x'; 1000]], at(0));
        }
        for number in 0..10 {
            engine.execute(session, &[b"GET", format!("key:{number}").as_bytes()], at(60));
        }
        (engine, session)
    }

    #[test]
    fn keys_that_were_not_used_for_long_go_first_and_are_logged() {
        let (mut engine, session) = engine(Eviction::AllkeysLru);
        let limit = engine.bytes() / 2 + 5000;
        engine.execute(session, &[b"CONFIG", b"SET", b"maxmemory", limit.to_string().as_bytes()], at(61));
        engine.effects().take();
        assert!(engine.next_due().is_some_and(|due| due <= at(61)), "there is something to evict");
        while engine.next_due().is_some() {
            engine.tick(at(61), 10);
        }
        assert!(engine.bytes() <= limit);
        let log = String::from_utf8(engine.effects().take()).expect("the log of these is text");
        let evicted = log.matches("DEL").count();
        assert!((40..=60).contains(&evicted), "{evicted} of 100 keys went");
        for number in 0..10 {
            let key = format!("key:{number}");
            let reply = engine.execute(session, &[b"EXISTS", key.as_bytes()], at(62)).reply;
            assert_eq!(reply, Some(1_i64.into()), "{key} was used lately");
        }
    }

    #[test]
    fn without_a_policy_writes_are_refused_and_nothing_goes() {
        let (mut engine, session) = engine(Eviction::NoEviction);
        engine.execute(session, &[b"CONFIG", b"SET", b"maxmemory", b"50000"], at(61));
        assert_eq!(engine.next_due(), None);
        let reply = engine.execute(session, &[b"SET", b"more", b"v"], at(61)).reply;
        assert!(reply.is_some_and(|reply| reply.is_error()));
        assert_eq!(engine.execute(session, &[b"DBSIZE"], at(61)).reply, Some(100_i64.into()));
    }

    #[test]
    fn a_write_makes_room_for_itself() {
        let (mut engine, session) = engine(Eviction::AllkeysLru);
        let limit = engine.bytes();
        engine.execute(session, &[b"CONFIG", b"SET", b"maxmemory", limit.to_string().as_bytes()], at(61));
        for number in 100..200 {
            let key = format!("key:{number}");
            let reply = engine.execute(session, &[b"SET", key.as_bytes(), &[b'y'; 1000]], at(61)).reply;
            assert_eq!(reply, Some(windlass_resp::Value::OK));
        }
        let idle = engine.execute(session, &[b"OBJECT", b"IDLETIME", b"key:199"], at(70)).reply;
        assert_eq!(idle, Some(9_i64.into()));
    }
}
