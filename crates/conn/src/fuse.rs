//! A process that dies at one of its calls of the store, for tests of what the others find then.
//!
//! A fuse counts the calls of all connections that carry it. At the one that it is set to, the call is not sent, or is sent
//! and its answer is lost; and as after the end of a process nothing more comes of that or of any later call: their futures
//! never end. Who runs the process drops it once the fuse has [blown](Fuse::blown).

use std::future::pending;
use std::sync::Arc;

use parking_lot::Mutex;
use redis::RedisResult;
use tokio::sync::Notify;

use crate::error::Error;

/// What happens at one of the calls, which are counted from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The process dies before the call is sent.
    Before(u64),
    /// The process dies after the call was sent: it ran, and nobody hears of it.
    After(u64),
    /// The answer to the call is lost, and the process lives on, with an error.
    Answer(u64),
}

/// What ends a process at one of its calls. A clone is the same fuse.
#[derive(Debug, Clone)]
pub struct Fuse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cut: Cut,
    state: Mutex<State>,
    blown: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_lit: bool,
    calls: u64,
    has_met: bool,
    is_dead: bool,
}

/// What becomes of one call.
enum Fate {
    Runs,
    Lost,
    Last,
    Never,
}

impl Fuse {
    /// A fuse that does nothing until it is [lit](Self::light).
    pub fn new(cut: Cut) -> Self {
        Self { inner: Arc::new(Inner { cut, state: Mutex::default(), blown: Notify::new() }) }
    }

    /// Counts calls from now on.
    pub fn light(&self) {
        self.inner.state.lock().is_lit = true;
    }

    /// Whether there were as many calls as it is set to.
    pub fn has_met(&self) -> bool {
        self.inner.state.lock().has_met
    }

    /// Waits until the process is dead.
    pub async fn blown(&self) {
        while !self.inner.state.lock().is_dead {
            self.inner.blown.notified().await;
        }
    }

    pub(crate) async fn run<T>(&self, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        match self.next() {
            Fate::Runs => call.await,
            Fate::Lost => {
                let _ = call.await;
                Err(Error::OutcomeUnknown { reason: "the answer was lost".into() }.into())
            }
            Fate::Last => {
                let _ = call.await;
                self.die();
                pending().await
            }
            Fate::Never => {
                self.die();
                pending().await
            }
        }
    }

    fn next(&self) -> Fate {
        let mut state = self.inner.state.lock();
        if state.is_dead {
            return Fate::Never;
        }
        state.calls += u64::from(state.is_lit);
        let (at, fate) = match self.inner.cut {
            Cut::Before(at) => (at, Fate::Never),
            Cut::After(at) => (at, Fate::Last),
            Cut::Answer(at) => (at, Fate::Lost),
        };
        if !state.is_lit || state.calls != at {
            return Fate::Runs;
        }
        state.has_met = true;
        fate
    }

    fn die(&self) {
        self.inner.state.lock().is_dead = true;
        self.inner.blown.notify_one();
    }
}
