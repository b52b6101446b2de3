//! Hands what happens in this process to everybody in it who listens. Nothing is made for nobody.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio::sync::Notify;

use super::{Event, JobEvent};

/// What a [`Subscription`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum News {
    /// Something happened to a worker of this client, or to a queue by it.
    Worker(Event),
    /// Something happened to a job.
    Job(JobEvent),
    /// So many events came while the subscription was full, and are gone: those before the next one.
    Missed(u64),
}

type JobListener = Arc<dyn Fn(&JobEvent) + Send + Sync>;

/// Where the events of a client and of its workers meet.
#[derive(Default)]
pub(crate) struct Bus {
    is_heard: AtomicBool,
    ears: RwLock<Ears>,
}

#[derive(Default)]
struct Ears {
    listeners: Arc<Vec<JobListener>>,
    subscribers: Vec<Weak<Mailbox>>,
}

/// What waits for one subscriber.
struct Mailbox {
    waiting: Mutex<Waiting>,
    bound: usize,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    news: VecDeque<News>,
    missed: u64,
    is_closed: bool,
}

impl Bus {
    /// Whether an event of a job is worth making.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
            || tracing::enabled!(target: "windlass::job", tracing::Level::DEBUG)
    }

    /// Calls a function with every event of a job.
    pub(crate) fn listen(&self, listener: impl Fn(&JobEvent) + Send + Sync + 'static) {
        Arc::make_mut(&mut self.ears_mut().listeners).push(Arc::new(listener));
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Begins to gather events, up to `bound` of them.
    pub(crate) fn subscribe(self: &Arc<Self>, bound: usize) -> Subscription {
        let waiting = Mutex::default();
        let mailbox = Arc::new(Mailbox { waiting, bound: bound.max(1), arrived: Notify::new() });
        self.ears_mut().subscribers.push(Arc::downgrade(&mailbox));
        self.is_heard.store(true, Ordering::Relaxed);
        Subscription { mailbox, bus: Arc::downgrade(self) }
    }

    /// Tells of a job. The caller has asked [`is_heard`](Self::is_heard).
    pub(crate) fn tell_job(&self, event: JobEvent) {
        tracing::debug!(target: "windlass::job", "{event}");
        // Called without the lock: a listener may listen, subscribe and push by itself.
        let listeners = self.ears().listeners.clone();
        for listener in listeners.iter() {
            // It runs where a job is told of; that may not end by a panic of the user's.
            if catch_unwind(AssertUnwindSafe(|| listener(&event))).is_err() {
                tracing::error!(target: "windlass", "a listener panicked at: {event}");
            }
        }
        self.ears().deliver(|| News::Job(event.clone()));
    }

    /// Tells of a worker or a queue.
    pub(crate) fn tell_worker(&self, event: &Event) {
        if self.is_heard.load(Ordering::Relaxed) {
            self.ears().deliver(|| News::Worker(event.clone()));
        }
    }

    fn ears(&self) -> std::sync::RwLockReadGuard<'_, Ears> {
        self.ears.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ears_mut(&self) -> std::sync::RwLockWriteGuard<'_, Ears> {
        self.ears.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets subscribers that are gone.
    fn sweep(&self) {
        let mut ears = self.ears_mut();
        ears.subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        let is_heard = !ears.listeners.is_empty() || !ears.subscribers.is_empty();
        self.is_heard.store(is_heard, Ordering::Relaxed);
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for mailbox in self.ears_mut().subscribers.iter().filter_map(Weak::upgrade) {
            mailbox.lock().is_closed = true;
            mailbox.arrived.notify_one();
        }
    }
}

impl Ears {
    fn deliver(&self, news: impl Fn() -> News) {
        for mailbox in self.subscribers.iter().filter_map(Weak::upgrade) {
            mailbox.add(news());
        }
    }
}

impl Mailbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, news: News) {
        {
            let mut waiting = self.lock();
            if waiting.news.len() == self.bound {
                waiting.news.pop_front();
                waiting.missed += 1;
            }
            waiting.news.push_back(news);
        }
        self.arrived.notify_one();
    }
}

/// Events of a client and its workers, in order. [`Client::subscribe`](crate::Client::subscribe) makes one.
///
/// It gathers up to its bound; beyond that the oldest are dropped, and [`News::Missed`] says how many, so that neither
/// a slow reader nor a busy worker costs memory without end.
pub struct Subscription {
    mailbox: Arc<Mailbox>,
    bus: Weak<Bus>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("bound", &self.mailbox.bound).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next one, as soon as there is one; `None` once the client and its workers are gone.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            {
                let mut waiting = self.mailbox.lock();
                if let Some(news) = waiting.take() {
                    return Some(news);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.mailbox.arrived.notified().await;
        }
    }

    /// The next one if it is there.
    pub fn try_next(&mut self) -> Option<News> {
        self.mailbox.lock().take()
    }

    /// Those that are there, up to `max`, as they stand in the stored stream.
    pub(crate) fn written(&mut self, max: usize) -> Vec<String> {
        std::iter::from_fn(|| self.try_next()).filter_map(written).take(max).collect()
    }
}

/// An event as it stands in the stored stream. What became of single jobs is there as their steps already.
fn written(news: News) -> Option<String> {
    match news {
        News::Job(event) => serde_json::to_string(&event).ok(),
        News::Missed(count) => Some(format!(r#"{{"missed":{count}}}"#)),
        News::Worker(Event::Failed { .. } | Event::LeaseLost { .. }) => None,
        News::Worker(event) => serde_json::to_string(&event).ok(),
    }
}

impl Waiting {
    fn take(&mut self) -> Option<News> {
        if self.missed > 0 {
            return Some(News::Missed(std::mem::take(&mut self.missed)));
        }
        self.news.pop_front()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The box is counted until this value is gone, so that an empty one in its place lets go of it.
        let none = Mailbox { waiting: Mutex::default(), bound: 0, arrived: Notify::new() };
        drop(std::mem::replace(&mut self.mailbox, Arc::new(none)));
        if let Some(bus) = self.bus.upgrade() {
            bus.sweep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::JobStep;
    use crate::id::JobId;

    fn event(number: u32) -> JobEvent {
        JobEvent::new(JobStep::Started, JobId::parse("q/1-0").unwrap(), "k").attempt(number)
    }

    fn attempts(subscription: &mut Subscription) -> Vec<String> {
        let each = |news| match news {
            News::Job(event) => event.attempt.to_string(),
            News::Missed(count) => format!("missed {count}"),
            News::Worker(event) => event.to_string(),
        };
        std::iter::from_fn(|| subscription.try_next()).map(each).collect()
    }

    #[test]
    fn a_full_subscription_says_how_many_it_dropped() {
        let bus = Arc::new(Bus::default());
        assert!(!bus.is_heard());
        let (mut small, mut large) = (bus.subscribe(2), bus.subscribe(9));
        (1..=5).for_each(|number| bus.tell_job(event(number)));
        bus.tell_worker(&Event::Quiet);
        assert_eq!(attempts(&mut small), ["missed 4", "5", "quiet: no more jobs are taken"]);
        assert_eq!(attempts(&mut large).len(), 6);
        drop(small);
        assert!(bus.is_heard());
        drop(large);
        assert!(!bus.is_heard(), "nothing is made for nobody");
    }

    #[test]
    fn a_listener_that_panics_keeps_nothing_from_the_others() {
        let bus = Arc::new(Bus::default());
        let heard = Arc::new(Mutex::new(Vec::new()));
        bus.listen(|_| panic!("a listener of the test"));
        let also = heard.clone();
        bus.listen(move |event| also.lock().unwrap().push(event.attempt));
        bus.tell_job(event(7));
        assert_eq!(*heard.lock().unwrap(), [7]);
    }

    #[tokio::test]
    async fn a_subscription_ends_with_its_client() {
        let bus = Arc::new(Bus::default());
        let mut subscription = bus.subscribe(4);
        bus.tell_job(event(1));
        drop(bus);
        assert!(matches!(subscription.next().await, Some(News::Job(_))));
        assert!(subscription.next().await.is_none());
    }
}
