//! A copy of a directory as it is at one moment, whether or not a process has it open.
//!
//! No owner is asked. Files that a manifest names are only ever added to at the end of the last one, so that the files
//! of one manifest, as long as they are when they were opened, are the log up to a moment: everything that had been
//! acknowledged by then is in it, since a reply leaves after its record was written. An owner that rewrites its log
//! meanwhile deletes names, not open files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::check::{Check, Depth, Files, check};
use crate::directory::LOG_FOLDER;
use crate::disk::{Disk, SystemDisk};
use crate::error::{Error, Result};

/// How often the files are looked for again because the owner replaced them meanwhile.
const TRIES_MAX: usize = 5;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A backup that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// The bytes of its files.
    pub bytes: u64,
    /// The records in it, snapshots of Redis's not counted.
    pub records: u64,
}

/// Copies the database in `directory` to a new directory `to`, which is there when it is whole and safe from a power
/// cut. Every group of the copy is checked.
///
/// ```
/// use windlass_db::{Called, Config, Database, backup};
///
/// let directory = tempfile::tempdir()?;
/// let (database, _) = Database::open(directory.path().join("data"), Config::default())?;
/// let Called::Reply(_, position) = database.session("example").call(&[b"SET", b"k", b"v"]) else { unreachable!() };
/// database.wait_durable(position)?;
/// backup::backup(&directory.path().join("data"), &directory.path().join("copy"))?;
/// let (copy, _) = Database::open(directory.path().join("copy"), Config::default())?;
/// assert!(matches!(copy.session("example").call(&[b"GET", b"k"]), Called::Reply(value, _) if value == "v".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Exists`] when there is something at `to`, [`Error::Damaged`] and [`Error::Missing`] when the directory is
/// not whole, [`Error::Foreign`] when it is none of a database. Nothing is left at `to` then.
pub fn backup(directory: &Path, to: &Path) -> Result<Backup> {
    let is_taken = fs::read_dir(to).map_or_else(|_| to.exists(), |mut entries| entries.next().is_some());
    if is_taken {
        return Err(Error::Exists { path: to.to_owned() });
    }
    let unfinished = Unfinished::beside(to)?;
    let found = copy_all(directory, &unfinished.0).map_err(|error| error.at_opening(to))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::rename(&unfinished.0, to).map_err(Error::io("make", to))?;
    SystemDisk.sync_folder(parent).map_err(Error::io("sync", parent))?;
    let torn = found.torn.as_ref().map_or(0, |torn| torn.bytes);
    Ok(Backup { path: to.to_owned(), bytes: found.bytes() - torn, records: found.records() })
}

/// A directory that is being made; dropped, it goes.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(to: &Path) -> Result<Self> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let path = to.with_file_name(format!(".{name}.{}", std::process::id()));
        make_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After success it has its real name. Otherwise what made it fail is told, not that this failed as well.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_all(directory: &Path, to: &Path) -> Result<Check> {
    let (files, sources) = open_all(directory)?;
    let folder = if files.manifest.is_some() { to.join(LOG_FOLDER) } else { to.to_owned() };
    if files.manifest.is_some() {
        make_folder(&folder)?;
    }
    for (file, (source, length)) in files.parts.iter().zip(sources) {
        let path = folder.join(file.path.file_name().expect("a file of a log has a name"));
        let copy = || -> io::Result<()> {
            let mut target = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path)?;
            if io::copy(&mut source.take(length), &mut target)? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            target.sync_all()
        };
        copy().map_err(Error::io("write", &path))?;
    }
    if let Some(manifest) = &files.manifest {
        manifest.without_history().store(&SystemDisk, &folder)?;
    }
    let found = check(to, &Depth::Form)?;
    if let Some(damage) = found.damage.first() {
        // It is the original that is damaged.
        let file = directory.join(damage.file.strip_prefix(to).unwrap_or(&damage.file));
        return Err(Error::Damaged { file, offset: damage.offset, reason: damage.reason.clone() });
    }
    if let Some(torn) = &found.torn {
        // The last group was just being written, and so was not acknowledged.
        let cut = || -> io::Result<()> {
            let file = OpenOptions::new().write(true).open(&torn.file)?;
            file.set_len(torn.offset)?;
            file.sync_all()
        };
        cut().map_err(Error::io("cut", &torn.file))?;
    }
    SystemDisk.sync_folder(to).map_err(Error::io("sync", to))?;
    Ok(found)
}

/// The files of one manifest, all of them open, each with the length that counts.
fn open_all(directory: &Path) -> Result<(Files, Vec<(File, u64)>)> {
    let mut tried = 1;
    loop {
        let files = Files::find(directory)?;
        files.refuse_damage()?;
        let open = |file: &crate::check::LogFile| {
            let opened =
                File::open(&file.path).and_then(|open| open.metadata().map(|found| (open, found.len())));
            opened.map_err(|error| (file.clone(), error))
        };
        let opened: std::result::Result<Vec<_>, _> = files.parts.iter().map(open).collect();
        match opened {
            Ok(opened) => return Ok((files, opened)),
            // The owner has replaced its log, or the file is really missing.
            Err((_, error)) if error.kind() == io::ErrorKind::NotFound && tried < TRIES_MAX => tried += 1,
            Err((file, error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing { file: file.path, is_base: file.is_base });
            }
            Err((file, error)) => return Err(Error::io("open", file.path)(error)),
        }
    }
}

fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path).map_err(Error::io("make the directory", path))
}
