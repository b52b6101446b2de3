//! A future that is polled only when something has happened to it. To poll one again and again that nearly never is
//! ready, beside others in one task, costs its locks each time: for a client's order to stop that was more than a small
//! command's lookup.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// A future that is polled the first time, when it was woken, and when another task polls it.
pub(crate) struct WhenWoken<F> {
    future: F,
    signal: Arc<Signal>,
    /// Of the task that polled it last.
    task: Waker,
}

struct Signal {
    is_woken: AtomicBool,
    task: Mutex<Waker>,
}

impl<F: Future + Unpin> WhenWoken<F> {
    pub fn new(future: F) -> Self {
        let task = Waker::noop().clone();
        let signal = Signal { is_woken: AtomicBool::new(true), task: Mutex::new(task.clone()) };
        Self { future, signal: Arc::new(signal), task }
    }
}

impl<F: Future + Unpin> Future for WhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let is_woken = this.signal.is_woken.load(Ordering::Acquire);
        if !is_woken && this.task.will_wake(context.waker()) {
            return Poll::Pending;
        }
        this.task.clone_from(context.waker());
        this.signal.task.lock().clone_from(context.waker());
        // Before the poll: what happens during it is looked at again.
        this.signal.is_woken.store(false, Ordering::Release);
        let waker = Waker::from(this.signal.clone());
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        let task = self.task.lock().clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_polled_when_it_was_woken_and_by_a_new_task() {
        let polls = AtomicUsize::new(0);
        let woken = Mutex::new(Waker::noop().clone());
        let mut future = WhenWoken::new(std::future::poll_fn(|context| {
            *woken.lock() = context.waker().clone();
            if polls.fetch_add(1, Ordering::Relaxed) < 2 { Poll::Pending } else { Poll::Ready(7) }
        }));
        let tasks: [Arc<Counter>; 2] = Default::default();
        let mut poll = |task: &Arc<Counter>| {
            let waker = Waker::from(task.clone());
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
            (polled, polls.load(Ordering::Relaxed))
        };
        assert_eq!(poll(&tasks[0]), (Poll::Pending, 1));
        assert_eq!(poll(&tasks[0]), (Poll::Pending, 1));
        assert_eq!(poll(&tasks[1]), (Poll::Pending, 2));
        assert_eq!(poll(&tasks[1]), (Poll::Pending, 2));
        woken.lock().wake_by_ref();
        assert_eq!([0, 1].map(|task: usize| tasks[task].0.load(Ordering::Relaxed)), [0, 1]);
        assert_eq!(poll(&tasks[1]), (Poll::Ready(7), 3));
    }
}
