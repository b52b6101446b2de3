//! Everything that commands work on, and [`Call`], one command's view of it.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use windlass_resp::Value;

use crate::acl::Users;
use crate::args::Args;
use crate::blob::Blob;
use crate::command::own::Table;
use crate::command::{Answer, Body, Command, Flags};
use crate::config::Config;
use crate::effect::Effects;
use crate::engine::{Delivery, Message};
use crate::error::{Error, Result};
use crate::evict::Pool;
use crate::function::Libraries;
use crate::garbage::Garbage;
use crate::keyspace::{Entry, Keyspace, Slot};
use crate::notify::{Classes, Event};
use crate::object::{Kind, Object};
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::random::Random;
use crate::rate::Rate;
use crate::session::{Session, SessionId};
use crate::settings::Settings;
use crate::slow::Slow;
use crate::tally::Tally;
use crate::time::Time;
use crate::wait::{Wait, Waits};

/// The whole state of an engine, but for its scripts.
pub struct State {
    pub config: Config,
    pub commands: Table,
    pub databases: Vec<Keyspace>,
    /// Code that is kept with the data, of no database.
    pub libraries: Libraries,
    pub effects: Effects,
    pub random: Random,
    pub pubsub: PubSub,
    pub waits: Waits,
    /// Keys that changed while somebody waited for them, in the order of change.
    pub ready: Vec<(usize, Blob)>,
    /// What is to be sent to other sessions than the one that called.
    pub deliveries: Vec<Delivery>,
    /// A session is absent while it executes a command.
    pub sessions: HashMap<SessionId, Option<Box<Session>>, FixedState>,
    pub watchers: HashMap<(usize, Blob), Vec<SessionId>>,
    pub stats: Stats,
    /// Why commands that may write are refused, when they are.
    pub write_refusal: Option<Error>,
    pub users: Users,
    /// Random bytes for one password, when the owner has given some.
    pub entropy: Option<[u8; 32]>,
    /// Who monitors, in the order in which they began.
    pub monitors: Vec<SessionId>,
    pub pause: Pause,
    pub slow: Slow,
    /// What CONFIG SET can change beside the configuration.
    pub settings: Settings,
    /// What was deleted and is too big to be freed at once.
    pub garbage: Garbage,
    /// The keys that may go first at the memory limit.
    pub eviction_pool: Pool,
    /// How many scripts are cached.
    pub cached_scripts: usize,
    /// What the owner of the engine tells INFO: section, then lines of name and value.
    pub facts: BTreeMap<String, Vec<(String, String)>>,
    pub started: Time,
    /// Set by a worker's exchange; see [`Outcome::is_exchange`](crate::Outcome::is_exchange).
    pub is_exchange: bool,
    /// True while the owner of the engine reads its data; see [`Engine::set_loading`](crate::Engine::set_loading).
    pub is_loading: bool,
    /// Set by CONFIG REWRITE; see [`Outcome::wants_settings_kept`](crate::Outcome::wants_settings_kept).
    pub wants_settings_kept: bool,
    /// True when the owner of the engine has a place for settings.
    pub can_keep_settings: bool,
    /// Set by BGSAVE; see [`Outcome::wants_save`](crate::Outcome::wants_save).
    pub wants_save: bool,
    /// How many effects there were when the last snapshot was asked for.
    pub changes_saved: u64,
    /// Who waits for the end of a snapshot.
    pub savers: Vec<SessionId>,
    /// Set by SHUTDOWN; see [`Outcome::wants_shutdown`](crate::Outcome::wants_shutdown).
    pub wants_shutdown: bool,
    /// Set by BGREWRITEAOF; see [`Outcome::wants_rewrite`](crate::Outcome::wants_rewrite).
    pub wants_rewrite: bool,
}

/// Counters that INFO shows.
#[derive(Debug, Default)]
pub struct Stats {
    pub commands: u64,
    /// How many commands ran lately.
    pub rate: Rate,
    pub connections: u64,
    /// Clients for which there was no place.
    pub rejected_connections: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    pub evicted_keys: u64,
    pub tally: Tally,
    /// The longest that a tick kept everybody waiting, in microseconds: ending keys and freeing what was deleted.
    pub tick_max_us: u64,
    /// The longest that a call took, in microseconds.
    pub call_max_us: u64,
    /// The most bytes of data that a tick or an INFO saw.
    pub memory_peak: usize,
}

impl State {
    pub fn new(config: Config) -> Self {
        let commands = Table::new(config.commands);
        let databases = (0..config.databases).map(|_| Keyspace::new(config.seed)).collect();
        Self {
            random: Random::new(config.seed),
            commands,
            databases,
            libraries: Libraries::default(),
            effects: Effects::default(),
            pubsub: PubSub::default(),
            waits: Waits::default(),
            ready: Vec::new(),
            deliveries: Vec::new(),
            sessions: HashMap::default(),
            watchers: HashMap::new(),
            stats: Stats::default(),
            write_refusal: None,
            users: Users::new(&config.password),
            entropy: None,
            monitors: Vec::new(),
            pause: Pause::default(),
            slow: Slow::default(),
            settings: Settings::default(),
            garbage: Garbage::default(),
            eviction_pool: Pool::default(),
            cached_scripts: 0,
            facts: BTreeMap::new(),
            started: Time::default(),
            is_exchange: false,
            is_loading: false,
            wants_settings_kept: false,
            can_keep_settings: false,
            wants_save: false,
            changes_saved: 0,
            savers: Vec::new(),
            wants_rewrite: false,
            wants_shutdown: false,
            config,
        }
    }

    /// Takes notice of the memory in use for the peak that INFO shows.
    pub fn note_memory(&mut self) {
        self.stats.memory_peak = self.stats.memory_peak.max(self.bytes());
    }

    /// Approximate bytes of memory of all databases and libraries.
    pub fn bytes(&self) -> usize {
        self.databases.iter().map(Keyspace::bytes).sum::<usize>() + self.libraries.bytes()
    }

    /// Tells whoever watches `key` or waits for it that it changed.
    pub fn touch(&mut self, db: usize, key: &[u8]) {
        self.break_watches(db, key);
        self.wake_waiters(db, key);
    }

    /// Tells whoever watches `key` that it changed.
    fn break_watches(&mut self, db: usize, key: &[u8]) {
        if !self.watchers.is_empty()
            && let Some(sessions) = self.watchers.get(&(db, Blob::from(key)))
        {
            for id in sessions.clone() {
                if let Some(Some(session)) = self.sessions.get_mut(&id) {
                    session.is_watch_broken = true;
                }
            }
        }
    }

    /// Has whoever waits for `key` look at it again.
    fn wake_waiters(&mut self, db: usize, key: &[u8]) {
        if self.waits.has_key(db, key) {
            self.ready.push((db, Blob::from(key)));
        }
    }

    /// True when `key` is there and ended at or before `now`.
    pub fn has_ended(&self, db: usize, key: &[u8], now: Time) -> bool {
        // Nearly always no key of the database has ended, and none needs to be looked up.
        if self.databases[db].next_expiry().is_none_or(|at| at > now.millis()) {
            return false;
        }
        let entry = self.databases[db].entry(key);
        entry.is_some_and(|entry| entry.expires_ms().is_some_and(|at| at <= now.millis()))
    }

    /// Removes `key` if it ended at or before `now`, and logs that; true when it did.
    pub fn expire_if_due(&mut self, db: usize, key: &[u8], now: Time) -> bool {
        let ended = self.has_ended(db, key, now);
        if ended {
            self.expire(db, key);
        }
        ended
    }

    /// Removes a key that has ended, and logs that: a replay has no clock.
    pub fn expire(&mut self, db: usize, key: &[u8]) {
        if let Some(entry) = self.databases[db].remove(key) {
            self.garbage.add(entry.value);
        }
        self.effects.push(db, &[b"DEL", key]);
        self.stats.expired_keys += 1;
        self.touch(db, key);
        self.notify(db, Event::EXPIRED, key);
    }

    /// Ends at most so many keys of all databases, those first that were due first.
    pub fn expire_some(&mut self, now: Time, budget: usize) {
        let next = |(db, keyspace): (usize, &Keyspace)| keyspace.next_expiry().map(|at| (at, db));
        for _ in 0..budget {
            let Some((_, db)) = self.databases.iter().enumerate().filter_map(next).min() else { break };
            let Some(key) = self.databases[db].expired(now.millis()) else { break };
            self.expire(db, &key);
            self.effects.end_group();
        }
    }

    /// Forgets what `session` watches.
    pub fn unwatch(&mut self, session: &mut Session) {
        for place in session.watched.drain(..) {
            if let Some(sessions) = self.watchers.get_mut(&place) {
                sessions.retain(|id| *id != session.id);
                if sessions.is_empty() {
                    self.watchers.remove(&place);
                }
            }
        }
        session.is_watch_broken = false;
    }

    /// Runs the body of a plain command. What it waits for, if it found nothing, is for the caller to grant or to drop.
    pub fn call(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        body: Body,
        args: Args<'_>,
        now: Time,
    ) -> (Answer, Option<Wait>) {
        let (answer, wait) = self.call_again(session, command, body, args, now);
        self.stats.tally.called(command, answer.is_err());
        (answer, wait)
    }

    /// As [`call`](Self::call), for a command that waited and was counted when it began to.
    pub fn call_again(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        body: Body,
        args: Args<'_>,
        now: Time,
    ) -> (Answer, Option<Wait>) {
        let mut call = Call { state: self, session, command, args, now, wait: None, event: None };
        let answer = body(&mut call);
        let wait = call.wait.take().filter(|_| answer.as_ref().is_ok_and(|reply| !reply.is_error()));
        (answer, wait)
    }

    /// What the engine's owner told under a section and a name.
    pub fn fact(&self, section: &str, name: &str) -> Option<&str> {
        let lines = self.facts.get(section)?;
        lines.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn deliver(&mut self, session: SessionId, message: Message) {
        self.deliveries.push(Delivery { session, message });
    }
}

/// One command that is being executed.
///
/// A command reads with [`get`](Self::get), writes with [`get_mut`](Self::get_mut) or [`make`](Self::make), then says
/// [`changed`](Self::changed) for each key that it wrote and logs its effect with [`log`](Self::log) or
/// [`log_as`](Self::log_as). A command that changed nothing logs nothing.
pub struct Call<'a> {
    pub state: &'a mut State,
    pub session: &'a mut Session,
    pub command: &'static Command,
    pub args: Args<'a>,
    pub now: Time,
    /// Set by a command that may wait and found nothing.
    pub wait: Option<Wait>,
    /// What the command's writes are called, where it is not the usual name.
    pub event: Option<Event>,
}

impl<'a> Call<'a> {
    pub fn db(&mut self) -> &mut Keyspace {
        &mut self.state.databases[self.session.db]
    }

    /// The entry at `key` whatever its type; an ended one is gone. To look at an entry is not to use it.
    pub fn entry(&mut self, key: &[u8]) -> Option<&Entry> {
        if self.hides(key) {
            return None;
        }
        self.state.databases[self.session.db].entry(key)
    }

    /// The value at `key` for reading.
    ///
    /// # Errors
    /// WRONGTYPE when the key holds another type.
    pub fn get<T: Kind>(&mut self, key: &[u8]) -> Result<Option<&T>> {
        if self.hides(key) {
            self.state.stats.keyspace_misses += 1;
            return Ok(None);
        }
        let db = self.session.db;
        if self.state.notifies(Classes::MISS)
            && self.command.flags.has(Flags::READONLY)
            && self.state.databases[db].entry(key).is_none()
        {
            self.notify(Event::MISS, key);
        }
        match self.state.databases[db].used_entry(key) {
            Some(entry) => {
                self.state.stats.keyspace_hits += 1;
                T::of(&entry.value).map(Some).ok_or(Error::WRONG_TYPE)
            }
            None => {
                self.state.stats.keyspace_misses += 1;
                Ok(None)
            }
        }
    }

    /// The value at `key` for writing, if there is one.
    ///
    /// # Errors
    /// WRONGTYPE when the key holds another type.
    pub fn get_mut<T: Kind>(&mut self, key: &[u8]) -> Result<Option<Slot<'_, T>>> {
        self.expire_if_due(key);
        self.state.databases[self.session.db].value_mut(key)
    }

    /// The value at `key` for writing, made empty where there is none.
    ///
    /// # Errors
    /// WRONGTYPE when the key holds another type.
    pub fn make<T: Kind>(&mut self, key: &[u8]) -> Result<Slot<'_, T>> {
        self.expire_if_due(key);
        let db = self.session.db;
        if self.state.notifies(Classes::NEW) && self.state.databases[db].entry(key).is_none() {
            self.notify(Event::NEW, key);
        }
        self.state.databases[db].value_or_create(key)
    }

    /// Sets `key` to `value`, replacing whatever was there with its expiry.
    pub fn set(&mut self, key: &[u8], value: Object, expires_ms: Option<u64>) {
        let is_empty = value.is_empty_collection();
        match self.db().insert(key, value, expires_ms) {
            Some(before) => self.state.garbage.add(before),
            None => self.notify(Event::NEW, key),
        }
        if is_empty {
            self.changed(key);
        } else {
            self.grew(key);
        }
    }

    /// Removes `key`; true when it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.expire_if_due(key);
        let Some(entry) = self.db().remove(key) else { return false };
        self.state.garbage.add(entry.value);
        self.touched(key);
        self.state.wake_waiters(self.session.db, key);
        self.notify(Event::DEL, key);
        true
    }

    /// Must follow every write to `key`: wakes who waits for it, breaks who watches it, and removes a collection that
    /// has become empty. Where that is known to be too much, [`grew`](Self::grew) or [`modified`](Self::modified) may
    /// stand for it.
    pub fn changed(&mut self, key: &[u8]) {
        let db = self.session.db;
        let is_over =
            self.state.databases[db].entry(key).is_some_and(|entry| entry.value.is_empty_collection());
        if is_over {
            self.state.databases[db].remove(key);
        }
        self.grew(key);
        if is_over {
            self.notify(Event::DEL, key);
        }
    }

    /// As [`changed`](Self::changed), after a write that cannot have left an empty collection.
    pub fn grew(&mut self, key: &[u8]) {
        self.modified(key);
        self.state.wake_waiters(self.session.db, key);
    }

    /// As [`changed`](Self::changed), after a write that only took from a stream: a stream may stay empty, and nobody
    /// waits for there to be less.
    pub fn modified(&mut self, key: &[u8]) {
        self.touched(key);
        self.notify_write(key);
    }

    /// Has who waits for the key look at it again, where nothing changed that a watch is for.
    pub fn wake(&mut self, key: &[u8]) {
        self.state.wake_waiters(self.session.db, key);
    }

    /// Breaks who watches the key, and tells nobody of it.
    pub fn touched(&mut self, key: &[u8]) {
        self.break_own_watch(key);
        self.state.break_watches(self.session.db, key);
    }

    /// The calling session is not among the sessions while it executes, and what its own commands bring about counts,
    /// too.
    fn break_own_watch(&mut self, key: &[u8]) {
        let db = self.session.db;
        if self.session.watched.iter().any(|(watched_db, watched)| *watched_db == db && **watched == *key) {
            self.session.is_watch_broken = true;
        }
    }

    /// Removes `key` if its time is over.
    fn expire_if_due(&mut self, key: &[u8]) {
        if self.state.expire_if_due(self.session.db, key, self.now) {
            self.break_own_watch(key);
        }
    }

    /// Removes `key` if its time is over, or only hides it while clients are paused: then nothing may change. True
    /// when the key is there and must not be seen.
    fn hides(&mut self, key: &[u8]) -> bool {
        if !self.state.has_ended(self.session.db, key, self.now) {
            return false;
        }
        if self.state.pause.is_on(self.now) {
            return true;
        }
        self.expire_if_due(key);
        false
    }

    /// Logs the command as it was given.
    pub fn log(&mut self) {
        self.state.effects.push(self.session.db, self.args.0);
    }

    /// Logs `args` in place of the command.
    pub fn log_as(&mut self, args: &[&[u8]]) {
        self.state.effects.push(self.session.db, args);
    }

    /// Waits for one of `keys`, at most `timeout_ms` (0 is for ever). At the timeout the reply is the null array,
    /// whatever the command; what the command answers now is its reply where waiting is not possible: in a transaction
    /// or a script.
    pub fn wait(&mut self, keys: &[&[u8]], timeout_ms: u64) {
        let args = self.args;
        self.wait_as(keys, timeout_ms, args.0);
    }

    /// As [`wait`](Self::wait), with other arguments for the runs to come: where `$` was, say, the id that it meant.
    pub fn wait_as(&mut self, keys: &[&[u8]], timeout_ms: u64, args: &[&[u8]]) {
        let own = |list: &[&[u8]]| list.iter().map(|item| Blob::from(*item)).collect();
        self.wait = Some(Wait {
            db: self.session.db,
            keys: own(keys),
            deadline_ms: (timeout_ms > 0).then(|| self.now.millis().saturating_add(timeout_ms)),
            args: own(args),
            timeout_reply: Value::NilArray,
            is_put_off: false,
        });
    }
}
