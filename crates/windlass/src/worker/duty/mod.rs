//! The worker's own thread: a small runtime with its own connections.
//!
//! All tasks here share one thread, so that what the worker holds is plain data. `fetch` takes jobs,
//! `collect` receives what executors are done with, `finish` and `fail` end it, `drain` stops the worker;
//! the services beside them are in `service/`.

mod collect;
mod drain;
mod fail;
mod fetch;
mod finish;
mod hand;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, LocalSet};

use super::order::Order;
use super::{Control, PhaseReceiver, Shared, Summary, Worker, blocking, executor, identity};
use crate::broker::{Broker, array, text};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::service;

use hand::Hand;
pub(crate) use hand::HoldKey;

/// The wait before a refused or lost call is made again, doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long the list of all queues is used before it is read again.
const QUEUES_AGE_MAX: Duration = Duration::from_secs(5);

/// How many finished jobs may be on their way from executors to the collector.
const DONE_MAX: usize = 1024;

/// What the tasks of the worker's thread share.
pub(crate) struct Duty {
    pub(crate) shared: Arc<Shared>,
    /// For everything but fetching and waiting.
    pub(crate) broker: Broker,
    fetcher: Broker,
    waiter: Broker,
    pub(crate) config: Config,
    control: Control,
    order: Order,
    concurrency: usize,
    exits_when_empty: bool,
    shutdown_timeout: Duration,
    pub(crate) started_at_ms: u64,
    hand: RefCell<Hand>,
    summary: RefCell<Summary>,
    /// Something came back from an executor.
    has_room: Notify,
    /// Something is to be finished.
    has_finished: Notify,
    /// Another fetch may give more although nobody pushed.
    kick: Notify,
    /// Something was settled with the store.
    settled: Notify,
    is_store_lost: Cell<bool>,
    queues: RefCell<(Option<Instant>, Vec<String>)>,
}

/// Runs a worker on this thread until it has stopped.
pub(super) fn run(worker: Worker, runtime: Handle) -> Result<Summary> {
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = LocalSet::new().block_on(&own, live(worker, runtime));
    own.shutdown_background();
    summary
}

async fn live(worker: Worker, runtime: Handle) -> Result<Summary> {
    let Worker {
        client, order, concurrency, shutdown_timeout, kinds, events, control, exits_when_empty, ..
    } = worker;
    let name = identity::name(concurrency);
    let queues: Vec<Arc<str>> = order.queues().map(Arc::from).collect();
    let broker = client.broker().session().await?;
    let (fetcher, waiter) = (client.broker().session().await?, client.broker().session().await?);
    for queue in &queues {
        broker.add_queue(queue).await?;
    }
    let config = client.config().clone();
    let hand = RefCell::new(Hand::new(concurrency, queues.len()));
    let summary = RefCell::new(Summary { worker: name.clone(), ..Summary::default() });
    let threads = blocking::Threads::new(concurrency);
    let shared = Arc::new(Shared {
        client,
        kinds,
        events,
        worker: name,
        queues,
        ready: executor::Ready::new(concurrency),
        threads,
        clock_offset_ms: Default::default(),
    });
    let duty = Rc::new(Duty {
        shared: shared.clone(),
        broker,
        fetcher,
        waiter,
        config,
        control,
        order,
        concurrency,
        exits_when_empty,
        shutdown_timeout,
        started_at_ms: super::local_now_ms(),
        hand,
        summary,
        has_room: Notify::new(),
        has_finished: Notify::new(),
        kick: Notify::new(),
        settled: Notify::new(),
        is_store_lost: Cell::new(false),
        queues: RefCell::default(),
    });
    // A worker is listed before it takes anything: one without a beat would be taken for dead. Then it
    // takes back at once what ended workers of this machine held, rather than wait for their leases.
    service::heartbeat::beat(&duty).await?;
    service::rescuer::rescue(&duty).await?;
    duty.emit(Event::Started {
        worker: shared.worker.clone(),
        queues: shared.queues.iter().map(ToString::to_string).collect(),
    });
    let (done, collected) = mpsc::channel(DONE_MAX);
    let executors: Vec<_> =
        (0..concurrency).map(|_| runtime.spawn(executor::execute(shared.clone(), done.clone()))).collect();
    drop(done);
    let fetching = tokio::task::spawn_local(fetch::fetch_all(duty.clone()));
    let mut tasks = AbortOnDrop(service::start(&duty));
    tasks.start(collect::collect_all(duty.clone(), collected));
    tasks.start(finish::finish_all(duty.clone()));
    drain::when_told(&duty, fetching, executors).await;
    drop(tasks);
    Ok(duty.summary.borrow().clone())
}

/// Tasks that end with the worker.
struct AbortOnDrop(Vec<AbortHandle>);

impl AbortOnDrop {
    fn start(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.push(tokio::task::spawn_local(task).abort_handle());
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Duty {
    pub(crate) fn events(&self) -> &Events {
        &self.shared.events
    }

    pub(crate) fn emit(&self, event: Event) {
        self.events().emit(event);
    }

    pub(crate) fn phase(&self) -> PhaseReceiver {
        self.control.phase()
    }

    /// Has the next fetch made although nobody pushed: a suspect may be allowed now.
    pub(crate) fn look_again(&self) {
        self.kick.notify_one();
    }

    /// How many jobs run or wait to run here.
    pub(crate) fn in_hand(&self) -> usize {
        self.hand.borrow().in_hand()
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The kinds that this worker runs.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.shared.kinds.names()
    }

    pub(crate) fn hand(&self) -> &RefCell<Hand> {
        &self.hand
    }

    /// Makes a call until it is answered: the store may be loading, failing over or gone.
    pub(crate) async fn until_answered<T>(&self, call: impl AsyncFn() -> Result<T>) -> T {
        let mut backoff = BACKOFF.0;
        loop {
            match call().await {
                Ok(answer) => {
                    self.note_store(None);
                    return answer;
                }
                Err(error) => {
                    self.note_store(Some(&error));
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Tells of a store that is lost or back, once per change.
    pub(crate) fn note_store(&self, error: Option<&Error>) {
        if self.is_store_lost.replace(error.is_some()) == error.is_some() {
            return;
        }
        self.emit(match error {
            Some(error) => Event::StoreLost { message: error.to_string() },
            None => Event::StoreBack,
        });
    }

    /// The names of all queues of the namespace, not much older than [`QUEUES_AGE_MAX`].
    pub(crate) async fn all_queues(&self) -> Result<Vec<String>> {
        if let (Some(read_at), queues) = &*self.queues.borrow()
            && read_at.elapsed() < QUEUES_AGE_MAX
        {
            return Ok(queues.clone());
        }
        let answer = self.broker.send(redis::cmd("SMEMBERS").arg(self.broker.keys().queues())).await?;
        let mut queues = array(answer)?.into_iter().map(text).collect::<Result<Vec<_>>>()?;
        queues.sort();
        *self.queues.borrow_mut() = (Some(Instant::now()), queues.clone());
        Ok(queues)
    }

    /// Makes queues known that turned up by themselves, and has the list read again.
    pub(crate) async fn learn_queues(&self, queues: &[String]) -> Result<()> {
        for queue in queues {
            self.broker.add_queue(queue).await?;
        }
        self.queues.borrow_mut().0 = None;
        Ok(())
    }

    /// Whether the process of a worker on this machine is known to have ended.
    pub(crate) fn has_ended(&self, worker: &str) -> bool {
        worker != self.shared.worker && identity::has_ended(worker)
    }

    /// The name of this machine.
    pub(crate) fn host_name(&self) -> String {
        identity::host_name()
    }
}
