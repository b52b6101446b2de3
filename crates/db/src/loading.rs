//! How far the replay of a directory is, for its owner and for INFO.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// About the bytes that were replayed.
    pub bytes: u64,
    /// The bytes of all files.
    pub bytes_total: u64,
    /// The records that were replayed.
    pub records: u64,
}

/// What others see of a replay.
#[derive(Debug, Default)]
pub struct Loading {
    is_running: AtomicBool,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    started_s: AtomicU64,
}

impl Loading {
    pub fn set_running(&self, is_running: bool) {
        self.is_running.store(is_running, Ordering::Relaxed);
    }

    /// Begins at this time, in seconds since the epoch.
    pub fn begin(&self, started_s: u64) {
        self.started_s.store(started_s, Ordering::Relaxed);
    }

    pub fn show(&self, loaded: Loaded) {
        self.bytes.store(loaded.bytes, Ordering::Relaxed);
        self.bytes_total.store(loaded.bytes_total, Ordering::Relaxed);
    }

    /// The lines of INFO at this time, in seconds since the epoch.
    pub fn lines(&self, now_s: u64) -> Vec<(&'static str, String)> {
        if !self.is_running.load(Ordering::Relaxed) {
            return vec![("loading", "0".into())];
        }
        let (bytes, total) = (self.bytes.load(Ordering::Relaxed), self.bytes_total.load(Ordering::Relaxed));
        let started_s = self.started_s.load(Ordering::Relaxed);
        let elapsed = now_s.saturating_sub(started_s).max(1);
        let left = (total.saturating_sub(bytes)) as f64 * elapsed as f64 / bytes.max(1) as f64;
        let percent = (bytes as f64 * 100.0 / total.max(1) as f64).min(100.0);
        vec![
            ("loading", "1".into()),
            ("loading_start_time", started_s.to_string()),
            ("loading_total_bytes", total.to_string()),
            ("loading_loaded_bytes", bytes.to_string()),
            ("loading_loaded_perc", format!("{percent:.2}")),
            ("loading_eta_seconds", format!("{left:.0}")),
        ]
    }
}
