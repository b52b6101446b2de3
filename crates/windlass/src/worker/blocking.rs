//! Threads for blocking jobs: no more than the worker's concurrency, begun when needed.
//!
//! A runtime's own pool would hang a forced stop, since a runtime waits for its blocking threads.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a thread without work stays.
const IDLE_MAX: Duration = Duration::from_secs(10);

type Task = Box<dyn FnOnce() + Send>;

/// Bounded threads. The executor never has more tasks under way than the bound.
#[derive(Clone)]
pub(crate) struct Threads {
    pool: Arc<Pool>,
}

struct Pool {
    state: Mutex<State>,
    work: Condvar,
    max: usize,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    idle: usize,
    count: usize,
}

impl Threads {
    pub(super) fn new(max: usize) -> Self {
        Self { pool: Arc::new(Pool { state: Mutex::default(), work: Condvar::new(), max }) }
    }

    /// Runs a task on a thread. The task catches its panics.
    pub(super) fn spawn(&self, task: Task) -> std::io::Result<()> {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tasks.push_back(task);
        if state.idle >= state.tasks.len() || state.count >= self.pool.max {
            self.pool.work.notify_one();
            return Ok(());
        }
        let pool = self.pool.clone();
        let thread = std::thread::Builder::new().name("windlass-job".into());
        match thread.spawn(move || pool.work()) {
            Ok(_) => {
                state.count += 1;
                Ok(())
            }
            // Another thread takes the task when it is done with its own.
            Err(_) if state.count > 0 => Ok(()),
            Err(error) => {
                state.tasks.pop_back();
                Err(error)
            }
        }
    }
}

impl Pool {
    fn work(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(task) = state.tasks.pop_front() {
                drop(state);
                task();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.idle += 1;
            let (woken, waited) =
                self.work.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.tasks.is_empty() {
                state.count -= 1;
                return;
            }
        }
    }
}
