//! A pool of a worker: queues, their order, and how many of their jobs run at once.

use super::CONCURRENCY_MAX;
use super::order::Order;
use crate::name::check_name;

/// A pool within a worker: queues of its own, in an order of its own, with a concurrency of its own.
///
/// The capsules of a worker share its process, its services, its registered kinds and its connections. So a few slow
/// jobs have their own slots and hold nobody up, without a process of their own.
///
/// ```
/// # use windlass::{Capsule, Client, Worker};
/// # async fn example(client: &Client) {
/// let worker = Worker::new(client)
///     .queue("default")
///     .concurrency(50)
///     .capsule(Capsule::new("reports").queue("reports").concurrency(2))
///     .capsule(Capsule::new("mail").queue("mail").queue("news").elastic(5, 200));
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Capsule {
    pub(super) name: String,
    pub(super) order: Order,
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Capsule {
    /// A capsule of the queue that has its name, unless [`queue`](Self::queue) says otherwise, with as many jobs at once
    /// as the machine has cores, times five.
    pub fn new(name: impl Into<String>) -> Self {
        let jobs = default_concurrency();
        Self { name: name.into(), order: Order::default(), min: jobs, max: jobs }
    }

    /// Adds a queue, served in the order in which they are added.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.order.add(queue.into(), None);
        self
    }

    /// Adds a queue that shares with the other weighted ones in proportion to its weight.
    pub fn queue_weighted(mut self, queue: impl Into<String>, weight: u32) -> Self {
        self.order.add(queue.into(), Some(weight));
        self
    }

    /// How many of its jobs run at once.
    pub fn concurrency(self, jobs: usize) -> Self {
        self.elastic(jobs, jobs)
    }

    /// How many of its jobs run at once: `min` when there is little to do, growing up to `max` while its queues give
    /// as much as it asks for, and shrinking again with what it has had to do of late. It never shrinks below `min`.
    pub fn elastic(mut self, min: usize, max: usize) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    /// Fills in the queue that nobody named, and says what cannot be used.
    pub(super) fn complete(&mut self, queue: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.max == 0 || self.max > CONCURRENCY_MAX {
            problems.push(format!("concurrency is {}, not 1 to {CONCURRENCY_MAX}", self.max));
        }
        if self.min == 0 || self.min > self.max {
            let (min, max) = (self.min, self.max);
            problems
                .push(format!("an elastic pool has {min} to {max} jobs, the first must be 1 to the second"));
        }
        if self.order.is_empty() {
            self.order.add(queue.to_owned(), None);
        }
        for queue in self.order.queues() {
            problems.extend(check_name("queue", queue).err().map(|error| error.to_string()));
        }
        problems.extend(self.order.problems());
        problems
    }
}

pub(super) fn default_concurrency() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    (cores * 5).min(CONCURRENCY_MAX)
}
