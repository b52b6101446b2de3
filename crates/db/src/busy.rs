//! Scripts that run for too long: others are told that the database is busy, and one that has not written can be
//! killed.
//!
//! A script holds the one lock, so all of this happens beside it: the script's own thread marks it as slow once it has
//! run for longer than the limit, and who waits for the lock looks at the mark. Whether a script is killed or goes on
//! to write is one compare-and-swap of one word, so that a script which was reported as killed has not written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use windlass_engine::ScriptGuard;

use crate::clock::Clock;

/// Redis's answers to who comes while a slow script runs, or a slow function.
const BUSY: &str = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
/// Redis's answer to SCRIPT KILL when the script has written.
const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
                          either wait the script termination or kill the server in a hard way using the SHUTDOWN \
                          NOSAVE command.";
/// Redis's answer to SCRIPT KILL when no script runs.
const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";

/// What is known of the script that runs. The state is one word: the number of the script, so that a killer who comes
/// too late does not hit the next one, and the bits below.
pub(crate) struct Busy {
    clock: Arc<dyn Clock>,
    state: AtomicU64,
    began_ms: AtomicU64,
    limit_ms: AtomicU64,
    /// The command that called the function that runs; of a script it is the last function's.
    function: Mutex<Vec<Vec<u8>>>,
    on_slow: OnceLock<fn()>,
}

const RUNNING: u64 = 1;
const HAS_WRITTEN: u64 = 2;
const IS_KILLED: u64 = 4;
const IS_SLOW: u64 = 8;
const IS_FUNCTION: u64 = 16;
const BITS: u64 = 5;

impl Busy {
    pub fn new(clock: Arc<dyn Clock>, limit_ms: u64) -> Self {
        let (state, began_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        let (limit_ms, function) = (AtomicU64::new(limit_ms), Mutex::default());
        Self { clock, state, began_ms, limit_ms, function, on_slow: OnceLock::new() }
    }

    /// Has `run` called, on the script's thread, when a script turns slow. The first who says so counts.
    pub fn on_slow(&self, run: fn()) {
        let _ = self.on_slow.set(run);
    }

    /// After how long a script counts as slow; 0 for never.
    pub fn set_limit(&self, limit_ms: u64) {
        self.limit_ms.store(limit_ms, Ordering::Relaxed);
    }

    /// True while a script runs that is slow.
    pub fn is_slow(&self) -> bool {
        self.state.load(Ordering::Acquire) & IS_SLOW != 0
    }

    /// What others are told while a slow script or function runs.
    pub fn text(&self) -> &'static str {
        let is_function = self.state.load(Ordering::Acquire) & IS_FUNCTION != 0;
        if is_function { BUSY_FUNCTION } else { BUSY }
    }

    /// The command that called the slow function that runs, and for how many milliseconds it has.
    pub fn function(&self) -> Option<(Vec<Vec<u8>>, u64)> {
        let state = self.state.load(Ordering::Acquire);
        let is_slow_function = state & IS_SLOW != 0 && state & IS_FUNCTION != 0;
        let took = || self.clock.now().millis().saturating_sub(self.began_ms.load(Ordering::Relaxed));
        is_slow_function.then(|| (self.function.lock().clone(), took()))
    }

    /// Stops the slow script that runs, or the function if it is one that is to be stopped.
    ///
    /// # Errors
    /// In Redis's words, when none runs, it has written, or it is the other of the two.
    pub fn kill(&self, is_function: bool) -> Result<(), &'static str> {
        let state = self.state.load(Ordering::Acquire);
        if state & IS_SLOW == 0 {
            return Err(NOT_BUSY);
        }
        if (state & IS_FUNCTION != 0) == is_function { self.kill_if(state) } else { Err(self.text()) }
    }

    /// Stops whatever script runs, for the end of the database; one that has written goes on to its end.
    pub fn stop(&self) {
        let _ = self.kill_if(self.state.load(Ordering::Acquire));
    }

    fn kill_if(&self, mut state: u64) -> Result<(), &'static str> {
        let number = state >> BITS;
        loop {
            if state >> BITS != number || state & RUNNING == 0 {
                return Err(NOT_BUSY);
            } else if state & HAS_WRITTEN != 0 {
                return Err(UNKILLABLE);
            }
            match self.exchange(state, state | IS_KILLED) {
                Ok(()) => return Ok(()),
                Err(now) => state = now,
            }
        }
    }

    fn exchange(&self, from: u64, to: u64) -> Result<(), u64> {
        self.state.compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }
}

impl ScriptGuard for Busy {
    fn begin(&self, function: Option<&[&[u8]]>) {
        self.began_ms.store(self.clock.now().millis(), Ordering::Relaxed);
        let number = (self.state.load(Ordering::Relaxed) >> BITS) + 1;
        let kind = if let Some(words) = function {
            *self.function.lock() = words.iter().map(|word| word.to_vec()).collect();
            IS_FUNCTION
        } else {
            0
        };
        self.state.store(number << BITS | RUNNING | kind, Ordering::Release);
    }

    fn is_to_stop(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        let limit_ms = self.limit_ms.load(Ordering::Relaxed);
        if state & IS_SLOW == 0 && limit_ms > 0 {
            let began_ms = self.began_ms.load(Ordering::Relaxed);
            if self.clock.now().millis().saturating_sub(began_ms) > limit_ms {
                self.state.fetch_or(IS_SLOW, Ordering::AcqRel);
                tracing::warn!(
                    limit_ms,
                    "a script runs for longer than it may; others are told so meanwhile"
                );
                if let Some(run) = self.on_slow.get() {
                    run();
                }
            }
        }
        state & IS_KILLED != 0
    }

    fn may_write(&self) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        while state & IS_KILLED == 0 {
            match self.exchange(state, state | HAS_WRITTEN) {
                Ok(()) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    fn end(&self) {
        let number = self.state.load(Ordering::Relaxed) >> BITS;
        self.state.store(number << BITS, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    fn busy() -> (Busy, ManualClock) {
        let clock = ManualClock::default();
        (Busy::new(Arc::new(clock.clone()), 5000), clock)
    }

    #[test]
    fn a_script_is_slow_after_the_limit_and_can_then_be_killed() {
        let (busy, clock) = busy();
        assert_eq!(busy.kill(false), Err(NOT_BUSY));
        busy.begin(None);
        clock.advance(Duration::from_millis(5000));
        assert!(!busy.is_to_stop() && !busy.is_slow());
        assert_eq!(busy.kill(false), Err(NOT_BUSY));
        clock.advance(Duration::from_millis(1));
        assert!(!busy.is_to_stop() && busy.is_slow());
        assert_eq!(busy.kill(false), Ok(()));
        assert!(busy.is_to_stop() && !busy.may_write());
        busy.end();
        assert!(!busy.is_slow());
        busy.begin(None);
        assert!(!busy.is_to_stop() && busy.may_write(), "the next script is not the one that was killed");
    }

    #[test]
    fn a_script_that_has_written_cannot_be_killed() {
        let (busy, clock) = busy();
        busy.begin(None);
        assert!(busy.may_write());
        clock.advance(Duration::from_secs(6));
        assert!(!busy.is_to_stop());
        assert_eq!(busy.kill(false), Err(UNKILLABLE));
        busy.stop();
        assert!(!busy.is_to_stop());
    }

    #[test]
    fn a_function_is_killed_as_a_function() {
        let (busy, clock) = busy();
        busy.begin(Some(&[b"fcall", b"f", b"0"]));
        assert_eq!(busy.function(), None);
        clock.advance(Duration::from_secs(6));
        assert!(!busy.is_to_stop());
        let words = [b"fcall".to_vec(), b"f".to_vec(), b"0".to_vec()];
        assert_eq!(busy.function(), Some((words.to_vec(), 6000)));
        assert_eq!((busy.text(), busy.kill(false)), (BUSY_FUNCTION, Err(BUSY_FUNCTION)));
        assert_eq!(busy.kill(true), Ok(()));
        busy.end();
        busy.begin(None);
        clock.advance(Duration::from_secs(6));
        assert!(!busy.is_to_stop());
        assert_eq!((busy.function(), busy.kill(true)), (None, Err(BUSY)));
    }

    #[test]
    fn without_a_limit_no_script_is_slow() {
        let (busy, clock) = busy();
        busy.set_limit(0);
        busy.begin(None);
        clock.advance(Duration::from_secs(3600));
        assert!(!busy.is_to_stop() && !busy.is_slow());
        busy.stop();
        assert!(busy.is_to_stop(), "the end of the database does not wait for it");
    }
}
