//! Processes of this very binary that stages start and kill.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use windlass_conn::Connection;

/// The pause before a server that replays its log is asked again.
const LOADING_PAUSE: Duration = Duration::from_millis(2);
/// How a process says that it is up.
const READY: &str = "ready";
/// How long a stage waits for a sync to kill a process in. Under `everysec` there are three in it.
const SYNC_PATIENCE: Duration = Duration::from_millis(3_500);
/// The number of a thread, its name in brackets and its state take fewer bytes.
const STATE_BYTES: usize = 40;
/// So long a list of a process's threads is taken for whole.
const THREADS_TIME: Duration = Duration::from_millis(20);

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

    /// Kills it while one of its threads is in a sync, or after a while; answers whether that was seen, before the
    /// signal and still after it.
    ///
    /// It is stopped first: a sync goes on meanwhile, and a thread that was seen in a sync just before it ended is let go
    /// on, for the next one. A thread in a sync dies when that ends, so what is seen after the signal was under way when
    /// the signal came.
    pub fn kill_in_sync(&mut self) -> bool {
        let (start, pid) = (Instant::now(), Pid::from_child(&self.child));
        while start.elapsed() < SYNC_PATIENCE {
            let threads = threads(self.id());
            let listed = Instant::now();
            while listed.elapsed() < THREADS_TIME {
                let Some(thread) = threads.iter().find(|thread| thread.is_in_sync()) else { continue };
                // It may have ended by itself, which the next start shows.
                let _ = kill_process(pid, Signal::STOP);
                if thread.waits_for_disk() && thread.is_in_sync() {
                    let _ = self.child.kill();
                    let is_seen = thread.waits_for_disk() && thread.is_in_sync();
                    let _ = self.child.wait();
                    return is_seen;
                }
                let _ = kill_process(pid, Signal::CONT);
            }
        }
        self.kill();
        false
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

/// A thread of a process, as the kernel tells on Linux. The files stay open: a sync may be over before the threads are
/// listed again.
struct Thread {
    call: fs::File,
    state: fs::File,
}

/// The threads of a process; none where the system does not tell.
fn threads(process: u32) -> Vec<Thread> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let open = |folder: &Path| -> std::io::Result<Thread> {
        Ok(Thread {
            call: fs::File::open(folder.join("syscall"))?,
            state: fs::File::open(folder.join("stat"))?,
        })
    };
    threads.filter_map(|thread| open(&thread.ok()?.path()).ok()).collect()
}

impl Thread {
    /// True when its call is fsync or fdatasync.
    fn is_in_sync(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        const SYNCS: [&[u8]; 2] = [b"74 ", b"75 "];
        #[cfg(not(target_arch = "x86_64"))]
        const SYNCS: [&[u8]; 2] = [b"82 ", b"83 "];
        let mut number = [0; 3];
        self.call.read_at(&mut number, 0).is_ok() && SYNCS.contains(&number.as_slice())
    }

    /// True while no signal reaches it. A thread that is stopped at the end of a call is still told to be in it.
    fn waits_for_disk(&self) -> bool {
        let mut line = [0; STATE_BYTES];
        let length = self.state.read_at(&mut line, 0).unwrap_or(0);
        // The state follows the name, in brackets, which may have any bytes.
        line[..length].rsplit(|byte| *byte == b')').next().is_some_and(|rest| rest.starts_with(b" D"))
    }
}
