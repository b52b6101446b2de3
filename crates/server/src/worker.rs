//! Threads that serve clients, each with a runtime of its own, so that a connection never moves between threads.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use windlass_db::{Database, Origin, serve};

use crate::error::{Error, Result};
use crate::listen::{self, Arrival};

/// What a client too many is told, in Redis's words.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";
/// What a client from elsewhere is told by a server without a password, in Redis's words.
const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is \
set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host \
the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE \
to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";
/// How long a client has to agree on the encryption.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a thread has to end when its clients have; what holds it longer is a script.
const THREAD_END: Duration = Duration::from_millis(500);
/// No thread that serves clients.
const NOBODY: usize = usize::MAX;

/// Which thread runs the script that is slow, if one does: its clients wait, and new ones better go elsewhere.
static HELD: AtomicUsize = AtomicUsize::new(NOBODY);

thread_local! {
    /// Which of the threads of all servers this is.
    static NUMBER: Cell<usize> = const { Cell::new(NOBODY) };
}

/// A thread that serves clients.
pub struct Worker {
    arrivals: mpsc::UnboundedSender<(Arrival, Place)>,
    number: usize,
    thread: JoinHandle<()>,
    /// Closed by the thread's end.
    ended: oneshot::Receiver<()>,
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
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        database.on_slow_script(|| HELD.store(NUMBER.get(), Ordering::Relaxed));
        // The places bound how many can be on their way.
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let (end, ended) = oneshot::channel();
        let run = move || {
            NUMBER.set(number);
            runtime.block_on(serve_all(database, arrived, stop, grace));
            // Scripts that run apart for clients that are gone.
            runtime.shutdown_timeout(THREAD_END);
            drop(end);
        };
        let thread = std::thread::Builder::new().name("windlass-clients".into());
        let thread = thread.spawn(run).map_err(Error::Thread)?;
        Ok(Self { arrivals, number, thread, ended })
    }

    /// True while a script holds the thread that turned out to be slow.
    pub fn is_held(&self) -> bool {
        HELD.load(Ordering::Relaxed) == self.number
    }

    /// Gives the thread a client to serve.
    pub fn welcome(&self, arrival: Arrival, place: Place) {
        // Sending fails when the server stops: the client is disconnected, as are the others.
        let _ = self.arrivals.send((arrival, place));
    }

    /// Waits for the thread's end, unless a script holds it beyond `grace`.
    pub async fn join(self, grace: Duration) {
        drop(self.arrivals);
        if tokio::time::timeout(grace + 2 * THREAD_END, self.ended).await.is_ok() {
            self.thread.join().expect("a thread that serves clients does not panic");
        }
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
        Arrival::Tcp(stream, from, tls) => {
            listen::set_up(&stream, database.client_limits().keepalive_s)?;
            let local_address = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
            let socket = Some((local_address, stream.as_raw_fd()));
            let origin = Origin { address: from.to_string(), socket };
            let mut stream = TcpStream::from_std(stream)?;
            let is_denied = is_denied(database, from);
            match tls {
                Some(acceptor) => {
                    let mut stream = match encrypt(&acceptor, stream).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::warn!(%from, %error, "a client agreed on no encryption and was disconnected");
                            return Ok(());
                        }
                    };
                    if is_denied {
                        return refuse(&mut stream).await;
                    }
                    // What a stream with TLS is made of is kept apart: the many others need not be as large.
                    Box::pin(serve(stream, database.session_from(origin), stopped)).await
                }
                None if is_denied => refuse(&mut stream).await,
                None => serve(stream, database.session_from(origin), stopped).await,
            }
        }
        Arrival::Unix(stream) => {
            stream.set_nonblocking(true)?;
            // Redis shows the socket's path on both sides, with a port.
            let own = stream.local_addr()?;
            let address = own.as_pathname().map_or("unix".into(), |path| format!("{}:0", path.display()));
            let origin = Origin { address: address.clone(), socket: Some((address, stream.as_raw_fd())) };
            serve(UnixStream::from_std(stream)?, database.session_from(origin), stopped).await
        }
    }
}

async fn encrypt(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    tokio::time::timeout(HANDSHAKE, Box::pin(acceptor.accept(stream))).await?
}

/// Whether a client comes from elsewhere to a server that nothing protects.
fn is_denied(database: &Database, from: SocketAddr) -> bool {
    database.client_limits().is_protected
        && !database.needs_password()
        && !from.ip().to_canonical().is_loopback()
}

async fn refuse(stream: &mut (impl tokio::io::AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(DENIED).await?;
    stream.shutdown().await
}

/// Tells a client that there is no place for it.
pub fn turn_away(arrival: Arrival) {
    // The buffer of a new socket takes so few bytes at once; whoever is gone misses nothing. Before the encryption is
    // agreed on nothing can be said.
    let _ = match arrival {
        Arrival::Tcp(mut stream, _, None) => stream.write_all(TOO_MANY),
        Arrival::Tcp(_, _, Some(_)) => Ok(()),
        Arrival::Unix(mut stream) => stream.write_all(TOO_MANY),
    };
}
