//! A clock that is moved by hand, and shows the store that it was set, as the system's does.

use std::sync::Weak;
use std::time::Duration;

use windlass_db::{Clock, ManualClock, Tick, Time};

/// A clone is the same clock. It goes on in pieces of less than a second and is set by more than two: so a store that
/// looks at it after each piece takes the one for time that passes, and the other for a jump.
#[derive(Clone)]
pub struct JumpClock {
    clock: ManualClock,
    shows_gaps: bool,
}

/// What of the time passes at once.
const PIECE_MS: u64 = 500;

impl JumpClock {
    pub fn new(now_ms: u64) -> Self {
        Self { clock: ManualClock::new(Time::from_millis(now_ms)), shows_gaps: true }
    }

    /// The same for a store that cannot tell a jump from time that passes.
    pub fn without_gaps(self) -> Self {
        Self { shows_gaps: false, ..self }
    }

    pub fn now_ms(&self) -> u64 {
        self.now().millis()
    }

    /// Lets so much time pass.
    pub fn advance(&self, by_ms: u64) {
        let mut left = by_ms;
        while left > 0 {
            let piece = left.min(PIECE_MS);
            self.clock.advance(Duration::from_millis(piece));
            left -= piece;
        }
    }

    /// Sets it, or lets the process stand still.
    pub fn set(&self, now_ms: u64) {
        self.clock.set(Time::from_millis(now_ms));
    }
}

impl Clock for JumpClock {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn shows_gaps(&self) -> bool {
        self.shows_gaps
    }

    fn attach(&self, ticked: Weak<dyn Tick>) -> bool {
        self.clock.attach(ticked)
    }
}
