//! How clients are to be treated, as CONFIG SET last said: read by those who serve them without the database's lock.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use windlass_engine::{ClientLimits, Config};

/// What those who serve clients go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub clients: ClientLimits,
    pub needs_password: bool,
}

/// The present limits, and a number that tells when they have changed.
pub(crate) struct SharedLimits {
    now: Mutex<Limits>,
    version: AtomicU64,
}

impl SharedLimits {
    pub fn new(config: &Config, needs_password: bool) -> Self {
        Self {
            now: Mutex::new(Limits { clients: config.clients, needs_password }),
            version: AtomicU64::new(0),
        }
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
        let learnt = Limits { clients: config.clients, needs_password };
        let known = std::mem::replace(&mut *self.now.lock(), learnt);
        if known != learnt {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }
}
