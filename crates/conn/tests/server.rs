//! A real redis-server for a test, on a unix socket in a folder of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use windlass_conn::Connection;

/// How long a server may take until it answers.
const START_TIME: Duration = Duration::from_secs(20);

/// A server that ends with the guard.
pub struct Server {
    process: Child,
    folder: TempDir,
    args: Vec<String>,
}

impl Server {
    /// Starts a server; none when the environment says that there is no redis-server here.
    pub async fn start(args: &[&str]) -> Option<Self> {
        if std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some() {
            eprintln!("WINDLASS_TEST_NO_REDIS is set: nothing is tested on a real server");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = spawn(&folder.path().join("redis.sock"), &args);
        let server = Self { process, folder, args };
        server.answers().await;
        Some(server)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was started here");
    }

    /// Starts a killed server again, empty.
    pub async fn restart(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.process = spawn(&self.socket(), &self.args);
        self.answers().await;
    }

    async fn answers(&self) {
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(started.elapsed() < START_TIME, "redis-server does not start");
            tokio::task::yield_now().await;
        }
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.url()).await.expect("the server answers")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(socket: &std::path::Path, args: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(socket)
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed; set WINDLASS_TEST_NO_REDIS to go without")
}
