//! A disk that a test controls: syncs that take as long as the test says, failures, a crash at the Nth operation.
//! Nothing is really synced: a test does not cut the power.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use windlass_db::faults::Operation;
use windlass_db::{Disk, DiskFile, SystemDisk};

/// A clone is the same disk.
#[derive(Clone, Default)]
pub struct TestDisk {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    operations: Vec<Operation>,
    is_gate_closed: bool,
    at_gate: usize,
    is_base_gate_closed: bool,
    at_base_gate: usize,
    is_full_for_base: bool,
    is_full_for_spill: bool,
    failing: Option<(Operation, usize)>,
    crash_at: Option<usize>,
}

impl TestDisk {
    /// Makes every sync of a file wait until the gate is opened.
    pub fn close_gate(&self) {
        self.lock().is_gate_closed = true;
    }

    pub fn open_gate(&self) {
        self.lock().is_gate_closed = false;
        self.state.1.notify_all();
    }

    /// Waits until a sync waits at the gate.
    pub fn wait_for_sync(&self) {
        let state = self.lock();
        drop(self.state.1.wait_while(state, |state| state.at_gate == 0).unwrap());
    }

    /// Makes every write to a base or a snapshot wait until the gate is opened.
    pub fn close_base_gate(&self) {
        self.lock().is_base_gate_closed = true;
    }

    pub fn open_base_gate(&self) {
        self.lock().is_base_gate_closed = false;
        self.state.1.notify_all();
    }

    /// Waits until a write to a base waits at the gate.
    pub fn wait_for_base(&self) {
        let state = self.lock();
        drop(self.state.1.wait_while(state, |state| state.at_base_gate == 0).unwrap());
    }

    /// Refuses writes to a base, as a disk does that has room for little more.
    pub fn fill_for_base(&self) {
        self.lock().is_full_for_base = true;
    }

    /// As [`fill_for_base`](Self::fill_for_base), for the file beside a base.
    pub fn fill_for_spill(&self) {
        self.lock().is_full_for_spill = true;
    }

    /// Makes the operation fail after `count` more that succeed.
    pub fn fail_after(&self, operation: Operation, count: usize) {
        self.lock().failing = Some((operation, count));
    }

    pub fn heal(&self) {
        let mut state = self.lock();
        state.failing = None;
        state.is_full_for_base = false;
        state.is_full_for_spill = false;
    }

    /// Lets `count` more operations happen; the next is done by half, and none after it has an effect.
    pub fn crash_after(&self, count: usize) {
        let mut state = self.lock();
        state.crash_at = Some(state.operations.len() + count);
    }

    pub fn operations(&self) -> usize {
        self.lock().operations.len()
    }

    pub fn count(&self, operation: Operation) -> usize {
        self.lock().operations.iter().filter(|done| **done == operation).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// Counts an operation; false when only its first half is to happen.
    fn begin(&self, operation: Operation) -> io::Result<bool> {
        let mut state = self.lock();
        let number = state.operations.len();
        if state.crash_at.is_some_and(|at| number > at) {
            return Err(io::Error::other("crashed"));
        }
        state.operations.push(operation);
        if let Some((failing, left)) = &mut state.failing
            && *failing == operation
        {
            if *left == 0 {
                return Err(io::Error::other("injected"));
            }
            *left -= 1;
        }
        Ok(state.crash_at != Some(number))
    }

    fn whole(&self, operation: Operation) -> io::Result<()> {
        if self.begin(operation)? { Ok(()) } else { Err(io::Error::other("crashed")) }
    }

    fn file(&self, path: &Path, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let name = path.to_string_lossy();
        let is_base = name.ends_with(".base.aof") || name.ends_with(".rdb");
        Arc::new(TestFile { disk: self.clone(), is_base, is_spill: name.ends_with("temp-spill"), inner })
    }

    /// What happens to a write to a base before it is written.
    fn pass_base_gate(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.at_base_gate += 1;
        self.state.1.notify_all();
        state = self.state.1.wait_while(state, |state| state.is_base_gate_closed).unwrap();
        state.at_base_gate -= 1;
        if state.is_full_for_base { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.whole(Operation::Create)?;
        SystemDisk.create(path).map(|file| self.file(path, file))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.whole(Operation::Append)?;
        SystemDisk.append(path).map(|file| self.file(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Operation::Rename)?;
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole(Operation::Remove)?;
        SystemDisk.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        // Not among the operations that a test counts.
        SystemDisk.make_folder(path)
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.whole(Operation::SyncFolder)
    }
}

struct TestFile {
    disk: TestDisk,
    is_base: bool,
    is_spill: bool,
    inner: Arc<dyn DiskFile>,
}

impl DiskFile for TestFile {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_base {
            self.disk.pass_base_gate()?;
        }
        if self.is_spill && self.disk.lock().is_full_for_spill {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.disk.begin(Operation::Write)? {
            return self.inner.write(bytes).map(|()| bytes.len());
        }
        self.inner.write(&bytes[..bytes.len() / 2])?;
        Err(io::Error::other("crashed"))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.whole(Operation::Sync)?;
        let (mutex, changed) = &*self.disk.state;
        let mut state = mutex.lock().unwrap();
        state.at_gate += 1;
        changed.notify_all();
        state = changed.wait_while(state, |state| state.is_gate_closed).unwrap();
        state.at_gate -= 1;
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.whole(Operation::Truncate)?;
        self.inner.truncate(length)
    }
}
