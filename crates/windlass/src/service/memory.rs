//! Stops a worker whose process has grown too large, so that its supervisor starts it anew.

use std::rc::Rc;
use std::time::Duration;

use crate::event::Event;
use crate::worker::Duty;

/// How often the process is measured.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn watch(duty: Rc<Duty>, limit: u64) {
    loop {
        if let Some(bytes) = resident().filter(|bytes| *bytes > limit) {
            duty.shared.summary().outgrown = Some(bytes);
            duty.emit(Event::Outgrown { bytes, limit });
            duty.shared.control().stop();
            return;
        }
        super::pause(LOOK_EVERY).await;
    }
}

/// How much memory the process has in use, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let before = resident().unwrap();
        let held = vec![1_u8; 64 << 20];
        let grown = resident().unwrap();
        assert!(before > 0 && grown >= before.saturating_add(32 << 20), "{before} {grown}");
        assert!(held.iter().all(|byte| *byte == 1));
    }
}
