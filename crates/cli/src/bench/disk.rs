//! How long the disk takes to make a small record safe: what every durable figure stands on.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many records are written, of about the size of one push.
const RECORDS: usize = 200;
const RECORD_BYTES: usize = 256;

/// The median time to append a record to a file beside `directory` and sync it.
pub fn sync_time(directory: &Path) -> std::io::Result<Duration> {
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    let path = parent.unwrap_or(Path::new(".")).join(format!(".windlass-bench-{}", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
    let mut times = Vec::with_capacity(RECORDS);
    let measured = (0..RECORDS).try_for_each(|_| {
        let start = Instant::now();
        file.write_all(&[b'x'; RECORD_BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
        Ok(())
    });
    std::fs::remove_file(&path)?;
    times.sort_unstable();
    measured.map(|()| times[RECORDS / 2])
}
