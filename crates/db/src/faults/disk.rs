//! A disk that fails when it is told to.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, SystemDisk};

/// The operating system's file system without a sync, for tests that neither fail nor cut the power.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnsyncedDisk;

impl Disk for UnsyncedDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.create(path).map(|file| Arc::new(UnsyncedFile(file)) as _)
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.append(path).map(|file| Arc::new(UnsyncedFile(file)) as _)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.make_folder(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct UnsyncedFile(Arc<dyn DiskFile>);

impl DiskFile for UnsyncedFile {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_some(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
}

/// What a database does to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Making a file.
    Create,
    /// Opening a file to write at its end.
    Append,
    /// Writing at the end of a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Cutting a file.
    Truncate,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
    /// Making a folder.
    MakeFolder,
    /// Syncing the names in a folder.
    SyncFolder,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Append,
        Self::Write,
        Self::Sync,
        Self::Truncate,
        Self::Rename,
        Self::Remove,
        Self::MakeFolder,
        Self::SyncFolder,
    ];
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// With an error; a write has written half of its bytes by then.
    Error(ErrorKind),
    /// A write takes half of its bytes, as the system's may at any time. Other operations succeed.
    Short,
    /// A signal comes first: a write takes nothing and has to be tried again. Other operations succeed, because the
    /// standard library tries them again by itself.
    Interrupted,
    /// It says that it succeeded and did nothing, as a disk that lies.
    Skipped,
}

/// Which operations fail, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Only these; all when there is none.
    pub operation: Option<Operation>,
    /// So many of them succeed first.
    pub after: usize,
    /// How many fail from then on; `usize::MAX` for all until the disk is healed.
    pub count: usize,
    /// How they fail.
    pub failure: Failure,
}

/// A disk that passes operations to another one, but for those that a [`Fault`] makes fail. A clone is the same disk.
#[derive(Clone)]
pub struct FaultDisk<D> {
    inner: D,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// The operations that the fault is about, since it was set.
    seen: usize,
    /// All operations.
    operations: usize,
    /// How many operations failed.
    failures: usize,
    /// The files that were opened.
    files: usize,
    /// The files of which a sync failed.
    lost: BTreeSet<usize>,
    /// The syncs of those after that.
    syncs_of_lost: usize,
}

/// What becomes of an operation.
enum Fate {
    Done,
    Half,
    Skipped,
    Failed(io::Error),
}

impl<D> FaultDisk<D> {
    /// A disk that is sound until [`fail`](Self::fail).
    pub fn new(inner: D) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Makes operations fail from now on, in place of what was said before.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.state.lock();
        (state.fault, state.seen) = (Some(fault), 0);
    }

    /// Lets every later operation succeed.
    pub fn heal(&self) {
        self.state.lock().fault = None;
    }

    /// How many operations there were.
    pub fn operations(&self) -> usize {
        self.state.lock().operations
    }

    /// How many of them failed.
    pub fn failures(&self) -> usize {
        self.state.lock().failures
    }

    /// How often a file was synced although a sync of it had failed: a system may have dropped what it could not write,
    /// and the second sync then succeeds without it.
    pub fn syncs_of_lost(&self) -> usize {
        self.state.lock().syncs_of_lost
    }

    fn fate(&self, operation: Operation) -> Fate {
        let mut state = self.state.lock();
        state.operations += 1;
        let Some(fault) = state.fault.filter(|f| f.operation.is_none_or(|only| only == operation)) else {
            return Fate::Done;
        };
        state.seen += 1;
        if state.seen <= fault.after || state.seen - fault.after > fault.count {
            return Fate::Done;
        }
        let is_write = operation == Operation::Write;
        match fault.failure {
            Failure::Error(kind) => {
                state.failures += 1;
                Fate::Failed(kind.into())
            }
            Failure::Interrupted if is_write => Fate::Failed(ErrorKind::Interrupted.into()),
            Failure::Short if is_write => Fate::Half,
            Failure::Short | Failure::Interrupted => Fate::Done,
            Failure::Skipped => Fate::Skipped,
        }
    }

    fn act(&self, operation: Operation, act: impl FnOnce(&D) -> io::Result<()>) -> io::Result<()> {
        match self.fate(operation) {
            Fate::Done | Fate::Half => act(&self.inner),
            Fate::Skipped => Ok(()),
            Fate::Failed(error) => Err(error),
        }
    }

    fn open(
        &self,
        operation: Operation,
        open: impl FnOnce(&D) -> io::Result<Arc<dyn DiskFile>>,
    ) -> io::Result<Arc<dyn DiskFile>>
    where
        D: Disk + Clone,
    {
        if let Fate::Failed(error) = self.fate(operation) {
            return Err(error);
        }
        let inner = open(&self.inner)?;
        let mut state = self.state.lock();
        state.files += 1;
        Ok(Arc::new(FaultFile { disk: self.clone(), inner, number: state.files }))
    }
}

impl<D: Disk + Clone> Disk for FaultDisk<D> {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(Operation::Create, |disk| disk.create(path))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(Operation::Append, |disk| disk.append(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(Operation::Rename, |disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::Remove, |disk| disk.remove(path))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::MakeFolder, |disk| disk.make_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::SyncFolder, |disk| disk.sync_folder(path))
    }
}

struct FaultFile<D> {
    disk: FaultDisk<D>,
    inner: Arc<dyn DiskFile>,
    number: usize,
}

impl<D: Disk + Clone> DiskFile for FaultFile<D> {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let half = &bytes[..bytes.len().div_ceil(2)];
        match self.disk.fate(Operation::Write) {
            Fate::Done => self.inner.write_some(bytes),
            Fate::Half => self.inner.write_some(half),
            Fate::Skipped => Ok(bytes.len()),
            Fate::Failed(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Fate::Failed(error) => {
                self.inner.write(half)?;
                Err(error)
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.state.lock().lost.contains(&self.number) {
            self.disk.state.lock().syncs_of_lost += 1;
        }
        let done = self.disk.act(Operation::Sync, |_| self.inner.sync());
        if done.is_err() {
            self.disk.state.lock().lost.insert(self.number);
        }
        done
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.act(Operation::Truncate, |_| self.inner.truncate(length))
    }
}
