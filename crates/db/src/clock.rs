//! Where time comes from: the system, or a test that moves it by hand.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use windlass_engine::Time;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Time;

    /// Whether a gap between two looks at this clock, of which there is at least one a second, means that it was set or
    /// that the process stood still. Leases are then extended by as much. The default answers false: a clock that is
    /// moved by hand means what it says.
    fn shows_gaps(&self) -> bool {
        false
    }

    /// Offers the clock a database to tick. A clock that answers true ticks it whenever its time moves, and the
    /// database starts no timer thread; the default answers false.
    fn attach(&self, ticked: Weak<dyn Tick>) -> bool {
        let _ = ticked;
        false
    }
}

/// Something with duties that fall due: a database.
pub trait Tick: Send + Sync + 'static {
    /// Does all that is due now.
    fn tick(&self);

    /// When something falls due next.
    fn next_due(&self) -> Option<Time>;
}

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_micros(
            elapsed.as_secs().saturating_mul(1_000_000).saturating_add(elapsed.subsec_micros().into()),
        )
    }

    fn shows_gaps(&self) -> bool {
        true
    }
}

/// A clock that stands still until it is moved; a clone is the same clock.
///
/// ```
/// use std::time::Duration;
/// use windlass_db::{Called, Config, Database, ManualClock};
/// use windlass_resp::Value;
///
/// let clock = ManualClock::default();
/// let database = Database::memory_with(Config::default(), clock.clone())?;
/// let session = database.session("example");
/// session.call(&[b"SET", b"k", b"v"]);
/// clock.advance(Duration::from_secs(1));
/// # Ok::<(), windlass_db::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now: Time,
    ticked: Vec<Weak<dyn Tick>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Time) -> Self {
        Self { state: Arc::new(Mutex::new(State { now, ticked: Vec::new() })) }
    }

    /// Moves the time on. It stops at each moment at which something falls due, in order, and returns when all that
    /// is due is done.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        let target = Time::from_micros(self.now().micros().saturating_add(by));
        let attached = self.attached();
        loop {
            let next = attached.iter().filter_map(|ticked| ticked.next_due()).min();
            let Some(next) = next.filter(|next| *next <= target) else { break };
            let now = self.now();
            self.state.lock().now = next.max(now);
            attached.iter().for_each(|ticked| ticked.tick());
            // What is still due although it was just done would hold the clock for ever.
            if next <= now && attached.iter().filter_map(|ticked| ticked.next_due()).min() == Some(next) {
                break;
            }
        }
        self.set(target);
    }

    /// Sets the time, which may go back, and does what is due at the new time.
    pub fn set(&self, now: Time) {
        self.state.lock().now = now;
        self.attached().iter().for_each(|ticked| ticked.tick());
    }

    fn attached(&self) -> Vec<Arc<dyn Tick>> {
        let mut state = self.state.lock();
        state.ticked.retain(|ticked| ticked.strong_count() > 0);
        state.ticked.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        self.state.lock().now
    }

    fn attach(&self, ticked: Weak<dyn Tick>) -> bool {
        self.state.lock().ticked.push(ticked);
        true
    }
}
