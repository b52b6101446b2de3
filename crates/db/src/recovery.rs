//! Brings a directory's log into the engine when a database is opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use windlass_engine::{Engine, SessionId, Time};

use crate::base;
use crate::check::take;
use crate::directory::{LOG_FOLDER, inheritance, make_folder, sync_names};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::loading::Loaded;
use crate::log::{self, Content, Writer};
use crate::manifest::{self, Kind, Manifest, Part};
use crate::save;
use crate::spill::Output;

/// The base made of what Redis left in one file. No other base has this name: where it is found without a manifest,
/// its making was interrupted, and what it was made of is still there.
const INHERITED_NAME: &str = "appendonly.aof.inherited.base.aof";

/// So many bytes are replayed before it is told again how far it is.
const WATCH_BYTES: u64 = 1 << 20;
/// A file with more bytes of records is read by a thread of its own.
const AHEAD_BYTES_MIN: u64 = 4 << 20;
/// About the bytes of an argument's head and end in the log.
const ARG_FRAME_BYTES: usize = 6;
/// What breaks off a replay that is given up; nobody sees it.
const GIVEN_UP: &str = "the replay was given up";

/// An engine that a log is replayed into, and who looks on.
struct Replay<'a> {
    engine: &'a mut Engine,
    watch: &'a dyn Fn(Loaded) -> bool,
    loaded: Loaded,
    /// The bytes at which it was told last; greater than any when it was given up.
    told: u64,
}

impl Replay<'_> {
    fn take(&mut self, session: SessionId, args: &[&[u8]]) -> std::result::Result<(), String> {
        take(self.engine, session, args)?;
        self.loaded.records += 1;
        self.loaded.bytes += args.iter().map(|arg| arg.len() + ARG_FRAME_BYTES).sum::<usize>() as u64;
        if self.loaded.bytes.saturating_sub(self.told) >= WATCH_BYTES {
            self.told = self.loaded.bytes;
            if !(self.watch)(self.loaded) {
                self.told = u64::MAX;
                return Err(GIVEN_UP.into());
            }
        }
        Ok(())
    }

    fn is_given_up(&self) -> bool {
        self.told == u64::MAX
    }
}

/// What was found when a database was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The records that were replayed.
    pub records: u64,
    /// The keys that were taken from snapshots of Redis's.
    pub keys: u64,
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
///
/// `watch` is told now and then how far it is, and says whether to go on.
pub fn recover(
    engine: &mut Engine,
    folder: &Path,
    disk: &dyn Disk,
    watch: &dyn Fn(Loaded) -> bool,
) -> Result<(Writer, Recovery)> {
    let engine = &mut Replay { engine, watch, loaded: Loaded::default(), told: 0 };
    let started = Instant::now();
    let mut recovery = Recovery::default();
    let mut last = Content { next_sequence: 1, ..Content::default() };
    let (manifest, base_bytes) = match read_manifest(folder)? {
        Some(manifest) => {
            let base_bytes = replay_all(engine, folder, &manifest, &mut recovery, &mut last)?;
            (manifest, base_bytes)
        }
        None => begin(engine, folder, disk, &mut recovery)?,
    };
    // A process that was killed may have put the manifest in force without a sync; what it does without may only go
    // when no power cut brings the older manifest back.
    disk.sync_folder(folder).map_err(Error::io("sync", folder))?;
    let manifest = clean(folder, manifest, disk)?;
    let (manifest, file, sequence) = open_last(folder, manifest, &last, disk)?;
    let mut writer = Writer::new(folder.to_owned(), manifest, file, sequence);
    writer.base_bytes = base_bytes;
    writer.incremental_bytes = recovery.bytes - base_bytes;
    recovery.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((writer, recovery))
}

/// Replays every file of a log; answers the bytes of its base and puts what the last file held into `last`.
fn replay_all(
    engine: &mut Replay<'_>,
    folder: &Path,
    manifest: &Manifest,
    recovery: &mut Recovery,
    last: &mut Content,
) -> Result<u64> {
    let mut base_bytes = 0;
    // Refused here, a directory that was not copied whole is refused before anything of it is read.
    if let Some(part) = manifest.live().find(|part| !folder.join(&part.name).exists()) {
        return Err(Error::Missing { file: folder.join(&part.name), is_base: part.kind == Kind::Base });
    }
    let length = |part: &Part| fs::metadata(folder.join(&part.name)).map_or(0, |found| found.len());
    engine.loaded.bytes_total = manifest.live().map(length).sum();
    let final_name = manifest.live().next_back().map(|part| part.name.clone());
    for part in manifest.live() {
        let path = folder.join(&part.name);
        let may_be_torn = part.kind == Kind::Incremental && Some(&part.name) == final_name.as_ref();
        *last = replay(engine, &path, may_be_torn, recovery)?;
        if part.kind == Kind::Base {
            base_bytes = last.end;
        }
    }
    Ok(base_bytes)
}

fn read_manifest(folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.join(manifest::NAME);
    match fs::read_to_string(&path) {
        Ok(text) => Manifest::decode(&text, &path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Makes a log of what the directory holds, which mostly is nothing; answers the bytes of its base.
///
/// What Redis left in one file is read whole before anything is made, and stays where it is.
fn begin(
    engine: &mut Replay<'_>,
    folder: &Path,
    disk: &dyn Disk,
    recovery: &mut Recovery,
) -> Result<(Manifest, u64)> {
    let parent = folder.parent().expect("the log's folder is in the directory");
    let inheritance = inheritance(parent)?;
    if let Some(path) = &inheritance {
        engine.loaded.bytes_total = fs::metadata(path).map_or(0, |found| found.len());
        // A crash tears the end of a log; a snapshot gets its name when it is whole.
        replay(engine, path, true, recovery)?;
    }
    make_folder(folder, disk)?;
    disk.sync_folder(parent).map_err(Error::io("sync", parent))?;
    sync_names(parent, disk)?;
    // An opening that a crash interrupted leaves empty files, or a base of what still is beside them; others are somebody's data without its manifest.
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let length = entry.metadata().map_err(Error::io("look at", entry.path()))?.len();
        let is_ours = name == manifest::TEMPORARY_NAME || name == INHERITED_NAME;
        if length > 0 && !is_ours {
            let reason = format!(
                "{LOG_FOLDER} holds `{name}` but no {}: it was not copied whole. Copy it again (`windlass backup` makes \
                 whole copies); `windlass repair {} --keep-later` guesses the manifest",
                manifest::NAME,
                parent.display(),
            );
            return Err(Error::Foreign { directory: parent.to_owned(), reason });
        }
    }
    let (mut parts, mut base_bytes) = (vec![Part::incremental(1)], 0);
    if inheritance.is_some() {
        let base = Part { name: INHERITED_NAME.into(), sequence: 1, kind: Kind::Base };
        let path = folder.join(&base.name);
        let file = disk.create(&path).map_err(Error::io("make", &path))?;
        let output = Output::new(&*file, base::SYNC_BYTES, None);
        let written =
            base::write(engine.engine.freeze(), output, |_| true).map_err(Error::io("write", &path))?;
        base_bytes = written.expect("it is not given up");
        disk.sync_folder(folder).map_err(Error::io("sync", folder))?;
        parts.push(base);
        recovery.bytes = base_bytes;
    }
    let manifest = Manifest::new(parts);
    create_parts(folder, &manifest, disk)?;
    Ok((manifest, base_bytes))
}

/// Makes the last file of a manifest, and puts the manifest in force.
fn create_parts(folder: &Path, manifest: &Manifest, disk: &dyn Disk) -> Result<()> {
    let path = folder.join(&manifest.last().expect("it was just added").name);
    disk.create(&path).map_err(Error::io("make", &path))?;
    // The file's name is safe before a manifest that names it may be.
    disk.sync_folder(folder).map_err(Error::io("sync", folder))?;
    manifest.store(disk, folder)
}

/// Replays one file: the snapshot with which it begins, if it does, and its records.
fn replay(
    replay: &mut Replay<'_>,
    path: &Path,
    may_be_torn: bool,
    recovery: &mut Recovery,
) -> Result<Content> {
    let snapshot = log::read_snapshot(path, replay.engine)?;
    let before = replay.loaded.bytes;
    // Each file is read by a new session: it begins in database 0, as in Redis.
    let session = replay.engine.open_session("log", Time::default());
    let content = read(replay, session, path, snapshot.bytes, may_be_torn);
    replay.engine.close_session(session);
    if replay.is_given_up() {
        return Err(Error::Stopped);
    }
    let content = content?;
    // Records were counted without what is between them.
    replay.loaded.bytes = before + content.end;
    recovery.keys += snapshot.keys;
    recovery.records += content.records;
    recovery.bytes += content.end;
    if content.end < content.length {
        let (file, bytes) = (path.to_owned(), content.length - content.end);
        recovery.cut = Some(Cut { file, offset: content.end, bytes });
    }
    Ok(content)
}

/// Replays the records of a file from `start` on.
fn read(
    replay: &mut Replay<'_>,
    session: SessionId,
    path: &Path,
    start: u64,
    may_be_torn: bool,
) -> Result<Content> {
    let length = fs::metadata(path).map_err(Error::io("look at", path))?.len();
    let mut apply = |args: &[&[u8]]| replay.take(session, args);
    if length.saturating_sub(start) < AHEAD_BYTES_MIN {
        return log::read(path, start, may_be_torn, &mut apply);
    }
    let ahead = log::read_ahead(path, start, may_be_torn, &mut apply)?;
    match ahead.refused {
        Some((mut before, reason)) if !replay.is_given_up() => {
            // Once more, for the place of the record that does not fit.
            log::read(path, start, may_be_torn, &mut |_| {
                let is_it = before == 0;
                before = before.saturating_sub(1);
                if is_it { Err(reason.clone()) } else { Ok(()) }
            })
        }
        _ => ahead.content,
    }
}

/// Deletes what the log no longer or not yet consists of: history, temporary files, a snapshot's as well, and the files of a compaction
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
    let snapshot = folder.with_file_name(save::TEMPORARY_NAME);
    if snapshot.exists() {
        disk.remove(&snapshot).map_err(Error::io("remove", snapshot))?;
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
        file.truncate(content.end).map_err(Error::io("cut", &path))?;
    }
    // A process that was killed may have written without a sync. Whoever sees it now may rely on it.
    file.sync().map_err(Error::io("sync", &path))?;
    Ok((manifest, file, sequence))
}
