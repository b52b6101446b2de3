//! What CONFIG SET can change while the engine runs, beside the memory limit and the password.

use crate::form::Forms;
use crate::notify::Classes;
use crate::types::ENTRIES_MAX;

/// Settings with the values of a Redis that was not configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Up to which sizes OBJECT ENCODING tells of packed collections.
    pub forms: Forms,
    /// `notify-keyspace-events`.
    pub notify: Classes,
    /// `stream-node-max-entries`: the most entries of a stream's block, by which a trim with `~` goes; 0 for as many as
    /// there can be.
    pub stream_block_max: u16,
    /// `slowlog-log-slower-than`: from how many microseconds on a call is noted; negative for never.
    pub slow_min_us: i64,
    /// `slowlog-max-len`: how many calls are kept.
    pub slow_len_max: usize,
    /// Whether keys that end go by themselves; DEBUG SET-ACTIVE-EXPIRE changes it.
    pub expires_actively: bool,
    /// `latency-monitor-threshold`: from how many milliseconds on a call counts as an event; 0 for never.
    pub latency_min_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            forms: Forms::default(),
            notify: Classes::default(),
            stream_block_max: ENTRIES_MAX,
            slow_min_us: 10_000,
            slow_len_max: 128,
            expires_actively: true,
            latency_min_ms: 0,
        }
    }
}
