//! Who a worker is: a name that is new at every start and says where it runs.
//!
//! `host.pid.start.random.concurrency`: `host` is a digest of machine, boot and process space, `start` is
//! when the process began, so that a worker on the same machine can tell at once that another has ended,
//! and take over its jobs without waiting for the lease. Elsewhere the lease decides.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::random::random;

/// A new name for a worker in this process.
pub(super) fn name(concurrency: usize) -> String {
    let pid = std::process::id();
    let start = start_of(pid).unwrap_or(0);
    format!("{:08x}.{pid}.{start}.{:08x}.{concurrency}", host() as u32, random() as u32)
}

/// Whether the process of a worker is known to have ended.
pub(super) fn has_ended(worker: &str) -> bool {
    let mut parts = worker.split('.');
    let (Some(host_part), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_here = host_part == format!("{:08x}", host() as u32);
    let (Ok(pid), Ok(start)) = (pid.parse::<u32>(), start.parse::<u64>()) else { return false };
    // Without a process list nothing is known: our own process must be in it.
    is_here && start != 0 && start_of(std::process::id()).is_some() && start_of(pid) != Some(start)
}

/// The host's name, for people.
pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    name.map(|name| name.trim().to_owned()).or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default()
}

fn host() -> u64 {
    let mut hasher = DefaultHasher::new();
    host_name().hash(&mut hasher);
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().hash(&mut hasher);
    // Two containers may share a host's name, but not a process space.
    std::fs::read_link("/proc/self/ns/pid").unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// When a process began, in clock ticks since boot; `None` when there is no such process.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses and may hold anything, so that the fields begin after the last.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has ended: nothing of it runs.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_impossible_one_has_ended() {
        let own = name(5);
        assert!(!has_ended(&own));
        assert_ne!(own, name(5));
        if start_of(std::process::id()).is_some() {
            let mut parts: Vec<_> = own.split('.').collect();
            parts[2] = "1";
            assert!(has_ended(&parts.join(".")), "another process had this pid before");
            parts[0] = "elsewhere";
            assert!(!has_ended(&parts.join(".")), "nothing is known of other machines");
        }
        assert!(!has_ended("garbage"));
    }
}
