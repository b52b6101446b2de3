//! Settings of Redis that say how things are here and take no other value.
//!
//! A new one gets a row of [`FIXED`], and an arm of [`why_not`] if Redis looks at its value.

use crate::command::hyperloglog::SPARSE_MAX;
use crate::limits;

/// Settings that never change, and their values.
pub const FIXED: &[(&str, &str)] = &[
    ("aof-use-rdb-preamble", "no"),
    ("appendfilename", "appendonly.aof"),
    ("appenddirname", "appendonlydir"),
    ("appendfsync", "always"),
    ("appendonly", "no"),
    ("bind", ""),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("dir", ""),
    ("hll-sparse-max-bytes", "3000"),
    ("io-threads", "1"),
    ("lazyfree-lazy-user-del", "yes"),
    ("lazyfree-lazy-user-flush", "yes"),
    ("port", "0"),
    ("replica-read-only", "yes"),
    ("replicaof", ""),
    ("save", ""),
    ("slaveof", ""),
    ("stop-writes-on-bgsave-error", "yes"),
];
const _: () = assert!(SPARSE_MAX == 3000, "hll-sparse-max-bytes says what holds");

/// Why a setting does not take another value than the one that it has. Redis looks at the value first where it could
/// change the setting.
pub fn why_not(name: &str, value: &str) -> &'static str {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    match name {
        "aof-use-rdb-preamble"
        | "appendonly"
        | "lazyfree-lazy-user-del"
        | "lazyfree-lazy-user-flush"
        | "replica-read-only"
        | "stop-writes-on-bgsave-error"
            if !is(&["yes", "no"]) =>
        {
            "argument must be 'yes' or 'no'"
        }
        "appendfsync" if !is(&["everysec", "always", "no"]) => {
            "argument(s) must be one of the following: everysec, always, no"
        }
        "hll-sparse-max-bytes" if limits::bytes(value).is_none() => "argument must be a memory value",
        "save" if !is_save_points(value) => "Invalid save parameters",
        "dir" => "can't set protected config",
        _ => "can't set immutable config",
    }
}

/// Pairs of seconds, at least one, and changes.
fn is_save_points(value: &str) -> bool {
    let words: Vec<&str> = value.split(' ').collect();
    let is_at_least = |word: &str, min| word.parse::<i64>().is_ok_and(|number| number >= min);
    words.len().is_multiple_of(2)
        && words.chunks_exact(2).all(|pair| is_at_least(pair[0], 1) && is_at_least(pair[1], 0))
}
