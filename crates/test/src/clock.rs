//! Time that a test moves, on a database of ours and on a real redis-server.
//!
//! The server's time of day is shifted by a small library that is loaded into it before its own ones
//! (`preload/clock.c`), which the C compiler of the machine makes. Nothing else of the server is changed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use windlass_db::ManualClock;
use windlass_engine::Time;

/// The source of the library.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/preload/clock.c");

/// Names the file with the shift to the library.
const SHIFT_FILE: &str = "WINDLASS_CLOCK";

/// A clock that only goes forth. A clone is the same clock.
#[derive(Clone)]
pub enum Clock {
    /// Of a database of ours; it stands still unless it is moved.
    Manual(ManualClock),
    /// Of a redis-server; it goes on beside.
    Shifted(ShiftedClock),
}

impl Clock {
    /// A clock for a database of ours, that stands at the present time.
    pub fn manual() -> (Self, ManualClock) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = ManualClock::new(Time::from_millis(now.as_millis() as u64));
        (Self::Manual(clock.clone()), clock)
    }

    /// Moves the time on.
    ///
    /// # Panics
    /// When the shift of a redis-server cannot be written.
    pub fn advance(&self, by: Duration) {
        match self {
            Self::Manual(clock) => clock.advance(by),
            Self::Shifted(clock) => clock.advance(by).expect("the shift can be written"),
        }
    }
}

/// The time of day of the processes that have its library preloaded.
#[derive(Clone)]
pub struct ShiftedClock {
    inner: Arc<Inner>,
}

struct Inner {
    shift_micros: Mutex<i64>,
    folder: TempDir,
    library: PathBuf,
}

impl ShiftedClock {
    /// Compiles the library and makes its file, with no shift.
    ///
    /// # Errors
    /// When there is no C compiler `cc`, or it refuses the library; the message says so.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let library = folder.path().join("clock.so");
        compile(&library)?;
        let clock = Self { inner: Arc::new(Inner { shift_micros: Mutex::new(0), folder, library }) };
        clock.advance(Duration::ZERO)?;
        Ok(clock)
    }

    /// What a process must find in its environment to be on this clock.
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.inner.library.clone()), (SHIFT_FILE, self.shift_file())]
    }

    /// Moves the time on.
    ///
    /// # Errors
    /// When the shift cannot be written.
    pub fn advance(&self, by: Duration) -> io::Result<()> {
        let mut shift = self.inner.shift_micros.lock().unwrap_or_else(PoisonError::into_inner);
        *shift = shift.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        // The file is mapped where the clock is read: it must never be shorter than a shift, so it is not truncated.
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(self.shift_file())?;
        file.write_all(&shift.to_ne_bytes())
    }

    fn shift_file(&self) -> PathBuf {
        self.inner.folder.path().join("shift")
    }
}

/// Has the machine's C compiler make the library.
fn compile(library: &Path) -> io::Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(library).arg(SOURCE).arg("-ldl");
    let made = cc.output().map_err(|error| {
        let reason =
            format!("the clock of redis-server needs the C compiler `cc`, which does not run: {error}");
        io::Error::new(error.kind(), reason)
    })?;
    if made.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&made.stderr);
    Err(io::Error::other(format!("`cc` does not compile {SOURCE}: {said}")))
}
