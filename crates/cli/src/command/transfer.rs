//! `windlass move`: everything of one store into another, while the first one is in use.
//!
//! A pass compares every key of the source with the target and puts those that differ; then it removes from the target
//! what is no longer in the source. A pass that finds no difference ends the work, and is its verification. A mark in
//! the target says that a move is under way and how far it is.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::json;
use windlass_db::carry::Digest;

use super::{Directory, connect_to_carry, done};
use crate::args::MoveArgs;
use crate::carry::{self, Bar, Store, count, shown};
use crate::exit::{CONFIGURATION, FAILURE, Failure, Result};
use crate::{output, settings};

/// The key in the target, in its first database, that says that a move is under way.
const MARK: &str = "windlass:move";
/// After so many steps it is written down how far the move is.
const STEPS_PER_MARK: usize = 16;
/// When a pass finds no more differences than this, writers may be asked to pause for the last one.
const PAUSE_AT: u64 = 1_000;

pub async fn run(args: MoveArgs, pattern: Option<String>, store: &settings::Store) -> Result<()> {
    let open = async |url: &str, directory| -> Result<Store> {
        let settings = settings::Store { url: url.to_owned(), ..store.clone() };
        Ok(Store::open(&connect_to_carry(&settings, directory).await?, url).await?)
    };
    if args.from == args.to {
        return Err(Failure::new(
            CONFIGURATION,
            anyhow!("--from and --to name the same store, {}", shown(&args.to)),
        ));
    }
    let (mut from, to) = (open(&args.from, Directory::Found).await?, open(&args.to, Directory::Made).await?);
    if args.by_type {
        from.read_by_type();
    }
    let mut work = Move { from, to, pattern, pause: args.pause, at: None };
    if args.by_type {
        work.to.write_by_type();
    }
    let counts = work.count().await?;
    let is_begun = work.check_target().await?;
    if args.dry_run {
        return work.show_plan(&counts, is_begun, store);
    }
    if args.pause.is_some() {
        work.check_pause().await?;
    }
    work.begin(is_begun).await?;
    let moved = work.run_to_end(args.passes).await.map_err(goes_on)?;
    moved.show(store, &work.from.url, &work.to.url)
}

/// Says what to do when a store does not answer in the midst of a move.
fn goes_on(failure: Failure) -> Failure {
    let is_of_store = failure.error.chain().any(|cause| cause.is::<redis::RedisError>());
    if !is_of_store {
        return failure;
    }
    let hint = "the move stopped in the midst; once both stores answer, run the same command again: it goes on where \
                this one stopped";
    Failure::new(failure.code, failure.error.context(hint))
}

struct Move {
    from: Store,
    to: Store,
    pattern: Option<String>,
    pause: Option<Duration>,
    /// Where an earlier run stopped: the database and the cursor.
    at: Option<(u64, u64)>,
}

/// What a pass found in one database.
#[derive(Clone, Debug, Default)]
struct Tally {
    db: u64,
    keys: u64,
    put: u64,
    removed: u64,
    digest_from: Digest,
    digest_to: Digest,
}

/// What was moved.
struct Moved {
    tallies: Vec<Tally>,
    passes: u32,
    put: u64,
    removed: u64,
    time: Duration,
}

impl Move {
    /// The databases of the source with their keys.
    async fn count(&mut self) -> Result<Vec<(u64, u64)>> {
        Ok(self.from.databases().await?)
    }

    /// Sees to it that nothing else is in the target, and that it is not the source; true when a move has begun.
    async fn check_target(&mut self) -> Result<bool> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HMGET").arg(MARK).arg("from").arg("db").arg("cursor");
        let reply = self.to.send(0, &pipeline).await?.pop().context("the mark was not answered")?;
        let (from, db, cursor): (Option<String>, Option<u64>, Option<u64>) = redis::from_redis_value(reply)?;
        if let Some(from) = from {
            if from != self.from.url {
                let error = anyhow!(
                    "a move from {from} into {} is under way; finish that one, or remove the key `{MARK}` there",
                    self.to.url
                );
                return Err(Failure::new(CONFIGURATION, error));
            }
            self.at = db.zip(cursor);
            return Ok(true);
        }
        for (db, keys) in self.to.databases().await? {
            if let Some(key) = self.first_key(db).await? {
                let error = anyhow!(
                    "{} is not empty: database {db} has {}, `{key}` among them. A move makes the target as the \
                     source is, so that it has to begin with nothing: name an empty store, or narrow the move to what \
                     is not there with --match or --namespace",
                    self.to.url,
                    carry::keys(keys),
                );
                return Err(Failure::new(CONFIGURATION, error));
            }
        }
        Ok(false)
    }

    async fn first_key(&mut self, db: u64) -> Result<Option<String>> {
        let mut cursor = 0;
        loop {
            let (next, keys) = self.to.scan(db, cursor, self.pattern.as_deref()).await?;
            if let Some(key) = keys.first() {
                return Ok(Some(String::from_utf8_lossy(key).into_owned()));
            }
            cursor = next;
            if cursor == 0 {
                return Ok(None);
            }
        }
    }

    fn show_plan(&self, counts: &[(u64, u64)], is_begun: bool, store: &settings::Store) -> Result<()> {
        let keys: u64 = counts.iter().map(|(_, keys)| keys).sum();
        let scope = self
            .pattern
            .as_ref()
            .map(|pattern| format!(", of which those like {pattern}"))
            .unwrap_or_default();
        let goes_on = if is_begun { ", where an earlier run has begun" } else { "" };
        let sentence = format!(
            "would move the keys of {} ({} in {} databases{scope}) into {}{goes_on}; nothing was changed",
            self.from.url,
            carry::keys(keys),
            counts.len(),
            self.to.url
        );
        done(
            store,
            &sentence,
            &json!({ "keys": keys, "databases": counts.len(), "begun": is_begun, "dry_run": true }),
        )
    }

    /// Asks whether the source can make its writers wait.
    async fn check_pause(&mut self) -> Result<()> {
        self.pause_writers(0).await.map_err(|error| {
            let hint = "the source cannot make its writers wait (CLIENT PAUSE); leave --pause out, and stop what pushes \
                        and works there for the last pass";
            Failure::new(CONFIGURATION, error.context(hint))
        })
    }

    async fn pause_writers(&mut self, millis: u128) -> anyhow::Result<()> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("CLIENT").arg("PAUSE").arg(millis.to_string()).arg("WRITE");
        match self.from.send(0, &pipeline).await?.pop() {
            Some(redis::Value::ServerError(error)) => Err(redis::RedisError::from(error).into()),
            _ => Ok(()),
        }
    }

    /// Leaves the mark, which shows as well when both are one store.
    async fn begin(&mut self, is_begun: bool) -> Result<()> {
        if is_begun {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSET").arg(MARK).arg("from").arg(&self.from.url);
        self.to.send(0, &pipeline).await?;
        if self.from.exist(0, &[MARK.into()]).await? == [true] {
            self.to.remove(0, &[MARK.into()]).await?;
            let error = anyhow!("{} and {} are the same store", self.from.url, self.to.url);
            return Err(Failure::new(CONFIGURATION, error));
        }
        Ok(())
    }

    /// Libraries of functions belong to no database and to no pattern: a move of everything takes them along, before the
    /// keys, and leaves others that the target has.
    async fn carry_libraries(&mut self) -> Result<()> {
        if self.pattern.is_some() {
            return Ok(());
        }
        for library in self.from.libraries().await?.unwrap_or_default() {
            self.to.load_library(&library).await?;
        }
        Ok(())
    }

    async fn run_to_end(&mut self, passes_max: u32) -> Result<Moved> {
        self.carry_libraries().await?;
        let moved = self.all(passes_max).await?;
        self.end().await?;
        Ok(moved)
    }

    async fn end(&mut self) -> Result<()> {
        Ok(self.to.remove(0, &[MARK.into()]).await?)
    }

    async fn all(&mut self, passes_max: u32) -> Result<Moved> {
        let started = Instant::now();
        let mut moved = Moved { tallies: Vec::new(), passes: 0, put: 0, removed: 0, time: Duration::ZERO };
        let mut paused: Option<Instant> = None;
        loop {
            moved.passes += 1;
            let begun_at = self.at.take();
            moved.tallies = self.pass(moved.passes, begun_at).await?;
            let (put, removed) = moved.changes();
            moved.put += put;
            moved.removed += removed;
            moved.time = started.elapsed();
            let is_over = paused.zip(self.pause).is_some_and(|(since, pause)| since.elapsed() >= pause);
            // A pass that began in the middle, or while writers went on although they were to wait, has not seen all.
            if put + removed == 0
                && begun_at.is_none()
                && !is_over
                && (self.pause.is_none() || paused.is_some())
            {
                return Ok(moved);
            }
            if is_over || moved.passes >= passes_max {
                let error = anyhow!(
                    "after {} passes {} still differ, because {} is being written to. Stop what pushes and works \
                     there{}, and run the same command again: it goes on where this one ended",
                    moved.passes,
                    carry::keys(put + removed),
                    self.from.url,
                    if self.pause.is_none() {
                        ", or let it wait with --pause"
                    } else {
                        ", or give a longer --pause"
                    }
                );
                return Err(Failure::new(FAILURE, error));
            }
            if let Some(pause) = self.pause
                && paused.is_none()
                && put + removed <= PAUSE_AT
            {
                self.pause_writers(pause.as_millis()).await?;
                paused = Some(Instant::now());
            }
        }
    }

    /// Compares all keys, and makes the target's as the source's.
    async fn pass(&mut self, number: u32, begun_at: Option<(u64, u64)>) -> Result<Vec<Tally>> {
        let counts = self.count().await?;
        let mut databases: Vec<u64> = counts.iter().map(|(db, _)| *db).collect();
        databases.extend(self.to.databases().await?.into_iter().map(|(db, _)| db));
        databases.sort_unstable();
        databases.dedup();
        let mut bar = Bar::new(format!("pass {number}"), counts.iter().map(|(_, keys)| keys).sum());
        let mut tallies = Vec::new();
        for db in databases {
            let mut tally = Tally { db, ..Tally::default() };
            match begun_at {
                Some((begun, _)) if db < begun => {}
                Some((begun, cursor)) if db == begun => self.put_all(&mut tally, cursor, &mut bar).await?,
                _ => self.put_all(&mut tally, 0, &mut bar).await?,
            }
            self.remove_others(&mut tally).await?;
            if tally.keys + tally.removed > 0 {
                tallies.push(tally);
            }
        }
        Ok(tallies)
    }

    async fn put_all(&mut self, tally: &mut Tally, mut cursor: u64, bar: &mut Bar) -> Result<()> {
        let (db, mut seen) = (tally.db, HashSet::new());
        for step in 0_usize.. {
            let (next, keys) = self.from.scan(db, cursor, self.pattern.as_deref()).await?;
            let name = |key: &[u8]| Digest::of_key(db, key, Digest::default(), None);
            let fresh: Vec<_> =
                keys.into_iter().filter(|key| !self.is_mark(db, key) && seen.insert(name(key))).collect();
            let (ours, theirs) = (self.from.fetch(db, &fresh).await?, self.to.fetch(db, &fresh).await?);
            let tolerance = self.from.tolerance_ms().max(self.to.tolerance_ms());
            let mut different = Vec::new();
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                // What has ended or gone since it was listed goes with those that are in the target alone.
                let Some(ours) = ours else { continue };
                tally.keys += 1;
                tally.digest_from.add(ours.digest);
                match theirs {
                    Some(theirs) if ours.is_same(&theirs, tolerance) => tally.digest_to.add(theirs.digest),
                    _ => different.push(ours),
                }
            }
            if !different.is_empty() {
                self.to.put(db, &different).await?;
                tally.put += different.len() as u64;
            }
            bar.add(fresh.len() as u64);
            cursor = next;
            if step % STEPS_PER_MARK == STEPS_PER_MARK - 1 || cursor == 0 {
                let mut pipeline = redis::pipe();
                pipeline.cmd("HSET").arg(MARK).arg("db").arg(db).arg("cursor").arg(cursor);
                self.to.send(0, &pipeline).await?;
            }
            if cursor == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Removes from the target what is not in the source.
    async fn remove_others(&mut self, tally: &mut Tally) -> Result<()> {
        let mut cursor = 0;
        loop {
            let (next, mut keys) = self.to.scan(tally.db, cursor, self.pattern.as_deref()).await?;
            keys.retain(|key| !self.is_mark(tally.db, key));
            let there = self.from.exist(tally.db, &keys).await?;
            let gone: Vec<_> =
                keys.into_iter().zip(there).filter(|(_, there)| !there).map(|(key, _)| key).collect();
            // Ended keys go by themselves there as here.
            let gone: Vec<_> = {
                let there = self.to.exist(tally.db, &gone).await?;
                gone.into_iter().zip(there).filter(|(_, there)| *there).map(|(key, _)| key).collect()
            };
            self.to.remove(tally.db, &gone).await?;
            tally.removed += gone.len() as u64;
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    fn is_mark(&self, db: u64, key: &[u8]) -> bool {
        db == 0 && key == MARK.as_bytes()
    }
}

impl Moved {
    /// The keys that the last pass put and removed.
    fn changes(&self) -> (u64, u64) {
        (
            self.tallies.iter().map(|tally| tally.put).sum(),
            self.tallies.iter().map(|tally| tally.removed).sum(),
        )
    }

    fn show(&self, store: &settings::Store, from: &str, to: &str) -> Result<()> {
        let keys: u64 = self.tallies.iter().map(|tally| tally.keys).sum();
        if !store.json {
            let row = |tally: &Tally| {
                let is_same = if tally.digest_from == tally.digest_to { "the same" } else { "different" };
                [tally.db.to_string(), count(tally.keys), tally.digest_from.to_string(), is_same.to_owned()]
            };
            let rows: Vec<_> = self.tallies.iter().map(row).collect();
            output::table(["db", "keys", "digest", "in the target"], &rows)?;
        }
        let sentence = format!(
            "moved {} from {from} to {to} in {:.1} s: {} put and {} removed in {} passes, of which the last found \
             no difference",
            carry::keys(keys),
            self.time.as_secs_f64(),
            count(self.put),
            count(self.removed),
            self.passes
        );
        let databases: Vec<_> = self
            .tallies
            .iter()
            .map(|tally| json!({ "db": tally.db, "keys": tally.keys, "digest": tally.digest_from.to_string() }))
            .collect();
        let json = json!({
            "keys": keys, "put": self.put, "removed": self.removed, "passes": self.passes, "databases": databases,
        });
        done(store, &sentence, &json)
    }
}
