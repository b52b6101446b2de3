//! The server: from its sockets to its threads, and their end in good order.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_db::Database;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::listen::{self, Arrival, Listener};
use crate::worker::{self, Place, Worker};

/// A database on the network; clients are answered once [`Server::run_until`] runs.
pub struct Server {
    config: Config,
    database: Database,
    listeners: Vec<Listener>,
    addresses: Vec<String>,
}

impl Server {
    /// Opens the sockets.
    ///
    /// # Errors
    /// When the configuration is not valid or an address cannot be had; the text says which and what to do.
    pub fn bind(config: Config, database: Database) -> Result<Self> {
        config.validate()?;
        let listeners = listen::open(&config)?;
        let addresses = listeners
            .iter()
            .map(|listener| {
                listener.address().map_err(|source| Error::Listen { address: "a socket".into(), source })
            })
            .collect::<Result<_>>()?;
        // Redis tells the port without TLS where it has one.
        let port = |is_tls| listeners.iter().find_map(|listener| listener.port(is_tls));
        database.tell_port(port(false).or(port(true)).unwrap_or_default());
        Ok(Self { config, database, listeners, addresses })
    }

    /// Where clients reach it, with the ports that the system chose.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Serves clients until `stop` is ready or a client sends SHUTDOWN. Then nobody is accepted, each client gets the replies
    /// to what ran for it, and soon after [`Config::stop_grace`] at the latest the sockets are closed and the threads have
    /// ended, but for one that a script holds. The database goes on.
    ///
    /// # Errors
    /// When a thread cannot be started or a socket fails.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { config, database, listeners, addresses } = self;
        let (stopper, stopped) = watch::channel(false);
        let start = || Worker::start(database.clone(), stopped.clone(), config.stop_grace);
        let workers = (0..config.threads).map(|_| start()).collect::<Result<Vec<_>>>()?;
        let spare = start()?;
        let gate = Arc::new(Gate {
            workers,
            spare,
            next: AtomicUsize::new(0),
            taken: Arc::new(AtomicUsize::new(0)),
            database,
        });
        let mut doors = JoinSet::new();
        for listener in listeners {
            let gate = gate.clone();
            doors.spawn(listener.accept_each(move |arrival| gate.welcome(arrival)));
        }
        let shutdown = gate.database.shutdown_requested();
        let failed = tokio::select! {
            () = stop => None,
            () = shutdown => None,
            Some(door) = doors.join_next() => door.expect("accepting clients does not panic").err(),
        };
        doors.shutdown().await;
        // A receiver that is gone belongs to a worker that has ended already.
        let _ = stopper.send(true);
        let gate = Arc::into_inner(gate).expect("nobody accepts any more");
        let ends: JoinSet<()> = gate
            .workers
            .into_iter()
            .chain([gate.spare])
            .map(|worker| worker.join(config.stop_grace))
            .collect();
        ends.join_all().await;
        match failed {
            Some(source) => Err(Error::Listen { address: addresses.join(", "), source }),
            None => Ok(()),
        }
    }
}

/// Lets clients in and spreads them over the threads in turn.
struct Gate {
    workers: Vec<Worker>,
    /// Serves who comes while a script holds the thread whose turn it is: somebody must be able to stop that script.
    spare: Worker,
    next: AtomicUsize,
    taken: Arc<AtomicUsize>,
    database: Database,
}

impl Gate {
    fn welcome(&self, arrival: Arrival) {
        match Place::take(&self.taken, self.database.client_limits().count_max) {
            Some(place) => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
                let worker = &self.workers[turn];
                let is_held = self.database.is_busy() && worker.is_held();
                if is_held { &self.spare } else { worker }.welcome(arrival, place);
            }
            None => {
                self.database.note_rejected();
                worker::turn_away(arrival);
            }
        }
    }
}
