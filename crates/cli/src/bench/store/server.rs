//! The servers that are measured: our own binary, a redis-server and perhaps a valkey-server, each in a folder of its own that goes with it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::args::BenchStoreArgs;
use crate::bench::process::{cpu_seconds, info_field};

/// How long a server may take to answer at first.
const START_MAX: Duration = Duration::from_secs(10);

/// The valkey-server of the PATH.
const VALKEY: &str = "valkey-server";

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Windlass,
    Redis,
    Valkey,
}

/// What it does with its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// There is none.
    Absent,
    Everysec,
    Always,
}

/// A running server; dropping it ends the process and removes its folder.
pub struct Server {
    kind: Kind,
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

/// A folder that goes when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty one.
    pub fn make(args: &BenchStoreArgs) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = args.dir.join(format!("windlass-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It fails only when there is nothing left to remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Those that are measured, in their turns.
pub fn kinds(args: &BenchStoreArgs) -> &'static [Kind] {
    const ALL: &[Kind] = &[Kind::Windlass, Kind::Redis, Kind::Valkey];
    &ALL[..if args.no_valkey { 2 } else { 3 }]
}

/// What the valkey-server says of its version, if one is to be measured. Only one that was named has to be there.
pub fn valkey(args: &BenchStoreArgs) -> anyhow::Result<Option<String>> {
    match &args.valkey_server {
        _ if args.no_valkey => Ok(None),
        Some(program) => version(program, "--valkey-server").map(Some),
        None => Ok(version(Path::new(VALKEY), "").ok()),
    }
}

/// What a server says of its version; it is named by `flag`.
pub fn version(program: &Path, flag: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| {
        format!("cannot run {}; install it, or name another with {flag}", program.display())
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

impl Server {
    /// Starts a server on a free port, in a folder of its own.
    pub async fn start(args: &BenchStoreArgs, kind: Kind, log: Log) -> anyhow::Result<Self> {
        Self::open(args, kind, log, Folder::make(args)?, START_MAX).await
    }

    /// Starts a server on a free port, on what is in a folder, which it has so much time to read.
    pub async fn open(
        args: &BenchStoreArgs,
        kind: Kind,
        log: Log,
        folder: Folder,
        time_max: Duration,
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let directory = folder.path();
        let mut command = match kind {
            Kind::Windlass => Command::new(std::env::current_exe()?),
            Kind::Redis => Command::new(&args.redis_server),
            Kind::Valkey => Command::new(args.valkey_server.as_deref().unwrap_or(Path::new(VALKEY))),
        };
        match kind {
            Kind::Windlass => {
                command.args(["serve", "--bind", &address.to_string()]);
                match log {
                    Log::Absent => command.arg("--in-memory"),
                    Log::Everysec => command.args(["--durability", "everysec", "--dir"]).arg(directory),
                    Log::Always => command.args(["--durability", "always", "--dir"]).arg(directory),
                };
            }
            Kind::Redis | Kind::Valkey => {
                command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
                command.args(["--appendonly", if log == Log::Absent { "no" } else { "yes" }]);
                command.args(["--appendfsync", if log == Log::Always { "always" } else { "everysec" }]);
                command.arg("--dir").arg(directory);
            }
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().context("cannot start a server")?;
        let server = Self { kind, child, address, folder };
        let started = std::time::Instant::now();
        loop {
            match server.ping().await {
                Ok(()) => return Ok(server),
                Err(error) if started.elapsed() > time_max => bail!("{kind:?} does not answer: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// A connection for what is not measured.
    pub async fn connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Whether it answers, and has read its data.
    async fn ping(&self) -> redis::RedisResult<()> {
        redis::cmd("PING").query_async(&mut self.connection().await?).await
    }

    /// A figure of its INFO.
    pub async fn info(&self, name: &str) -> anyhow::Result<f64> {
        let text: String =
            redis::cmd("INFO").arg("everything").query_async(&mut self.connection().await?).await?;
        let value = info_field(&text, name).with_context(|| format!("INFO has no {name}"))?;
        value.parse().with_context(|| format!("INFO's {name} is no number"))
    }

    /// Seconds of processor time that it has used.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.child.id())
    }

    /// Bytes of the files of its log.
    pub fn log_bytes(&self) -> anyhow::Result<f64> {
        let folder = self.folder.path().join("appendonlydir");
        let mut bytes = 0;
        for file in std::fs::read_dir(&folder)? {
            bytes += file?.metadata()?.len();
        }
        Ok(bytes as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each fails only when there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
