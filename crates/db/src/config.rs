//! Settings of a database.

use crate::error::{Error, Result};

/// When a record of the log counts as safe, so that the replies that could have seen it are let out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once the file is synced: what was answered survives a power cut.
    #[default]
    Always,
    /// Once it is written; the file is synced every second. What was answered survives the process's death, and a
    /// power cut loses at most the last second.
    Everysec,
    /// Once it is written; the operating system syncs when it likes.
    None,
}

/// How a database behaves; fixed when it is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine's settings, among them the memory limit, and how far the log grows before it is rewritten.
    pub engine: windlass_engine::Config,
    /// When a record of the log counts as safe.
    pub durability: Durability,
    /// The most waits, and the most keys, that are ended while the lock is held once; so much of what was deleted is
    /// freed besides.
    pub tick_budget: usize,
    /// The most bytes that wait to be written to the log; beyond that writing commands are refused before execution.
    pub log_pending_bytes_max: usize,
    /// The most bytes per second that a rewrite of the log writes to the new base; 0 is no limit. A rewrite holds nobody
    /// up, but it shares the disk with the log's syncs: set it where those become slow meanwhile.
    pub rewrite_bytes_per_s: u64,
    /// The most bytes of memory that a rewrite or a snapshot costs because what it still has to write is changed
    /// meanwhile, unless a tenth of the data is more. From half of that on the rest of it goes to a temporary file at
    /// once, and who changes it waits up to 2 ms a call, so that the disk keeps up.
    pub preimage_bytes_max: u64,
    /// After the log failed, a fresh one with all the data is tried this often, and at most half of the time is spent on
    /// it; 0 leaves it to [`Database::compact`](crate::Database::compact) and BGREWRITEAOF.
    pub log_retry_ms: u64,
    /// Whether the opening of a directory extends leases, which are the idle times of pending entries, by the time for
    /// which it had no owner. Whoever only copies what is there leaves them as they are.
    pub forgives_absence: bool,
    /// The log is compacted at the opening when it consists of more files than this.
    pub compact_files_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: windlass_engine::Config::default(),
            durability: Durability::default(),
            tick_budget: 200,
            log_pending_bytes_max: 64 << 20,
            rewrite_bytes_per_s: 0,
            preimage_bytes_max: 64 << 20,
            log_retry_ms: 250,
            forgives_absence: true,
            compact_files_max: 8,
        }
    }
}

impl Config {
    /// Checks that the settings can work together.
    ///
    /// ```
    /// let config = windlass_db::Config { tick_budget: 0, ..Default::default() };
    /// assert!(config.validate().unwrap_err().to_string().contains("`tick_budget`"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] with every problem.
    pub fn validate(&self) -> Result<()> {
        let mut problems = Vec::new();
        let mut check = |is_positive: bool, name: &str| {
            if !is_positive {
                problems.push(format!("`{name}` must be at least 1"));
            }
        };
        check(self.engine.databases > 0, "engine.databases");
        check(self.tick_budget > 0, "tick_budget");
        check(self.engine.clients.count_max > 0, "engine.clients.count_max");
        check(self.log_pending_bytes_max > 0, "log_pending_bytes_max");
        check(self.compact_files_max > 0, "compact_files_max");
        check(self.preimage_bytes_max > 0, "preimage_bytes_max");
        problems.extend(self.engine.problems());
        if problems.is_empty() { Ok(()) } else { Err(Error::Config { problems }) }
    }
}
