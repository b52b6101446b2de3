//! What a database tells of itself, to its owner and to INFO.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use crate::config::Durability;
use crate::core::Core;
use crate::log::Writer;
use crate::store::Store;

/// What a database can tell of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// About the bytes of memory that the data takes.
    pub data_bytes: usize,
    /// The open sessions.
    pub sessions: usize,
    /// The bytes of the log's base.
    pub log_base_bytes: u64,
    /// The bytes of the log's files after the base.
    pub log_incremental_bytes: u64,
    /// The bytes that wait to be written to the log.
    pub log_pending_bytes: usize,
    /// The groups written since the opening; under `always` each is one sync.
    pub log_groups: u64,
    /// The rewrites of the log since the opening that succeeded.
    pub compactions: u64,
    /// True while the log is rewritten.
    pub is_rewriting: bool,
    /// True when a rewrite was asked for that has not begun.
    pub is_rewrite_scheduled: bool,
    /// True when the last rewrite failed or was given up.
    pub has_rewrite_failed: bool,
    /// The bytes of the new base that the present rewrite, or the last, has written.
    pub rewrite_bytes: u64,
    /// About the bytes of memory that the data which it writes takes.
    pub rewrite_data_bytes: u64,
    /// The bytes that were copied for the present rewrite or snapshot, because what it has to write was changed.
    pub preimage_bytes: u64,
    /// The most that they were since the opening.
    pub preimage_bytes_peak: u64,
    /// The rewrites and snapshots since the opening that went to a temporary file for them.
    pub spills: u64,
    /// Why the log failed, if it did.
    pub failure: Option<String>,
}

/// What of the writer others may see without its lock.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    base_bytes: AtomicU64,
    incremental_bytes: AtomicU64,
    groups: AtomicU64,
    compactions: AtomicU64,
}

impl Gauges {
    /// Shows the writer's sizes as they are now.
    pub fn show(&self, writer: &Writer) {
        self.base_bytes.store(writer.base_bytes, Ordering::Relaxed);
        self.incremental_bytes.store(writer.incremental_bytes, Ordering::Relaxed);
    }

    /// Counts a group that was written.
    pub fn count_group(&self) {
        self.groups.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a compaction.
    pub fn count_compaction(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where a store is to be found, for clients that ask.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// None in memory.
    pub directory: OnceLock<PathBuf>,
    /// The port on which clients are served; 0 while there is none.
    pub port: AtomicU16,
}

impl Place {
    fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }
}

impl Store {
    /// What the database can tell of itself.
    pub fn facts(&self) -> Facts {
        self.facts_of(&self.core.lock())
    }

    /// Tells INFO and CONFIG about the log.
    pub fn tell(&self, core: &mut Core) {
        self.tell_info(core);
        self.tell_config(core);
    }

    fn tell_info(&self, core: &mut Core) {
        let facts = self.facts_of(core);
        let status = if facts.failure.is_none() { "ok" } else { "err" };
        let lines = [
            ("aof_enabled", u8::from(self.log.get().is_some()).to_string()),
            ("aof_rewrite_in_progress", u8::from(facts.is_rewriting).to_string()),
            ("aof_rewrite_scheduled", u8::from(facts.is_rewrite_scheduled).to_string()),
            ("aof_last_bgrewrite_status", if facts.has_rewrite_failed { "err" } else { "ok" }.to_owned()),
            ("aof_rewrites", facts.compactions.to_string()),
            ("aof_rewrite_bytes_written", facts.rewrite_bytes.to_string()),
            ("aof_rewrite_bytes_data", facts.rewrite_data_bytes.to_string()),
            ("current_cow_size", facts.preimage_bytes.to_string()),
            ("current_cow_peak", facts.preimage_bytes_peak.to_string()),
            ("cow_spills", facts.spills.to_string()),
            ("aof_last_write_status", status.to_owned()),
            ("aof_current_size", (facts.log_base_bytes + facts.log_incremental_bytes).to_string()),
            ("aof_base_size", facts.log_base_bytes.to_string()),
            ("aof_buffer_length", facts.log_pending_bytes.to_string()),
        ];
        let saves = self.log.get().map(|log| log.rewrites.saves.lines()).unwrap_or_default();
        let loading = self.loading.lines(self.clock.now().seconds());
        let lines = lines
            .into_iter()
            .chain(loading)
            .chain(saves)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        core.engine.set_facts("persistence", lines);
        let server =
            [("process_id", std::process::id().to_string()), ("tcp_port", self.place.port().to_string())];
        core.engine.set_facts("server", server.map(|(name, value)| (name.to_owned(), value)).to_vec());
        core.engine.set_facts("cpu", processor_time());
        core.engine.note_rejected(self.rejected.swap(0, Ordering::Relaxed));
    }

    /// Tells CONFIG GET, whose names are Redis's, where the store is and how the log is kept: clients judge it by that.
    fn tell_config(&self, core: &mut Core) {
        let sync = match self.config.durability {
            Durability::Always => "always",
            Durability::Everysec => "everysec",
            Durability::None => "no",
        };
        let is_logged = if self.log.get().is_some() { "yes" } else { "no" };
        let ends = if self.shutdown.receiver_count() > 0 { "yes" } else { "no" };
        let directory = self.place.directory.get().map(|path| path.to_string_lossy()).unwrap_or_default();
        let port = self.place.port().to_string();
        let lines = [
            ("appendonly", is_logged),
            ("appendfsync", sync),
            ("dir", &directory),
            ("port", &port),
            ("shutdown", ends),
        ];
        let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
        core.engine.set_facts("config", lines.to_vec());
    }

    fn facts_of(&self, core: &Core) -> Facts {
        let gauge = |of: fn(&Gauges) -> &AtomicU64| {
            self.log.get().map_or(0, |log| of(&log.gauges).load(Ordering::Relaxed))
        };
        let rewrite = self.log.get().map(|log| log.rewrites.seen()).unwrap_or_default();
        let cost = self.log.get().map(|log| log.rewrites.preimages.cost()).unwrap_or_default();
        Facts {
            data_bytes: core.engine.bytes(),
            sessions: core.mailboxes.len(),
            log_base_bytes: gauge(|gauges| &gauges.base_bytes),
            log_incremental_bytes: gauge(|gauges| &gauges.incremental_bytes),
            log_pending_bytes: core.pending.buffer.len(),
            log_groups: gauge(|gauges| &gauges.groups),
            compactions: gauge(|gauges| &gauges.compactions),
            is_rewriting: rewrite.is_running,
            is_rewrite_scheduled: rewrite.is_scheduled,
            has_rewrite_failed: rewrite.has_failed,
            rewrite_bytes: rewrite.bytes_done,
            rewrite_data_bytes: rewrite.bytes_total,
            preimage_bytes: cost.bytes,
            preimage_bytes_peak: cost.peak,
            spills: cost.spills,
            failure: self.progress.failure(),
        }
    }
}

/// The ticks in a second by which the system counts processor time.
const TICKS: f64 = 100.0;

/// The processor time of the process, where the system tells it.
fn processor_time() -> Vec<(String, String)> {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may have spaces.
    let words: Vec<&str> =
        text.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
    let seconds =
        |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).map(|ticks| ticks / TICKS);
    let names = [
        ("used_cpu_sys", 12),
        ("used_cpu_user", 11),
        ("used_cpu_sys_children", 14),
        ("used_cpu_user_children", 13),
    ];
    names
        .into_iter()
        .filter_map(|(name, at)| Some((name.to_owned(), format!("{:.6}", seconds(at)?))))
        .collect()
}
