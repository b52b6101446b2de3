//! Our server, in memory, for a test.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use windlass_db::Database;
use windlass_server::{Config, Server};

/// A server on a port that the system chose; dropping it stops it.
pub struct OurServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OurServer {
    /// Starts a server.
    ///
    /// # Panics
    /// When no port or thread is to be had.
    pub fn start() -> Self {
        Self::start_with(windlass_db::Config::default())
    }

    /// Starts a server whose database has other settings.
    ///
    /// # Panics
    /// When the settings cannot be used, or no port or thread is to be had.
    pub fn start_with(config: windlass_db::Config) -> Self {
        Self::start_on(Database::memory(config).expect("a configuration that can be used"))
    }

    /// Starts a server on a database.
    ///
    /// # Panics
    /// When no port or thread is to be had.
    pub fn start_on(database: Database) -> Self {
        // One thread takes requests in the order in which they arrive, over all connections: tests count on that.
        let config = Config { tcp: vec!["127.0.0.1:0".into()], threads: 1, ..Config::default() };
        let server = Server::bind(config, database).expect("a port");
        let address = server.addresses()[0].parse().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let served = runtime.block_on(server.run_until(async {
                let _ = stopped.await;
            }));
            served.expect("a clean end");
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OurServer {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        // A second panic while a test fails would hide the first.
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|ended| ended.is_ok()), "the server panicked");
        }
    }
}
