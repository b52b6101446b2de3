//! Tells systemd how the worker is: ready, alive, stopping.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Where systemd waits for word of a service of `Type=notify`, and how often it wants to hear that it lives.
///
/// `READY=1` is sent once the worker takes jobs, `STOPPING=1` when it begins to stop, and `WATCHDOG=1` twice in every
/// interval of `WatchdogSec=` as long as the worker's own thread goes round and the runtime that its jobs run on does, too:
/// a process that hangs is restarted, one whose store is away is not. Jobs that block belong on threads
/// ([`BlockingJob`](crate::BlockingJob)), or may block the runtime for less than the interval.
///
/// ```no_run
/// # use windlass::{Client, Systemd, Worker};
/// # async fn example(client: &Client) -> windlass::Result<()> {
/// let mut worker = Worker::new(client).signals();
/// if let Some(systemd) = Systemd::from_env() {
///     worker = worker.systemd(systemd);
/// }
/// worker.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Systemd {
    socket: OsString,
    pub(super) watchdog: Option<Duration>,
}

impl Systemd {
    /// A socket, by its path; one whose name begins with `@` is abstract.
    pub fn new(socket: impl Into<OsString>) -> Self {
        Self { socket: socket.into(), watchdog: None }
    }

    /// Within which time systemd wants to hear that the worker lives.
    #[must_use]
    pub fn watchdog(mut self, time: Duration) -> Self {
        self.watchdog = Some(time);
        self
    }

    /// What `NOTIFY_SOCKET` and `WATCHDOG_USEC` say; `None` when systemd does not wait for word.
    pub fn from_env() -> Option<Self> {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
        let micros = std::env::var("WATCHDOG_USEC").ok().and_then(|micros| micros.parse().ok());
        Some(Self { socket, watchdog: micros.filter(|micros| *micros > 0).map(Duration::from_micros) })
    }

    /// Sends one line of word.
    pub(super) fn send(&self, word: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match self.socket.as_bytes() {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => {
                use std::os::linux::net::SocketAddrExt;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                socket.send_to_addr(word.as_bytes(), &address)?;
            }
            _ => {
                socket.send_to(word.as_bytes(), &self.socket)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_comes_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        Systemd::new(&path).send("READY=1").unwrap();
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        assert!(Systemd::new(folder.path().join("nobody")).send("READY=1").is_err());
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;
            let name = format!("windlass-test-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
            let listener = UnixDatagram::bind_addr(&address).unwrap();
            Systemd::new(format!("@{name}")).send("STOPPING=1").unwrap();
            let length = listener.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"STOPPING=1");
        }
    }
}
