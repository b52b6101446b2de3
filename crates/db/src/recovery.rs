//! Brings a directory's log into the engine when a database is opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use windlass_engine::{Engine, Time};

use crate::directory::{LOG_FOLDER, make_log_folder};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::log::{self, Content, Writer};
use crate::manifest::{self, Kind, Manifest, Part};

/// What was found when a database was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The records that were replayed.
    pub records: u64,
    /// The bytes of the log's files.
    pub bytes: u64,
    /// What was cut from the log's end, when a crash had torn it.
    pub cut: Option<Cut>,
    /// How long it took.
    pub millis: u64,
}

/// A torn end of the log that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The log's last file.
    pub file: PathBuf,
    /// Where it now ends, in bytes.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}

/// Replays the log in `folder` into `engine`, and answers a writer at its end. An absent log is made.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Unsupported`] when the log cannot be replayed as a whole; nothing is changed then.
pub fn recover(engine: &mut Engine, folder: &Path, disk: &dyn Disk) -> Result<(Writer, Recovery)> {
    let started = Instant::now();
    let manifest = match read_manifest(folder)? {
        Some(manifest) => manifest,
        None => begin(folder, disk)?,
    };
    let mut recovery = Recovery::default();
    let mut base_bytes = 0;
    let mut last = Content { next_sequence: 1, ..Content::default() };
    let final_name = manifest.live().next_back().map(|part| part.name.clone());
    for part in manifest.live() {
        let path = folder.join(&part.name);
        let may_be_torn = part.kind == Kind::Incremental && Some(&part.name) == final_name.as_ref();
        last = replay(engine, &path, may_be_torn)?;
        recovery.records += last.records;
        recovery.bytes += last.end;
        if part.kind == Kind::Base {
            base_bytes = last.end;
        }
        if last.end < last.length {
            recovery.cut = Some(Cut { file: path, offset: last.end, bytes: last.length - last.end });
        }
    }
    let manifest = clean(folder, manifest, disk)?;
    let (manifest, file, sequence) = open_last(folder, manifest, &last, disk)?;
    let mut writer = Writer::new(folder.to_owned(), manifest, file, sequence);
    writer.base_bytes = base_bytes;
    writer.incremental_bytes = recovery.bytes - base_bytes;
    recovery.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((writer, recovery))
}

fn read_manifest(folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.join(manifest::NAME);
    match fs::read_to_string(&path) {
        Ok(text) => Manifest::decode(&text, &path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Makes an empty log.
fn begin(folder: &Path, disk: &dyn Disk) -> Result<Manifest> {
    make_log_folder(folder)?;
    let parent = folder.parent().expect("the log's folder is in the directory");
    disk.sync_folder(parent).map_err(Error::io("sync", parent))?;
    // An opening that a crash interrupted leaves empty files; others are somebody's data without its manifest.
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let length = entry.metadata().map_err(Error::io("look at", entry.path()))?.len();
        if length > 0 && name != manifest::TEMPORARY_NAME {
            let reason = format!("{LOG_FOLDER} holds `{name}` but no {}", manifest::NAME);
            return Err(Error::Foreign { directory: parent.to_owned(), reason });
        }
    }
    let manifest = Manifest::new([Part::incremental(1)]);
    create_parts(folder, &manifest, disk)?;
    Ok(manifest)
}

/// Makes the last file of a manifest, and puts the manifest in force.
fn create_parts(folder: &Path, manifest: &Manifest, disk: &dyn Disk) -> Result<()> {
    let path = folder.join(&manifest.last().expect("it was just added").name);
    disk.create(&path).map_err(Error::io("make", &path))?;
    manifest.store(disk, folder)
}

fn replay(engine: &mut Engine, path: &Path, may_be_torn: bool) -> Result<Content> {
    // Each file is read by a new session: it begins in database 0, as in Redis.
    let session = engine.open_session("log", Time::default());
    let content = log::read(path, may_be_torn, &mut |args| {
        engine.replay(session, args).map_err(|error| {
            let name = String::from_utf8_lossy(args[0]);
            format!("the record {name} does not fit the data before it: {error}")
        })
    });
    engine.close_session(session);
    content
}

/// Deletes what the log no longer or not yet consists of: history, temporary files and the files of a compaction
/// that a crash interrupted before its manifest was in force.
fn clean(folder: &Path, manifest: Manifest, disk: &dyn Disk) -> Result<Manifest> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part = name.starts_with(manifest::PREFIX) && name != manifest::NAME && !manifest.names(&name);
        let is_empty = entry.metadata().map_err(Error::io("look at", entry.path()))?.len() == 0;
        let is_unfinished = is_part && (name.ends_with(".base.aof") || is_empty);
        if is_unfinished || name.starts_with("temp-") {
            disk.remove(&entry.path()).map_err(Error::io("remove", entry.path()))?;
        }
    }
    remove_history(folder, manifest, disk)
}

/// Deletes the files of the history, then their lines.
pub fn remove_history(folder: &Path, manifest: Manifest, disk: &dyn Disk) -> Result<Manifest> {
    if manifest.history().next().is_none() {
        return Ok(manifest);
    }
    for part in manifest.history() {
        let path = folder.join(&part.name);
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path)(error));
            }
            _ => {}
        }
    }
    let manifest = manifest.without_history();
    manifest.store(disk, folder)?;
    Ok(manifest)
}

type Last = (Manifest, std::sync::Arc<dyn crate::disk::DiskFile>, u64);

/// Opens the file that grows, cut to its last whole group; makes one when there is only a base.
fn open_last(folder: &Path, manifest: Manifest, content: &Content, disk: &dyn Disk) -> Result<Last> {
    let (manifest, sequence) = match manifest.last() {
        Some(_) => (manifest, content.next_sequence),
        None => {
            let (_, next) = manifest.next_sequences();
            let manifest = manifest.with(Part::incremental(next));
            create_parts(folder, &manifest, disk)?;
            (manifest, 1)
        }
    };
    let path = folder.join(&manifest.last().expect("seen or just added").name);
    let file = disk.append(&path).map_err(Error::io("open", &path))?;
    if content.end < content.length {
        file.truncate(content.end).and_then(|()| file.sync()).map_err(Error::io("cut", &path))?;
    }
    Ok((manifest, file, sequence))
}
