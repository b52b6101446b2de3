//! `windlass export` and `windlass import`: a store's keys and libraries of functions to a file, and back.

use std::collections::HashSet;

use anyhow::anyhow;
use serde_json::json;
use windlass_db::carry::{Digest, Library};

use super::{Directory, connect_to_carry, done};
use crate::args::{ExportArgs, ImportArgs};
use crate::carry::{self, Bar, Filter, Form, Item, Named, Part, Store, count};
use crate::exit::{CONFIGURATION, FAILURE, Failure, Result, USAGE};
use crate::settings;

/// So many keys and libraries are named when they stand in the way.
const NAMED_MAX: usize = 3;

pub async fn export(args: ExportArgs, pattern: Option<String>, store: &settings::Store) -> Result<()> {
    Form::of(&args.file).map_err(|error| Failure::new(USAGE, error))?;
    if args.file.exists() && !args.force {
        let error = anyhow!("{} is there already; --force replaces it", args.file.display());
        return Err(Failure::new(CONFIGURATION, error));
    }
    let mut from = Store::open(&connect_to_carry(store, Directory::Found).await?, &store.url).await?;
    if args.by_type {
        from.read_by_type();
    }
    // They belong to no pattern.
    let libraries = match pattern {
        None => from.libraries().await?.unwrap_or_default(),
        Some(_) => Vec::new(),
    };
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
    let (keys, digest) = carry::write(&args.file, &libraries, fill).await?;
    let libraries = libraries.len() as u64;
    let contents = carry::contents(keys, libraries);
    let sentence = format!("{contents} in {}, digest {digest}", args.file.display());
    let json = json!({
        "keys": keys, "libraries": libraries, "file": args.file.to_string_lossy(), "digest": digest.to_string(),
    });
    done(store, &sentence, &json)
}

/// What is known of a key by its name alone.
fn name(key: &[u8]) -> Digest {
    Digest::of_key(0, key, Digest::default(), None)
}

pub async fn import(args: ImportArgs, pattern: Option<String>, store: &settings::Store) -> Result<()> {
    let filter = Filter { pattern, types: args.types.clone() };
    Form::of(&args.file).map_err(|error| Failure::new(USAGE, error))?;
    let mut to = Store::open(&connect_to_carry(store, Directory::Made).await?, &store.url).await?;
    if args.by_type {
        to.write_by_type();
    }
    let found = look(&args, &filter, &mut to).await?;
    if found.different() > 0 && !args.replace {
        return Err(Failure::new(FAILURE, found.refusal(&args, &to)));
    }
    let (mut put, mut loaded, mut libraries) = (0, 0, Named::default());
    let mut bar = Bar::new("importing", found.keys);
    let mut parts = carry::read(&args.file, &filter)?;
    while let Some(part) = parts.recv().await {
        let batch = match part? {
            Part::Keys(batch) => current(batch),
            Part::Library(library) => {
                if libraries.compare(&library, &mut to).await? != Some(true) {
                    to.load_library(&library).await?;
                    loaded += 1;
                }
                continue;
            }
        };
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
    let wrong = verified.different() + verified.missing + verified.missing_libraries;
    if wrong > 0 {
        let error = anyhow!(
            "{} of {} differ from the file after the import: somebody else writes to {}, or takes from it. Run it \
             again when nobody does",
            count(wrong),
            carry::contents(verified.keys, verified.libraries),
            to.url
        );
        return Err(Failure::new(FAILURE, error));
    }
    let of_libraries = match verified.libraries {
        0 => String::new(),
        all => format!(
            "; {}: {loaded} loaded, {} there already",
            carry::libraries(all),
            all.saturating_sub(loaded)
        ),
    };
    let sentence = format!(
        "{} as in {}: {} put, {} there already, {} left out because they have ended{of_libraries}; digest {}",
        carry::keys(verified.keys),
        args.file.display(),
        count(put),
        count(verified.keys.saturating_sub(put)),
        count(verified.ended),
        verified.digest
    );
    let json = json!({
        "keys": verified.keys, "put": put, "ended": verified.ended, "libraries": verified.libraries, "loaded": loaded,
        "digest": verified.digest.to_string(),
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
    /// The names of the keys that are there with another value or end.
    different: Vec<String>,
    libraries: u64,
    missing_libraries: u64,
    /// The names of those that are there with another source.
    different_libraries: Vec<String>,
    digest: Digest,
}

impl Found {
    /// How many keys and libraries are there otherwise.
    fn different(&self) -> u64 {
        (self.different.len() + self.different_libraries.len()) as u64
    }

    /// Why nothing is imported.
    fn refusal(&self, args: &ImportArgs, to: &Store) -> anyhow::Error {
        let libraries = self.different_libraries.iter().map(|name| format!("the library `{name}`"));
        let names = libraries.chain(self.different.iter().map(|key| format!("`{key}`")));
        let names: Vec<_> = names.take(NAMED_MAX).collect();
        anyhow!(
            "{} of {} {} another value in {}: {}{}. Nothing was imported; --replace puts those of the file in their \
             place",
            carry::contents(self.different.len() as u64, self.different_libraries.len() as u64),
            args.file.display(),
            if self.different() == 1 { "has" } else { "have" },
            to.url,
            names.join(", "),
            if self.different() > NAMED_MAX as u64 { " and others" } else { "" }
        )
    }

    async fn compare_library(&mut self, library: &Library, there: &mut Named, to: &mut Store) -> Result<()> {
        self.libraries += 1;
        match there.compare(library, to).await? {
            None => self.missing_libraries += 1,
            Some(true) => self.digest.add(Digest::of_library(library.source())),
            Some(false) => self.different_libraries.push(library.name().to_owned()),
        }
        Ok(())
    }
}

/// Reads a file to its end and compares it with the store. A file that is not whole is refused by that before anything
/// of it is imported.
async fn look(args: &ImportArgs, filter: &Filter, to: &mut Store) -> Result<Found> {
    let (mut found, mut libraries) = (Found::default(), Named::default());
    let mut parts = carry::read(&args.file, filter)?;
    let mut bar = Bar::new("comparing", 0);
    while let Some(part) = parts.recv().await {
        let batch = match part? {
            Part::Keys(batch) => batch,
            Part::Library(library) => {
                found.compare_library(&library, &mut libraries, to).await?;
                continue;
            }
        };
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
