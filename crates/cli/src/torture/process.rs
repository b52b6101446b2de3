//! Processes of this very binary that stages start and kill.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use windlass_conn::Connection;

/// The pause before a server that replays its log is asked again.
const LOADING_PAUSE: Duration = Duration::from_millis(2);
/// How a process says that it is up.
const READY: &str = "ready";

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    /// From its start until it was ready.
    pub started_in: Duration,
    /// The rest of the line that said so.
    pub ready: String,
}

impl Process {
    /// Starts `command` and waits until it says that it is ready; what it says beside that goes to `log`.
    ///
    /// # Errors
    /// When it ends before, with what it said.
    pub fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let start = Instant::now();
        let errors = fs::File::options().create(true).append(true).open(log)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let Some(line) = lines.find(|line| line.starts_with(READY)) else {
            child.wait()?;
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!(
                "a process ended before it was ready: {}",
                said.lines().last().unwrap_or("it said nothing")
            );
        };
        let ready = line.trim_start_matches(READY).trim().to_owned();
        Ok(Self { child, started_in: start.elapsed(), ready })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it; nothing that it could do about it is asked.
    pub fn kill(&mut self) {
        // It may have ended by itself, which the next start shows.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// This binary, without the user's environment.
pub fn program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove("WINDLASS_URL").env_remove("REDIS_URL");
    Ok(command)
}

/// Starts a server on a directory.
///
/// # Errors
/// When it does not start.
pub fn serve(directory: &Path, port: u16, durability: &str, log: &Path) -> anyhow::Result<Process> {
    Process::start(serve_command(directory, port, durability)?, log)
}

/// What starts a server on a directory.
pub fn serve_command(directory: &Path, port: u16, durability: &str) -> anyhow::Result<Command> {
    let mut command = program()?;
    command.arg("serve").arg("--dir").arg(directory);
    command.args(["--bind", &format!("127.0.0.1:{port}"), "--durability", durability]);
    // A settings file of whoever runs this must not change what is tried.
    command.current_dir(directory.parent().unwrap_or(directory));
    Ok(command)
}

/// Connects to a server once it has replayed its log.
///
/// # Errors
/// When it does not answer.
pub async fn connect(server: &Process) -> anyhow::Result<Connection> {
    let address = server.ready.trim_start_matches("on ").split(',').next().unwrap_or_default();
    let config = windlass_conn::Config { reconnect_time: Duration::ZERO, ..windlass_conn::Config::default() };
    let mut connection = Connection::open_with(&format!("redis://{address}"), config).await?;
    loop {
        match redis::cmd("EXISTS").arg("loaded").query_async::<u64>(&mut connection).await {
            Err(error) if error.code() == Some("LOADING") => tokio::time::sleep(LOADING_PAUSE).await,
            answer => return Ok(answer.map(|_| connection)?),
        }
    }
}

/// A port that nobody listens on.
///
/// # Errors
/// The system's.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
