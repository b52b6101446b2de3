//! The socket in a database's directory: other processes that open the directory come in here.

use std::io;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_db::{Database, Session, serve};

/// The most sessions that other processes have at one time.
const SESSIONS_MAX: usize = 1000;
/// How long they have, at the end, to take the replies to what they had sent: a busy disk syncs slowly.
const GRACE: Duration = Duration::from_secs(5);
/// The pause after a client could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// A thread that serves the socket; dropping it ends it.
pub struct Door {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Door {
    /// Opens the socket. Who has the directory's lock may replace what is left there of an owner that died.
    pub fn open(database: &Database, path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(path)?;
        // Its folder lets nobody else in either.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let database = database.clone();
        let thread = std::thread::Builder::new().name("windlass-door".into()).spawn(move || {
            if let Err(error) = runtime.block_on(serve_all(database, listener, stopped)) {
                tracing::warn!(%error, "the socket of the database has failed");
            }
        })?;
        Ok(Self { stop, thread: Some(thread), path: path.to_owned() })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // New processes are to wait for the next owner rather than to talk to this one.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread of the socket does not panic");
        }
    }
}

async fn serve_all(
    database: Database,
    listener: StdListener,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let mut sessions = JoinSet::new();
    let mut stop = stopped.clone();
    loop {
        let has_room = sessions.len() < SESSIONS_MAX;
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(serve_one(stream, database.session("unix"), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "another process could not be let in");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended.expect("serving a process does not panic") {
                    tracing::debug!(%error, "another process was disconnected");
                }
            }
            _ = stop.wait_for(|is_stopped| *is_stopped) => break,
        }
    }
    let all_ended = async { while sessions.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all_ended).await;
    Ok(())
}

/// Serves a process until it leaves or the socket is closed. Then what it has sent is answered, and what it would send is
/// refused by the system before a byte of it is taken: it knows that none of that ran, and asks the next owner.
async fn serve_one(
    stream: UnixStream,
    session: Session,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let end = SockRef::from(&stream).try_clone()?;
    let stop = async move {
        let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
        // What lies there already is read, up to an end; a process that is gone does not mind.
        let _ = end.shutdown(Shutdown::Read);
        std::future::pending().await
    };
    serve(stream, session, stop).await
}
