//! Looks whether a directory is whole, without changing or loading anything.
//!
//! What an opening refuses at the first place, a check follows to the end: each place that is not whole is told with
//! its file, its offset and how far it goes. `repair` decides by that what can be kept. Files are read as an opening
//! reads them, by `log`; only what becomes of their records differs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use windlass_engine::{Config as EngineConfig, Engine, SessionId, Time};

use crate::directory::{self, LOG_FOLDER};
use crate::error::{Error, Result};
use crate::log::{self, Content, Place};
use crate::manifest::{self, Kind, Manifest, Part};
use crate::recovery::Cut;

/// How often a directory is looked at again because its owner replaced files meanwhile.
const TRIES_MAX: usize = 5;

/// How deep a check looks.
#[derive(Clone, Debug)]
pub enum Depth {
    /// Checksums, sequences and forms. It takes no memory for the data.
    Form,
    /// The records as well, each after those before it, as an opening does with these settings; it takes as much
    /// memory as the data.
    Records(Box<EngineConfig>),
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The directory.
    pub directory: PathBuf,
    /// True when a process has the directory open: then the end of the log may just be being written.
    pub is_open: bool,
    /// The process that has it open, as far as it is known.
    pub owner: Option<u32>,
    /// The files of the log, in order.
    pub files: Vec<CheckedFile>,
    /// The end that the next opening cuts, because a crash tore it.
    pub torn: Option<Cut>,
    /// Every place that is not whole, in order. An opening refuses the first.
    pub damage: Vec<Damage>,
    /// The whole groups and records before the first damage, and where that is.
    pub before: Sound,
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// True for the base, the whole content at one moment.
    pub is_base: bool,
    /// Its bytes.
    pub bytes: u64,
    /// The whole groups in it.
    pub groups: u64,
    /// The sequence of the last of them.
    pub sequence: u64,
    /// The records in whole groups, and those of Redis's own.
    pub records: u64,
    /// The keys of the snapshot of Redis's with which it begins.
    pub keys: u64,
}

/// A place that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// The bytes up to the next whole group, or to the file's end.
    pub bytes: u64,
    /// What is wrong.
    pub reason: String,
}

/// What comes before the first damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sound {
    /// The number of the file with the damage, among the log's.
    pub file: usize,
    /// The end of the last whole group in that file.
    pub offset: u64,
    /// The records.
    pub records: u64,
    /// The keys of snapshots of Redis's.
    pub keys: u64,
}

impl Check {
    /// True when an opening takes the directory.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    /// The whole records in all files.
    pub fn records(&self) -> u64 {
        self.files.iter().map(|file| file.records).sum()
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Checks a directory. It changes nothing and takes no lock, so that a database that is open goes on.
///
/// ```
/// use windlass_db::{Config, Database, check};
///
/// let directory = tempfile::tempdir()?;
/// let (database, _) = Database::open(directory.path(), Config::default())?;
/// database.session("example").call(&[b"SET", b"k", b"v"]);
/// database.stop()?;
/// let found = check::check(directory.path(), &check::Depth::Form)?;
/// assert!(found.is_whole());
/// assert_eq!(found.records(), 2, "SELECT and SET");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Foreign`] when it is no directory of a database, [`Error::Unsupported`] when a file is of a later version,
/// [`Error::Io`] when a file cannot be read.
pub fn check(directory: &Path, depth: &Depth) -> Result<Check> {
    let mut tried = 1;
    loop {
        let files = Files::find(directory)?;
        let found = look(directory, &files, depth)?;
        // An owner that rewrites its log deletes files under our eyes; then there is another manifest.
        let is_stale = !found.is_whole() && Files::find(directory).is_ok_and(|now| now != files);
        if !is_stale || tried == TRIES_MAX {
            return Ok(found);
        }
        tried += 1;
    }
}

fn look(directory: &Path, files: &Files, depth: &Depth) -> Result<Check> {
    let engine = match depth {
        Depth::Form => None,
        Depth::Records(config) => Some(Engine::new((**config).clone())),
    };
    let mut walk = Walk::new(engine, Later::Counted);
    walk.found.directory = directory.to_owned();
    let owner = directory::owner(directory);
    walk.found.is_open = owner.is_some();
    walk.found.owner = owner.flatten();
    walk.found.damage.extend(files.damage.clone());
    walk.files(&files.parts, None)?;
    Ok(walk.found)
}

/// The files that make up the log of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// In the order in which they are read.
    pub parts: Vec<LogFile>,
    /// The same, as the manifest has them or would have them; none for a single file that Redis left.
    pub manifest: Option<Manifest>,
    /// What is wrong with the manifest.
    damage: Option<Damage>,
}

/// A file of the log and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub path: PathBuf,
    pub is_base: bool,
    pub may_be_torn: bool,
}

impl Files {
    /// Reads the manifest of a directory, or guesses it by the names of the files where it cannot be read.
    pub fn find(directory: &Path) -> Result<Self> {
        let folder = directory.join(LOG_FOLDER);
        if !is_folder(&folder, directory)? {
            return Self::inherited(directory);
        }
        let path = folder.join(manifest::NAME);
        let (offset, reason) = match fs::read(&path) {
            Ok(bytes) => match Manifest::decode(&String::from_utf8_lossy(&bytes), &path) {
                Ok(manifest) => return Ok(Self::of(&folder, manifest, None)),
                Err(Error::Damaged { offset, reason, .. }) => (offset, reason),
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (0, "it is missing".to_owned()),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let damage = Damage { file: path, offset, bytes: 0, reason };
        Ok(Self::of(&folder, guess_manifest(directory, &folder)?, Some(damage)))
    }

    /// Refuses files whose manifest cannot be read.
    pub fn refuse_damage(&self) -> Result<()> {
        match self.damage.clone() {
            Some(Damage { file, offset, reason, .. }) => Err(Error::Damaged { file, offset, reason }),
            None => Ok(()),
        }
    }

    fn of(folder: &Path, manifest: Manifest, damage: Option<Damage>) -> Self {
        let last = manifest.live().next_back().cloned();
        let parts = manifest.live().map(|part| LogFile {
            path: folder.join(&part.name),
            is_base: part.kind == Kind::Base,
            may_be_torn: part.kind == Kind::Incremental && Some(part) == last.as_ref(),
        });
        Self { parts: parts.collect(), manifest: Some(manifest), damage }
    }

    /// What Redis left in one file.
    fn inherited(directory: &Path) -> Result<Self> {
        let is_folder = is_folder(directory, directory)?;
        let found = if is_folder { directory::inheritance(directory)? } else { None };
        let Some(path) = found else {
            let what = match is_folder {
                true => format!("it holds no `{LOG_FOLDER}`"),
                false if directory.exists() => directory::A_FILE.into(),
                false => "there is nothing at that path".into(),
            };
            let reason = format!("{what}; name the directory that the data is in");
            return Err(Error::Foreign { directory: directory.to_owned(), reason });
        };
        let parts = vec![LogFile { path, is_base: false, may_be_torn: true }];
        Ok(Self { parts, manifest: None, damage: None })
    }
}

/// Whether there is a folder at `path`, as far as this user may see.
fn is_folder(path: &Path, directory: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(Error::io("look at", path)(error).at_opening(directory)),
    }
}

/// The manifest that the names in the folder speak for.
fn guess_manifest(directory: &Path, folder: &Path) -> Result<Manifest> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name().to_string_lossy().into_owned();
        parts.extend(Part::by_name(&name));
    }
    parts.sort_by_key(|part| part.sequence);
    let bases = parts.iter().filter(|part| part.kind == Kind::Base).count();
    if parts.is_empty() || bases > 1 {
        let reason = format!(
            "{LOG_FOLDER} has no {} that can be read, and {} which could be guessed from; restore a backup, or copy the \
             directory again",
            manifest::NAME,
            if bases > 1 { "more than one base" } else { "no file" },
        );
        return Err(Error::Foreign { directory: directory.to_owned(), reason });
    }
    Ok(Manifest::new(parts))
}

/// What becomes of whole groups that come after damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    /// They are counted.
    Counted,
    /// They are taken like the others; one that does not fit is an error.
    Taken,
}

/// Goes through the files of a log.
pub(crate) struct Walk {
    /// Takes the records, if they are to be taken.
    pub engine: Option<Engine>,
    later: Later,
    pub found: Check,
}

impl Walk {
    pub fn new(engine: Option<Engine>, later: Later) -> Self {
        Self { engine, later, found: Check::default() }
    }

    /// Goes through `files`, up to the place `until` in one of them.
    pub fn files(&mut self, files: &[LogFile], until: Option<Sound>) -> Result<()> {
        for (number, file) in files.iter().enumerate() {
            let until = match until {
                Some(until) if number > until.file => return Ok(()),
                Some(until) if number == until.file => Some(until.offset),
                _ => None,
            };
            if until == Some(0) {
                return Ok(());
            }
            self.file(number, file, until)?;
        }
        Ok(())
    }

    fn file(&mut self, number: usize, file: &LogFile, until: Option<u64>) -> Result<()> {
        let path = file.path.clone();
        let bytes = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let reason = "it is missing, although the manifest names it".to_owned();
                self.note(Damage { file: path, offset: 0, bytes: 0, reason });
                return Ok(());
            }
            Err(error) => return Err(Error::io("look at", path)(error)),
        };
        let is_base = file.is_base;
        let checked =
            CheckedFile { path: path.clone(), is_base, bytes, groups: 0, sequence: 0, records: 0, keys: 0 };
        self.found.files.push(checked);
        self.mark(number, 0);
        let Some(mut place) = self.snapshot(&path, bytes)? else { return Ok(()) };
        self.mark(number, place.offset);
        loop {
            let (content, outcome) = self.part(&path, place, until, file.may_be_torn)?;
            let groups = content.next_sequence - place.sequence;
            let checked = self.found.files.last_mut().expect("it was just added");
            checked.records += content.records;
            checked.groups += groups;
            if groups > 0 {
                checked.sequence = content.next_sequence - 1;
            }
            if self.is_sound() {
                self.found.before.records += content.records;
            }
            self.mark(number, content.end);
            let (offset, reason) = match outcome {
                Ok(()) => {
                    if content.end < content.length && until.is_none() {
                        let bytes = content.length - content.end;
                        self.found.torn = Some(Cut { file: path, offset: content.end, bytes });
                    }
                    return Ok(());
                }
                Err(Error::Damaged { offset, reason, .. }) => (offset, reason),
                Err(error) => return Err(error),
            };
            let next = log::find_group(&path, content.end, content.next_sequence)?;
            let end = next.map_or(content.length, |next| next.offset);
            self.note(Damage { file: path.clone(), offset, bytes: end - content.end, reason });
            match next {
                Some(next) => place = next,
                None => return Ok(()),
            }
        }
    }

    /// Goes through the snapshot with which a file may begin; answers the place behind it.
    fn snapshot(&mut self, path: &Path, length: u64) -> Result<Option<Place>> {
        let takes = self.takes();
        let read = match &mut self.engine {
            Some(engine) if takes => log::read_snapshot(path, engine),
            _ => log::skip_snapshot(path),
        };
        match read {
            Ok(snapshot) => {
                let checked = self.found.files.last_mut().expect("it was just added");
                checked.keys = snapshot.keys;
                if self.is_sound() {
                    self.found.before.keys += snapshot.keys;
                }
                Ok(Some(Place::at(snapshot.bytes)))
            }
            Err(Error::Damaged { file, offset, reason }) => {
                let next = log::find_group(path, offset, 0)?;
                let bytes = next.map_or(length, |next| next.offset);
                self.note(Damage { file, offset, bytes, reason });
                Ok(next)
            }
            Err(error) => Err(error),
        }
    }

    fn part(
        &mut self,
        path: &Path,
        place: Place,
        until: Option<u64>,
        may_be_torn: bool,
    ) -> Result<(Content, Result<()>)> {
        let takes = self.takes();
        match &mut self.engine {
            Some(engine) if takes => {
                let session = engine.open_session("check", Time::default());
                let read =
                    log::read_part(path, place, until, may_be_torn, &mut |args| take(engine, session, args));
                engine.close_session(session);
                read
            }
            _ => log::read_part(path, place, until, may_be_torn, &mut |_| Ok(())),
        }
    }

    fn takes(&self) -> bool {
        self.is_sound() || self.later == Later::Taken
    }

    fn is_sound(&self) -> bool {
        self.found.damage.is_empty()
    }

    /// Notes how far all is sound.
    fn mark(&mut self, file: usize, offset: u64) {
        if self.is_sound() {
            self.found.before.file = file;
            self.found.before.offset = offset;
        }
    }

    fn note(&mut self, damage: Damage) {
        if self.is_sound() && self.found.files.last().is_none_or(|last| last.path != damage.file) {
            // A file that is missing has no place in the list of those that are there.
            self.found.before.file = self.found.files.len();
            self.found.before.offset = 0;
        }
        self.found.damage.push(damage);
    }
}

/// Takes a record, or says why it does not fit.
pub(crate) fn take(
    engine: &mut Engine,
    session: SessionId,
    args: &[&[u8]],
) -> std::result::Result<(), String> {
    engine.replay(session, args).map_err(|error| {
        let name = String::from_utf8_lossy(args[0]);
        format!("the record {name} does not fit the data before it: {error}")
    })
}
