//! The directory of a database: who owns it, what it may hold, where its socket is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, SystemDisk};
use crate::error::{Error, Result};
use crate::log;

/// The folder of the log, as Redis calls it.
pub const LOG_FOLDER: &str = "appendonlydir";
/// A log of a Redis before 7, a single file.
const SINGLE_LOG_NAME: &str = "appendonly.aof";
/// A snapshot of Redis's.
pub const SNAPSHOT_NAME: &str = "dump.rdb";
/// The file whose kernel lock says who owns the directory.
const LOCK_NAME: &str = "windlass.lock";
/// The owner's socket.
const SOCKET_NAME: &str = "windlass.sock";
/// Where the path of the owner's socket is written when the one in the directory would be too long.
const SOCKET_PATH_NAME: &str = "windlass.sock.path";
/// The longest path of a socket; systems differ, none allows less.
const SOCKET_PATH_BYTES_MAX: usize = 100;
/// What a path is that should be a directory's.
pub const A_FILE: &str = "it is a file";
const FILE_MODE: u32 = 0o600;
/// More is not read from a file that holds a line.
const LINE_BYTES_MAX: u64 = 4096;

/// A directory that this process owns while this lives.
pub struct Directory {
    path: PathBuf,
    socket: PathBuf,
    /// Its kernel lock ends with this value, and with the process.
    lock: File,
    /// True while the lock's file is one that was not there before and says nothing yet.
    is_new: bool,
}

/// What names a directory whatever path leads to it.
pub type Identity = (u64, u64);

impl Directory {
    /// Makes the directory if there is none, and answers what names it.
    ///
    /// # Errors
    /// [`Error::Foreign`] when it is no directory or holds something else.
    pub fn prepare(path: &Path, disk: &dyn Disk) -> Result<Identity> {
        make_folders(path, disk)?;
        let metadata = fs::metadata(path).map_err(Error::io("look at", path))?;
        let foreign = |reason: &str| Error::Foreign { directory: path.to_owned(), reason: reason.into() };
        if !metadata.is_dir() {
            return Err(foreign(&format!("{A_FILE}; name a directory")));
        }
        if !path.join(LOG_FOLDER).is_dir() && !path.join(LOCK_NAME).exists() {
            let inheritance = inheritance(path)?;
            if let Some(file) = &inheritance {
                // Refused here, it is refused before anything is made in the directory.
                log::check_version(file)?;
            }
            let entries = fs::read_dir(path).map_err(Error::io("list", path))?;
            for entry in entries.filter(|_| inheritance.is_none()) {
                let name = entry.map_err(Error::io("list", path))?.file_name();
                // Another opener may have begun since we looked for these.
                if [LOCK_NAME, LOG_FOLDER, SOCKET_NAME, SOCKET_PATH_NAME].iter().any(|ours| name == *ours) {
                    continue;
                }
                return Err(foreign(&format!(
                    "it holds `{}` but no `{LOG_FOLDER}`, so that it belongs to another program; name an empty or a new \
                     directory. Nothing in it was changed",
                    name.to_string_lossy()
                )));
            }
        }
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Takes the ownership of a prepared directory.
    ///
    /// # Errors
    /// [`Error::Owned`] when another process has it.
    pub fn own(path: &Path) -> Result<Self> {
        let lock_path = path.join(LOCK_NAME);
        let (lock, is_new) = loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).mode(FILE_MODE);
            let made = options.clone().create_new(true).open(&lock_path);
            let is_new = made.is_ok();
            let lock = match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match options.open(&lock_path) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        lock => lock,
                    }
                }
                made => made,
            };
            let lock = lock.map_err(Error::io("open", &lock_path))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let pid = owner(path).flatten();
                    return Err(Error::Owned { directory: path.to_owned(), pid, socket: noted_socket(path) });
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", lock_path)(error)),
            }
            // Whoever could not use the directory has removed the file that it had made, perhaps just now.
            let held = lock.metadata().map_err(Error::io("look at", &lock_path))?;
            if fs::metadata(&lock_path).is_ok_and(|found| is_same_file(&found, &held)) {
                break (lock, is_new);
            }
        };
        let mut owned = Self { path: path.to_owned(), socket: PathBuf::new(), lock, is_new };
        owned.socket = choose_socket(path)?;
        Ok(owned)
    }

    /// Writes down whose it is, once that is sure: a directory that is refused stays as it is. It is information only: who
    /// reads it must not conclude from it whether the owner lives.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sign(&mut self) -> Result<()> {
        let line = format!("{} windlass {}\n", std::process::id(), env!("CARGO_PKG_VERSION"));
        let signed = self.lock.set_len(0).and_then(|()| self.lock.write_all_at(line.as_bytes(), 0));
        signed.map_err(Error::io("write", self.path.join(LOCK_NAME)))?;
        self.is_new = false;
        Ok(())
    }

    /// The folder of the log.
    pub fn log_folder(&self) -> PathBuf {
        self.path.join(LOG_FOLDER)
    }

    /// Where its owner is to serve others.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_new {
            // While it is locked, so that nobody has it who would rely on it.
            let _ = fs::remove_file(self.path.join(LOCK_NAME));
        }
        // To close the file would not do: a child that this process is just starting has it, too, until it runs its own
        // program. What cannot be unlocked is once all of them have closed it.
        let _ = self.lock.unlock();
    }
}

/// Whether a process has the directory open, and which one, as far as it is known. It takes no lock, not even for a
/// moment: an owner that starts meanwhile must not find one.
pub fn owner(directory: &Path) -> Option<Option<u32>> {
    let lock = directory.join(LOCK_NAME);
    let noted = read_line(&lock).and_then(|line| line.split(' ').next()?.parse().ok());
    let found = fs::metadata(&lock).ok()?;
    let table = fs::read_to_string("/proc/locks").ok();
    if let Some(holder) = table.as_ref().and_then(|table| holder(table, &found, noted)) {
        return Some(Some(holder));
    }
    // There is no table, or it has the lock under another device; who is noted is perhaps the owner before.
    let is_served = std::os::unix::net::UnixStream::connect(noted_socket(directory)).is_ok();
    is_served.then_some(noted.filter(|_| table.is_none()))
}

/// The process that has an exclusive lock on a file, by the system's table of locks. File systems disagree on how they
/// write the device; where it differs, the process has to be the noted one.
fn holder(table: &str, file: &fs::Metadata, noted: Option<u32>) -> Option<u32> {
    let device = device_name(file.dev());
    // A line is `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END`.
    table.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        let pid: u32 = words.next()?.parse().ok()?;
        let (at, inode) = words.next()?.rsplit_once(':')?;
        let is_it = inode == file.ino().to_string() && (at == device || Some(pid) == noted);
        is_it.then_some(pid)
    })
}

/// A device as Linux writes it in its tables, from the number that it gives programs.
fn device_name(device: u64) -> String {
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & !0xff;
    format!("{major:02x}:{minor:02x}")
}

/// Where the owner of a directory serves others.
fn noted_socket(directory: &Path) -> PathBuf {
    read_line(&directory.join(SOCKET_PATH_NAME)).map_or(directory.join(SOCKET_NAME), PathBuf::from)
}

fn is_same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The file in a directory without a log's folder from which Redis would start: a single log, or a snapshot.
///
/// # Errors
/// [`Error::Foreign`] when there are both, since only Redis's configuration says which is the newer.
pub fn inheritance(directory: &Path) -> Result<Option<PathBuf>> {
    let found = |name: &str| Some(directory.join(name)).filter(|path| path.is_file());
    match (found(SINGLE_LOG_NAME), found(SNAPSHOT_NAME)) {
        (Some(_), Some(_)) => Err(Error::Foreign {
            directory: directory.to_owned(),
            reason: format!(
                "it holds `{SINGLE_LOG_NAME}` and `{SNAPSHOT_NAME}`; move away the one from which redis-server did \
                 not start"
            ),
        }),
        (log, snapshot) => Ok(log.or(snapshot)),
    }
}

/// Makes a folder in one that is there, unless it is there.
pub fn make_folder(folder: &Path, disk: &dyn Disk) -> Result<()> {
    match disk.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("make the directory", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a folder and those above it that are not there, and makes their names safe.
fn make_folders(path: &Path, disk: &dyn Disk) -> Result<()> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    while let Some(folder) = missing.pop() {
        make_folder(folder, disk)?;
        if let Some(parent) = folder.parent() {
            disk.sync_folder(parent).map_err(Error::io("sync", parent))?;
        }
    }
    Ok(())
}

/// Makes the names of a folder and of those above it safe: a process that was killed may have made them and no more.
/// Those above may be other people's, who do not let us open them; then we have not made what is in them.
pub fn sync_names(path: &Path, disk: &dyn Disk) -> Result<()> {
    for parent in path.ancestors().skip(1) {
        match disk.sync_folder(parent) {
            Err(error) if !is_not_ours(error.kind()) => return Err(Error::io("sync", parent)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// True when a folder cannot be synced because of what it is, rather than because the disk fails.
fn is_not_ours(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(kind, InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// The socket's path: in the directory or, where that would be too long for a socket, in a private folder under the
/// temporary one, which is then written down in the directory.
fn choose_socket(directory: &Path) -> Result<PathBuf> {
    let note = directory.join(SOCKET_PATH_NAME);
    let inside = directory.join(SOCKET_NAME);
    if inside.as_os_str().as_bytes().len() <= SOCKET_PATH_BYTES_MAX {
        if note.exists() {
            fs::remove_file(&note).map_err(Error::io("remove", &note))?;
        }
        return Ok(inside);
    }
    let metadata = fs::metadata(directory).map_err(Error::io("look at", directory))?;
    let name = format!("windlass-{:x}-{:x}", metadata.dev(), metadata.ino());
    let mut folder = std::env::temp_dir().join(&name);
    if folder.join(SOCKET_NAME).as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
        folder = Path::new("/tmp").join(&name);
    }
    make_folder(&folder, &SystemDisk)?;
    // Others may write to the temporary folder: what is there by this name must be ours alone.
    let found = fs::symlink_metadata(&folder).map_err(Error::io("look at", &folder))?;
    if !found.is_dir() || found.mode() & 0o077 != 0 || found.uid() != own_user(&folder)? {
        return Err(Error::Foreign { directory: folder, reason: "others may write there; remove it".into() });
    }
    let socket = folder.join(SOCKET_NAME);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let written = options.open(&note).and_then(|mut file| file.write_all(socket.as_os_str().as_bytes()));
    written.map_err(Error::io("write", &note))?;
    Ok(socket)
}

/// The user that this process makes files as, by a file that it makes for it.
fn own_user(folder: &Path) -> Result<u32> {
    let path = folder.join(format!("user-{}", std::process::id()));
    // One that a process of the same number left behind says nothing.
    let _ = fs::remove_file(&path);
    let made = File::create_new(&path).and_then(|file| file.metadata());
    let removed = fs::remove_file(&path);
    let made = made.map_err(Error::io("make", &path))?;
    removed.map_err(Error::io("remove", &path))?;
    Ok(made.uid())
}

fn read_line(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(LINE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim_end().to_owned()).filter(|line| !line.is_empty())
}
