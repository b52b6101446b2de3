//! What the lock of a store guards: the engine, and what belongs to its sessions and its log.

use std::collections::HashMap;
use std::sync::Arc;

use windlass_engine::{Engine, SessionId, Time};

use crate::clock::Clock;
use crate::log::Pending;
use crate::mailbox::Mailbox;

/// The shortest gap between two looks at the clock that is taken for a jump or a standstill, in milliseconds: twice what
/// the timer sleeps at most.
const GAP_MS_MIN: u64 = 2000;

/// What the lock guards.
pub(crate) struct Core {
    pub engine: Engine,
    pub mailboxes: HashMap<SessionId, Arc<Mailbox>>,
    pub pending: Pending,
    /// True after the log failed: records are no longer kept for it.
    pub has_failed: bool,
    /// True while a failed log is replaced: records are kept for the new one.
    pub is_renewing: bool,
    pub is_stopped: bool,
    /// When the clock was last looked at.
    pub seen_at: Time,
}

impl Core {
    pub fn close_session(&mut self, id: SessionId) {
        self.engine.close_session(id);
        self.mailboxes.remove(&id);
    }

    /// The time. When the clock was set or the process stood still since the last look, nobody could renew a lease: all of
    /// them, which are the pending entries of streams, are extended by as much.
    pub fn look(&mut self, clock: &dyn Clock) -> Time {
        let now = clock.now();
        let seen_at = std::mem::replace(&mut self.seen_at, now);
        if now.millis().abs_diff(seen_at.millis()) >= GAP_MS_MIN && clock.shows_gaps() {
            let by = now.millis().cast_signed() - seen_at.millis().cast_signed();
            self.engine.map_deliveries(|delivered| delivered.saturating_add_signed(by));
        }
        now
    }

    /// The time without an owner counts against no lease: each begins anew. The log has the times of delivery as they
    /// were before the clock was last set, so that it cannot tell how much of a lease was left. A time that is a moment
    /// ahead stays, as it does while there is an owner.
    pub fn forgive_absence(&mut self) {
        let now = self.seen_at.millis();
        let is_ahead = |delivered: u64| (now..now.saturating_add(GAP_MS_MIN)).contains(&delivered);
        self.engine.map_deliveries(|delivered| if is_ahead(delivered) { delivered } else { now });
    }

    /// Why a session cannot call now.
    pub fn refuse(&self, id: SessionId) -> Option<&'static str> {
        if self.is_stopped {
            Some("ERR the database is stopped")
        } else if self.engine.is_waiting(id) {
            Some("ERR this session waits for the reply of a blocking command")
        } else {
            None
        }
    }
}
