//! The directory of a database: who owns it, what it may hold, where its socket is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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
const FILE_MODE: u32 = 0o600;
/// More is not read from a file that holds a line.
const LINE_BYTES_MAX: u64 = 4096;

/// A directory that this process owns while this lives.
pub struct Directory {
    path: PathBuf,
    socket: PathBuf,
    /// Its kernel lock ends with this value, and with the process.
    lock: File,
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
            return Err(foreign("it is a file"));
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
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut lock = options.open(&lock_path).map_err(Error::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_line(&lock_path).and_then(|line| line.split(' ').next()?.parse().ok());
                let socket =
                    read_line(&path.join(SOCKET_PATH_NAME)).map_or(path.join(SOCKET_NAME), PathBuf::from);
                return Err(Error::Owned { directory: path.to_owned(), pid, socket });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", lock_path)(error)),
        }
        // Information only: who reads it must not conclude from it whether the owner lives.
        let line = format!("{} windlass {}\n", std::process::id(), env!("CARGO_PKG_VERSION"));
        let note = lock.set_len(0).and_then(|()| lock.write_all(line.as_bytes()));
        note.map_err(Error::io("write", &lock_path))?;
        let socket = choose_socket(path)?;
        Ok(Self { path: path.to_owned(), socket, lock })
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
        // To close the file would not do: a child that this process is just starting has it, too, until it runs its own
        // program. What cannot be unlocked is once all of them have closed it.
        let _ = self.lock.unlock();
    }
}

/// Whether a process has the directory open, and which one, as far as it is known. It takes no lock, not even for a
/// moment: an owner that starts meanwhile must not find one.
pub fn owner(directory: &Path) -> Option<Option<u32>> {
    let lock = directory.join(LOCK_NAME);
    let pid = read_line(&lock).and_then(|line| line.split(' ').next()?.parse().ok());
    let is_locked = fs::metadata(&lock).ok().and_then(|found| is_in_lock_table(found.ino(), pid));
    let is_served = || {
        let socket =
            read_line(&directory.join(SOCKET_PATH_NAME)).map_or(directory.join(SOCKET_NAME), PathBuf::from);
        std::os::unix::net::UnixStream::connect(socket).is_ok()
    };
    is_locked.unwrap_or_else(is_served).then_some(pid)
}

/// Whether the system's table of locks has an exclusive one on the file with this number; none where there is no such
/// table. File systems disagree on how they write the device, so that the process has to be the right one, too.
fn is_in_lock_table(inode: u64, pid: Option<u32>) -> Option<bool> {
    let table = fs::read_to_string("/proc/locks").ok()?;
    let (inode, pid) = (inode.to_string(), pid?.to_string());
    // A line is `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END`.
    Some(table.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.contains(&"FLOCK")
            && words.contains(&pid.as_str())
            && words
                .iter()
                .any(|word| word.rsplit(':').next() == Some(&inode) && word.matches(':').count() == 2)
    }))
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
