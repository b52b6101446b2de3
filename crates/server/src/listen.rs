//! Sockets: how they are opened, accepted and set up.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::tls;

/// A place where clients arrive.
pub enum Listener {
    Tcp(std::net::TcpListener, Option<TlsAcceptor>),
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// A client that has just arrived, of no runtime yet.
pub enum Arrival {
    Tcp(std::net::TcpStream, SocketAddr, Option<TlsAcceptor>),
    Unix(StdUnixStream),
}

/// Opens every place that the configuration names.
pub fn open(config: &Config) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let clear = config.tcp.iter().map(|text| (text, None));
    for (text, tls) in clear.chain(config.tls_tcp.iter().map(|text| (text, acceptor.clone()))) {
        let at = |source| Error::Listen { address: text.clone(), source };
        for address in text.to_socket_addrs().map_err(at)? {
            listeners.push(Listener::Tcp(open_tcp(address, config.backlog).map_err(at)?, tls.clone()));
        }
    }
    if let Some(path) = &config.unix {
        listeners.push(Listener::Unix(open_unix(path, config.unix_mode)?, path.clone()));
    }
    Ok(listeners)
}

fn open_tcp(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that starts again must not wait for the connections of the one before to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Opens a unix socket, in place of one that nobody serves any more.
fn open_unix(path: &Path, mode: u32) -> Result<std::os::unix::net::UnixListener> {
    let refused = |reason| Error::Socket { path: path.to_owned(), reason };
    // The system's own words for these would not tell what to do.
    if std::os::unix::net::SocketAddr::from_pathname(path).is_err() {
        let bytes = path.as_os_str().len();
        return Err(refused(format!(
            "its {bytes} bytes are more than the system lets a socket have; choose a shorter path"
        )));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(refused(format!("there is no folder {}; make it first", folder.display())));
    }
    let found = std::fs::symlink_metadata(path).ok();
    if let Some(found) = found.filter(|found| !found.file_type().is_socket()) {
        let what = if found.is_dir() { "a folder" } else { "a file that is no socket" };
        return Err(refused(format!("{what} is there; remove it, or choose another path")));
    }
    open_free_unix(path, mode).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            refused("another program listens there; end it, or choose another path".into())
        }
        io::ErrorKind::PermissionDenied => {
            refused("this user may not make it there; choose another path".into())
        }
        _ => Error::Listen { address: path.display().to_string(), source },
    })
}

fn open_free_unix(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    if path.exists() {
        if StdUnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Listener {
    /// Where clients reach it.
    pub fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener, _) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix(_, path) => Ok(path.display().to_string()),
        }
    }

    /// The port of a TCP listener, with TLS or without.
    pub fn port(&self, is_tls: bool) -> Option<u16> {
        match self {
            Self::Tcp(listener, tls) if tls.is_some() == is_tls => Some(listener.local_addr().ok()?.port()),
            _ => None,
        }
    }

    /// Hands each client that arrives to `welcome`, until the future is dropped.
    pub async fn accept_each(self, welcome: impl Fn(Arrival)) -> io::Result<()> {
        match self {
            Self::Tcp(listener, tls) => {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    match listener.accept().await.and_then(|(stream, from)| Ok((stream.into_std()?, from))) {
                        Ok((stream, from)) => welcome(Arrival::Tcp(stream, from, tls.clone())),
                        Err(error) => rest(&error).await,
                    }
                }
            }
            Self::Unix(listener, path) => {
                let listener = UnixListener::from_std(listener)?;
                let _guard = Unlink(path);
                loop {
                    match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                        Ok(stream) => welcome(Arrival::Unix(stream)),
                        Err(error) => rest(&error).await,
                    }
                }
            }
        }
    }
}

/// Sets a client's connection up: nothing is held back to be sent together, and after `keepalive_s` seconds without a
/// word the system asks whether the client is still there; 0 is never.
pub fn set_up(stream: &std::net::TcpStream, keepalive_s: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if keepalive_s == 0 {
        return Ok(());
    }
    // As Redis: three questions within a third of the time each, so that a client is given up after about twice that.
    let time = Duration::from_secs(keepalive_s);
    let between = Duration::from_secs((keepalive_s / 3).max(1));
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(between).with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Waits a moment after a failed accept: with no file handles left, the next attempt would fail at once as well.
async fn rest(error: &io::Error) {
    const PAUSE: Duration = Duration::from_millis(50);
    tracing::warn!(%error, "a client could not be accepted");
    tokio::time::sleep(PAUSE).await;
}

/// Removes a socket's file with its listener.
struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
