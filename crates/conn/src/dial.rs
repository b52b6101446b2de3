//! Opens the wire to a server, and counts what is written to it: a command of which no byte was written surely did
//! not run, and may be sent again.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::url::Place;

/// After so long without a word the system asks whether the server is still there...
const KEEPALIVE: Duration = Duration::from_secs(30);
/// ...and gives up after so long without an answer, to what was sent as well, where it can be told to.
#[cfg(target_os = "linux")]
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How many bytes a wire has taken.
#[derive(Clone, Debug, Default)]
pub struct Written(Arc<AtomicU64>);

impl Written {
    /// The bytes so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The byte stream to a server.
pub struct Wire {
    socket: Socket,
    written: Written,
    /// True while whoever has the wire waits for something to read.
    is_read: bool,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Wire {
    /// Opens the wire, in at most the connect time.
    pub async fn open(place: &Place, config: &Config) -> Result<Self> {
        let (connect_time, ca_file) = (config.connect_time, config.ca_file.as_deref());
        let socket = match tokio::time::timeout(connect_time, Socket::open(place, ca_file)).await {
            Ok(opened) => opened,
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {connect_time:?}")))
            }
        };
        let socket = socket.map_err(|error| Error::Connect {
            address: place.to_string(),
            reason: error.to_string(),
            hint: hint(place, &error),
        })?;
        Ok(Self { socket, written: Written::default(), is_read: false })
    }

    /// The count of what is written, which goes on after the wire has been handed on.
    pub fn written(&self) -> Written {
        self.written.clone()
    }

    fn is_unix(&self) -> bool {
        matches!(self.socket, Socket::Unix(_))
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut (dyn Duplex + Unpin)> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream),
            Socket::Unix(stream) => Pin::new(stream),
            #[cfg(feature = "tls")]
            Socket::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl Socket {
    async fn open(place: &Place, ca_file: Option<&Path>) -> io::Result<Self> {
        match place {
            Place::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
            Place::Tcp { host, port, is_tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                let socket = SockRef::from(&stream);
                socket.set_tcp_keepalive(
                    &TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3),
                )?;
                #[cfg(target_os = "linux")]
                socket.set_tcp_user_timeout(Some(SILENCE_MAX))?;
                if *is_tls { Self::encrypt(stream, host, ca_file).await } else { Ok(Self::Tcp(stream)) }
            }
        }
    }

    #[cfg(feature = "tls")]
    async fn encrypt(stream: TcpStream, host: &str, ca_file: Option<&Path>) -> io::Result<Self> {
        let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = crate::tls::connector(ca_file)?.connect(name, stream).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypt(_: TcpStream, _: &str, _: Option<&Path>) -> io::Result<Self> {
        unreachable!("no URL asks for TLS without the feature")
    }
}

fn hint(place: &Place, error: &io::Error) -> &'static str {
    match (place, error.kind()) {
        (Place::Unix(_), io::ErrorKind::NotFound) => "there is no such socket; is the server running?",
        (_, io::ErrorKind::PermissionDenied) => "this user may not open the socket",
        (_, io::ErrorKind::ConnectionRefused) => {
            "nothing listens there; start a server, or give a directory such as `./jobs` for the embedded store"
        }
        // A server without TLS waits for the end of a line that never comes.
        (Place::Tcp { is_tls: true, .. }, io::ErrorKind::TimedOut) => {
            "check the address, that the server speaks TLS, and that no firewall stands between"
        }
        (_, io::ErrorKind::TimedOut) => "check the address, and that no firewall stands between",
        (Place::Tcp { is_tls: true, .. }, _) => {
            "check the address, and that the server speaks TLS with a certificate that this machine trusts; \
             name the certificate of an authority of your own as the CA file"
        }
        _ => "check the address",
    }
}

trait Duplex: AsyncRead + AsyncWrite {}

impl<S: AsyncRead + AsyncWrite> Duplex for S {}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.as_mut().socket().poll_read(context, buffer);
        self.is_read = read.is_pending();
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.as_mut().socket().poll_write(context, bytes);
        match &outcome {
            Poll::Ready(Ok(count)) => {
                self.written.0.fetch_add(*count as u64, Ordering::SeqCst);
            }
            // The owner of a directory that ends takes nothing more and answers what it has: redis-rs would drop those
            // answers at an error. The end of them wakes who reads.
            Poll::Ready(Err(error))
                if self.is_read && self.is_unix() && error.kind() == io::ErrorKind::BrokenPipe =>
            {
                return Poll::Pending;
            }
            _ => {}
        }
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(context)
    }
}
