//! `windlass export` and `windlass import`: a store's keys to a file, and back.

use std::collections::HashSet;

use anyhow::anyhow;
use serde_json::json;
use windlass_db::carry::Digest;

use super::{connect_to_carry, done};
use crate::args::{ExportArgs, ImportArgs};
use crate::carry::{self, Bar, Filter, Form, Item, Store, count};
use crate::exit::{CONFIGURATION, FAILURE, Failure, Result, USAGE};
use crate::settings;

/// So many keys are named when they stand in the way.
const NAMED_MAX: usize = 3;

pub async fn export(args: ExportArgs, pattern: Option<String>, store: &settings::Store) -> Result<()> {
    Form::of(&args.file).map_err(|error| Failure::new(USAGE, error))?;
    if args.file.exists() && !args.force {
        let error = anyhow!("{} is there already; --force replaces it", args.file.display());
        return Err(Failure::new(CONFIGURATION, error));
    }
    let mut from = Store::open(&connect_to_carry(store).await?, &store.url).await?;
    if args.by_type {
        from.read_by_type();
    }
    let libraries = if pattern.is_none() { from.libraries().await?.len() } else { 0 };
    if libraries > 0 {
        eprintln!(
            "{libraries} libraries of functions are not in the file; `windlass move` and `windlass backup` take them along"
        );
    }
    let databases = from.databases().await?;
    let mut bar = Bar::new("exporting", databases.iter().map(|(_, keys)| keys).sum());
    let fill = async |write: &mut dyn FnMut(&Item) -> anyhow::Result<()>| {
        for (db, _) in databases {
            // A key that a scan gives twice is written once.
            let mut seen: HashSet<Digest> = HashSet::new();
            let mut cursor = 0;
            loop {
                let (next, keys) = from.scan(db, cursor, pattern.as_deref()).await?;
                let fresh: Vec<_> = keys.into_iter().filter(|key| seen.insert(name(key))).collect();
                from.fetch(db, &fresh).await?.iter().flatten().try_for_each(&mut *write)?;
                bar.add(fresh.len() as u64);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        drop(bar);
        Ok(())
    };
    let (keys, digest) = carry::write(&args.file, fill).await?;
    let sentence = format!("{} in {}, digest {digest}", carry::keys(keys), args.file.display());
    done(
        store,
        &sentence,
        &json!({ "keys": keys, "file": args.file.to_string_lossy(), "digest": digest.to_string() }),
    )
}

/// What is known of a key by its name alone.
fn name(key: &[u8]) -> Digest {
    Digest::of_key(0, key, Digest::default(), None)
}

pub async fn import(args: ImportArgs, pattern: Option<String>, store: &settings::Store) -> Result<()> {
    let filter = Filter { pattern, types: args.types.clone() };
    Form::of(&args.file).map_err(|error| Failure::new(USAGE, error))?;
    let mut to = Store::open(&connect_to_carry(store).await?, &store.url).await?;
    if args.by_type {
        to.write_by_type();
    }
    let found = look(&args, &filter, &mut to).await?;
    if !found.different.is_empty() && !args.replace {
        let names: Vec<_> = found.different.iter().take(NAMED_MAX).map(|key| format!("`{key}`")).collect();
        let error = anyhow!(
            "{} of {} {} another value in {}: {}{}. Nothing was imported; --replace puts those of the file in their \
             place",
            carry::keys(found.different.len() as u64),
            args.file.display(),
            if found.different.len() == 1 { "has" } else { "have" },
            to.url,
            names.join(", "),
            if found.different.len() > NAMED_MAX { " and others" } else { "" }
        );
        return Err(Failure::new(FAILURE, error));
    }
    let mut put = 0;
    let mut bar = Bar::new("importing", found.keys);
    let mut batches = carry::read(&args.file, &filter)?;
    while let Some(batch) = batches.recv().await {
        let batch = current(batch?);
        let Some(db) = batch.first().map(|item| item.saved.db) else { continue };
        let keys: Vec<_> = batch.iter().map(|item| item.saved.key.clone()).collect();
        let tolerance = to.tolerance_ms();
        let there = to.fetch(db, &keys).await?;
        let is_same = |there: &Option<Item>, item: &Item| {
            there.as_ref().is_some_and(|there| there.is_same(item, tolerance))
        };
        let missing: Vec<Item> = batch
            .into_iter()
            .zip(there)
            .filter(|(item, there)| !is_same(there, item))
            .map(|(item, _)| item)
            .collect();
        if !missing.is_empty() {
            to.put(db, &missing).await?;
        }
        put += missing.len() as u64;
        bar.add(keys.len() as u64);
    }
    drop(bar);
    let verified = look(&args, &filter, &mut to).await?;
    let wrong = verified.different.len() as u64 + verified.missing;
    if wrong > 0 {
        let error = anyhow!(
            "{} of {} differ from the file after the import: somebody else writes to {}, or takes from it. Run it \
             again when nobody does",
            count(wrong),
            carry::keys(verified.keys),
            to.url
        );
        return Err(Failure::new(FAILURE, error));
    }
    let sentence = format!(
        "{} as in {}: {} put, {} there already, {} left out because they have ended; digest {}",
        carry::keys(verified.keys),
        args.file.display(),
        count(put),
        count(verified.keys.saturating_sub(put)),
        count(verified.ended),
        verified.digest
    );
    let json = json!({
        "keys": verified.keys, "put": put, "ended": verified.ended, "digest": verified.digest.to_string(),
    });
    done(store, &sentence, &json)
}

/// What of a file is in a store.
#[derive(Default)]
struct Found {
    /// Those in the file that have not ended.
    keys: u64,
    ended: u64,
    missing: u64,
    /// The names of those that are there with another value or end.
    different: Vec<String>,
    digest: Digest,
}

/// Reads a file to its end and compares it with the store. A file that is not whole is refused by that before anything
/// of it is imported.
async fn look(args: &ImportArgs, filter: &Filter, to: &mut Store) -> Result<Found> {
    let mut found = Found::default();
    let mut batches = carry::read(&args.file, filter)?;
    let mut bar = Bar::new("comparing", 0);
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        let all = batch.len() as u64;
        let batch = current(batch);
        found.ended += all - batch.len() as u64;
        bar.add(all);
        let Some(db) = batch.first().map(|item| item.saved.db) else { continue };
        found.keys += batch.len() as u64;
        let keys: Vec<_> = batch.iter().map(|item| item.saved.key.clone()).collect();
        let there = to.fetch(db, &keys).await?;
        for (item, there) in batch.iter().zip(there) {
            match there {
                None => found.missing += 1,
                Some(there) if there.is_same(item, to.tolerance_ms()) => found.digest.add(item.whole()),
                Some(_) => found.different.push(String::from_utf8_lossy(&item.saved.key).into_owned()),
            }
        }
    }
    Ok(found)
}

/// The keys that have not ended.
fn current(batch: Vec<Item>) -> Vec<Item> {
    let now_ms = jiff::Timestamp::now().as_millisecond().cast_unsigned();
    batch.into_iter().filter(|item| item.saved.expires_ms.is_none_or(|end| end > now_ms)).collect()
}
