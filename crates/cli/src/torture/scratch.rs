//! Where stages put their files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder in memory, for the stages that put no trust in a disk.
const MEMORY: &str = "/dev/shm";

/// Two folders: one on the disk that is tried, one in memory if the system has such.
#[derive(Clone, Debug)]
pub struct Scratch {
    disk: PathBuf,
    memory: PathBuf,
    count: Arc<AtomicU64>,
}

impl Scratch {
    /// Makes the folders, below `disk` if that is given.
    pub fn new(disk: Option<&Path>) -> io::Result<Self> {
        let name = format!("windlass-torture-{}", std::process::id());
        let disk = disk.map_or_else(std::env::temp_dir, Path::to_owned).join(&name);
        fs::create_dir_all(&disk)?;
        let disk = fs::canonicalize(disk)?;
        let memory = Path::new(MEMORY).join(&name);
        let memory = if fs::create_dir(&memory).is_ok() { memory } else { disk.clone() };
        Ok(Self { disk, memory, count: Arc::default() })
    }

    /// A new folder on the disk.
    pub fn on_disk(&self) -> io::Result<PathBuf> {
        self.make(&self.disk)
    }

    /// A new folder in memory, or on the disk where there is none.
    pub fn in_memory(&self) -> io::Result<PathBuf> {
        self.make(&self.memory)
    }

    /// Leaves the files for whoever looks into a violation, and says where.
    pub fn keep(&self) -> PathBuf {
        self.disk.clone()
    }

    /// Removes everything; what cannot be removed stays in a temporary folder.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.disk);
        let _ = fs::remove_dir_all(&self.memory);
    }

    fn make(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&path)?;
        Ok(path)
    }
}
