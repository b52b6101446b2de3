//! How clients are to be treated and how far the log grows, as CONFIG SET last said: read without the database's lock.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use windlass_engine::{ClientLimits, Config, RewriteLimits};

/// What those who serve clients go by, and who rewrites the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub clients: ClientLimits,
    pub needs_password: bool,
    pub rewrite: RewriteLimits,
}

impl Limits {
    fn of(config: &Config, needs_password: bool) -> Self {
        Self { clients: config.clients, needs_password, rewrite: config.rewrite }
    }
}

/// The present limits, and a number that tells when they have changed.
pub(crate) struct SharedLimits {
    now: Mutex<Limits>,
    version: AtomicU64,
}

impl SharedLimits {
    pub fn new(config: &Config, needs_password: bool) -> Self {
        Self { now: Mutex::new(Limits::of(config, needs_password)), version: AtomicU64::new(0) }
    }

    /// The limits as they are now.
    pub fn get(&self) -> Limits {
        *self.now.lock()
    }

    /// Changes whenever the limits have changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes over what the engine says.
    pub fn learn(&self, config: &Config, needs_password: bool) {
        let learnt = Limits::of(config, needs_password);
        let known = std::mem::replace(&mut *self.now.lock(), learnt);
        if known != learnt {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }
}
