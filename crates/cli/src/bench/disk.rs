//! How long the disk takes to make a small record safe: what every durable figure stands on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many records are written, of about the size of one push.
const RECORDS: usize = 200;
const RECORD_BYTES: usize = 256;

/// A file that nothing but records are written to; it goes when it is dropped.
pub struct Bare {
    file: File,
    path: PathBuf,
}

impl Bare {
    /// An empty file beside `directory`.
    pub fn beside(directory: &Path) -> std::io::Result<Self> {
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let path = parent.unwrap_or(Path::new(".")).join(format!(".windlass-bench-{}", std::process::id()));
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        Ok(Self { file, path })
    }

    /// The time to append a record and sync it.
    pub fn write(&mut self) -> std::io::Result<Duration> {
        let start = Instant::now();
        self.file.write_all(&[b'x'; RECORD_BYTES])?;
        self.file.sync_data()?;
        Ok(start.elapsed())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It fails only when there is nothing left to remove.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The median time to append a record to a file beside `directory` and sync it.
pub fn sync_time(directory: &Path) -> std::io::Result<Duration> {
    let mut bare = Bare::beside(directory)?;
    let mut times = (0..RECORDS).map(|_| bare.write()).collect::<std::io::Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[RECORDS / 2])
}
