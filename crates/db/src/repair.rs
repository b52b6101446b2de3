//! Makes a damaged directory one that opens again, from what of it is whole.
//!
//! Nothing is changed in place. What is to be kept is read into an engine of its own and written as a fresh base; a
//! manifest that names it takes the place of the old one in one step, as in every rewrite of the log. The files as they
//! were are put aside before that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use windlass_engine::{Config as EngineConfig, Engine};

use crate::base;
use crate::check::{Check, Depth, Files, Later, Walk, check};
use crate::directory::{Directory, make_folder};
use crate::disk::{Disk, SystemDisk};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Part};
use crate::recovery::remove_history;
use crate::spill::Output;

/// How the names of the folders begin in which damaged files are kept.
pub const ASIDE_PREFIX: &str = "damaged-";

/// What is kept of a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All before the first damage: the content as it was at one moment.
    Before,
    /// Whole groups after it as well, if every record of them fits. What they relied on may be among what is lost.
    Later,
}

/// A repair that can be done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Repair {
    /// What is wrong.
    pub check: Check,
    /// The records that are kept.
    pub records_kept: u64,
    /// The whole records that are given up.
    pub records_lost: u64,
    /// The bytes of the log that are given up, damaged ones among them. How many records those held is not known.
    pub bytes_lost: u64,
    keep: Keep,
    config: EngineConfig,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// Where the files are as they were.
    pub aside: PathBuf,
    /// The keys that are there now.
    pub keys: usize,
    /// The bytes of the new log.
    pub bytes: u64,
}

impl Repair {
    /// Finds out what a repair would do; none when nothing is damaged. It changes nothing.
    ///
    /// # Errors
    /// [`Error::Unrepairable`] when nothing would be left, or when later groups do not fit; otherwise as
    /// [`check`].
    pub fn plan(directory: &Path, config: &EngineConfig, keep: Keep) -> Result<Option<Self>> {
        // Damage is known by its file: a path from somewhere else would be another one.
        let directory =
            &std::path::absolute(directory).map_err(Error::io("find the absolute path of", directory))?;
        let check = check(directory, &Depth::Records(Box::new(config.clone())))?;
        if check.is_whole() {
            return Ok(None);
        }
        let (records, bytes) = (check.records(), check.bytes());
        let refuse = |reason: String| Error::Unrepairable { directory: directory.to_owned(), reason };
        let before = check.before;
        let (records_kept, bytes_lost) = match keep {
            Keep::Before => {
                let kept: u64 = check.files.iter().take(before.file).map(|file| file.bytes).sum();
                (before.records, bytes - (kept + before.offset).min(bytes))
            }
            Keep::Later => (records, check.damage.iter().map(|damage| damage.bytes).sum()),
        };
        if records_kept + before.keys == 0 {
            let hint = match keep {
                Keep::Before if records > 0 => "`--keep-later` keeps what comes after the damage",
                _ => "restore a backup",
            };
            return Err(refuse(format!("nothing would be left of it; {hint}")));
        }
        let records_lost = records - records_kept;
        let plan = Self { check, records_kept, records_lost, bytes_lost, keep, config: config.clone() };
        if keep == Keep::Later {
            plan.collect(directory).map_err(|error| match error {
                Error::Damaged { file, offset, reason } => refuse(format!(
                    "what comes after the damage relies on what is lost: in {} at byte {offset}, {reason}; without \
                     `--keep-later` it is given up",
                    file.display()
                )),
                other => other,
            })?;
        }
        Ok(Some(plan))
    }

    /// Does the repair. The files as they were are put into a folder of the directory, whose name ends with `stamp`.
    ///
    /// # Errors
    /// [`Error::Owned`] when a process has the directory open, [`Error::Io`] and [`Error::NotWritable`] when something cannot be written; the
    /// manifest is as it was then.
    pub fn run(&self, stamp: &str) -> Result<Repaired> {
        self.apply(stamp).map_err(|error| error.at_opening(&self.check.directory))
    }

    fn apply(&self, stamp: &str) -> Result<Repaired> {
        let path = &self.check.directory;
        let mut directory = Directory::own(path)?;
        let folder = directory.log_folder();
        let engine = self.collect(path)?;
        directory.sign()?;
        let old = Files::find(path)?.manifest.unwrap_or_default();
        let aside = put_aside(path, &folder, stamp)?;

        let disk = SystemDisk;
        let number = next_number(&folder, &old)?;
        let (base, incremental) = (Part::base(number), Part::incremental(number));
        let (content, keys) = (engine.freeze(), engine.freeze().len());
        let file_path = folder.join(&base.name);
        let file = disk.create(&file_path).map_err(Error::io("make", &file_path))?;
        let output = Output::new(&*file, base::SYNC_BYTES, None);
        let written = base::write(content, output, |_| true).map_err(Error::io("write", &file_path));
        if written.is_err() {
            // On a full disk the room is needed; a file that no manifest names does no harm otherwise.
            let _ = disk.remove(&file_path);
        }
        let bytes = written?.expect("it is not given up");
        let next = folder.join(&incremental.name);
        disk.create(&next).map_err(Error::io("make", &next))?;
        disk.sync_folder(&folder).map_err(Error::io("sync", &folder))?;
        let fresh = old.replaced_by(base, incremental);
        fresh.store(&disk, &folder)?;
        remove_history(&folder, fresh, &disk)?;
        Ok(Repaired { aside, keys, bytes })
    }

    /// Reads what is kept into an engine.
    fn collect(&self, directory: &Path) -> Result<Engine> {
        let files = Files::find(directory)?;
        let engine = Some(Engine::new(self.config.clone()));
        let mut walk = match self.keep {
            Keep::Before => Walk::new(engine, Later::Counted),
            Keep::Later => Walk::new(engine, Later::Taken),
        };
        let until = (self.keep == Keep::Before).then_some(self.check.before);
        walk.files(&files.parts, until)?;
        let expected = match self.keep {
            Keep::Before => &[][..],
            Keep::Later => self.check.damage.as_slice(),
        };
        // What was wrong with the manifest itself is not in the files.
        let other = walk.found.damage.iter().find(|damage| !expected.contains(damage));
        if let Some(damage) = other {
            let (file, offset, reason) = (damage.file.clone(), damage.offset, damage.reason.clone());
            return Err(Error::Damaged { file, offset, reason });
        }
        Ok(walk.engine.expect("it was given one"))
    }
}

/// Puts the files of the log as they are into a folder of their own; answers it.
fn put_aside(directory: &Path, folder: &Path, stamp: &str) -> Result<PathBuf> {
    let aside = directory.join(format!("{ASIDE_PREFIX}{stamp}"));
    if aside.exists() {
        let error = io::ErrorKind::AlreadyExists.into();
        return Err(Error::io("make the directory", &aside)(error));
    }
    make_folder(&aside, &SystemDisk)?;
    make_folder(folder, &SystemDisk)?;
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let (from, to) = (entry.path(), aside.join(entry.file_name()));
        // The old files are never written to again, so that another name for them is as good as a copy.
        fs::hard_link(&from, &to)
            .or_else(|_| fs::copy(&from, &to).map(drop))
            .map_err(Error::io("keep aside", &from))?;
    }
    for folder in [&aside, directory] {
        SystemDisk.sync_folder(folder).map_err(Error::io("sync", folder))?;
    }
    Ok(aside)
}

/// A number that no file of the log has used, whether or not a manifest names it.
fn next_number(folder: &Path, manifest: &Manifest) -> Result<u64> {
    let (base, incremental) = manifest.next_sequences();
    let mut number = base.max(incremental);
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let used = Part::by_name(&name.to_string_lossy()).map_or(0, |part| part.sequence);
        number = number.max(used.saturating_add(1));
    }
    Ok(number)
}
