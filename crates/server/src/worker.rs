//! Threads that serve clients, each with a runtime of its own, so that a connection never moves between threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use windlass_db::{Database, serve};

use crate::error::{Error, Result};
use crate::listen::Arrival;

/// A thread that serves clients.
pub struct Worker {
    arrivals: mpsc::UnboundedSender<(Arrival, Place)>,
    thread: JoinHandle<()>,
}

/// One of the places that a server has for clients; free again when it is dropped.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes a place, unless `max` are taken.
    pub fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let one_more = |count| (count < max).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(taken.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Starts a thread that serves clients of `database` until `stop` turns true, and then `grace` longer.
    pub fn start(database: Database, stop: watch::Receiver<bool>, grace: Duration) -> Result<Self> {
        // The places bound how many can be on their way.
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let thread = std::thread::Builder::new()
            .name("windlass-clients".into())
            .spawn(move || runtime.block_on(serve_all(database, arrived, stop, grace)))
            .map_err(Error::Thread)?;
        Ok(Self { arrivals, thread })
    }

    /// Gives the thread a client to serve.
    pub fn welcome(&self, arrival: Arrival, place: Place) {
        // Sending fails when the server stops: the client is disconnected, as are the others.
        let _ = self.arrivals.send((arrival, place));
    }

    /// Waits for the thread's end.
    pub fn join(self) {
        drop(self.arrivals);
        self.thread.join().expect("a thread that serves clients does not panic");
    }
}

async fn serve_all(
    database: Database,
    mut arrived: mpsc::UnboundedReceiver<(Arrival, Place)>,
    stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let mut stopped = stop.clone();
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            arrival = arrived.recv() => {
                let Some((arrival, place)) = arrival else { break };
                let (database, stop) = (database.clone(), stop.clone());
                clients.spawn(async move {
                    if let Err(error) = serve_one(&database, arrival, stop).await {
                        tracing::debug!(%error, "a client was disconnected");
                    }
                    drop(place);
                });
            }
            Some(ended) = clients.join_next() => ended.expect("serving a client does not panic"),
            _ = stopped.wait_for(|is_stopped| *is_stopped) => break,
        }
    }
    // Sessions answer what ran and end; those whose client does not take its replies end with the runtime.
    let all_ended = async { while clients.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(grace, all_ended).await;
}

async fn serve_one(database: &Database, arrival: Arrival, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let stopped = async move {
        let _ = stop.wait_for(|is_stopped| *is_stopped).await;
    };
    match arrival {
        Arrival::Tcp(stream, from) => {
            let session = database.session(&from.to_string());
            serve(TcpStream::from_std(stream)?, session, stopped).await
        }
        Arrival::Unix(stream) => {
            stream.set_nonblocking(true)?;
            serve(UnixStream::from_std(stream)?, database.session("unix"), stopped).await
        }
    }
}
