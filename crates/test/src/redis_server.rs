//! A real redis-server for comparison, on a port of its own, gone with the test. It is the first one of the path, so that
//! another version is tried by putting its folder there first: the job library's cases hold from 6.2 on, the fixtures
//! are those of 7.0. A Valkey is started in the same way, by its own name, and so is a Redis 8 of any folder of the path.
//!
//! A server that is not there is told on standard error, whatever a harness keeps back, and with `WINDLASS_TEST_NO_SKIPS`
//! in the environment its tests fail.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::clock::ShiftedClock;

/// The programs that can be started.
const REDIS: &str = "redis-server";
const VALKEY: &str = "valkey-server";

/// How long a server in cluster mode may take until it serves, and how often it is asked.
const CLUSTER_START_MAX: Duration = Duration::from_secs(20);
const CLUSTER_PACE: Duration = Duration::from_millis(20);

/// How often another port is tried when somebody took the one that was free a moment ago.
const ATTEMPTS_MAX: usize = 5;

/// A running redis-server, without persistence unless its arguments say otherwise; dropping it ends the process.
pub struct RedisServer {
    process: Option<Process>,
    program: PathBuf,
    address: SocketAddr,
    args: Vec<String>,
    directory: TempDir,
}

/// The process of a server.
struct Process {
    child: Child,
    /// Reads the server's log to its end, so that the server never waits for a full pipe.
    drain: Option<JoinHandle<()>>,
}

impl RedisServer {
    /// Starts the `valkey-server` of the path, on a clock that a test moves if one is given. None where there is no such
    /// program and tests may go without.
    ///
    /// # Panics
    /// When it does not come up, or is not there and no test may go without.
    pub fn start_valkey_or_skip(clock: Option<&ShiftedClock>) -> Option<Self> {
        match Self::start_on(Path::new(VALKEY), &[], clock) {
            Ok(server) => Some(server),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                leave_out(VALKEY, "there is no such program (scripts/valkey unpacks one)")
            }
            Err(error) => panic!("valkey-server does not start ({error})"),
        }
    }

    /// Starts a `redis-server` of version 8, on a clock that a test moves if one is given. None where no folder of the path
    /// has one: few machines do, so that this alone is told and never a failure.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_redis_8(clock: Option<&ShiftedClock>) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join(REDIS)).find(|program| {
            let said = Command::new(program).arg("--version").output();
            said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(" v=8."))
        });
        let Some(program) = program else {
            tell_left_out("redis-server 8", "no folder of the path has one");
            return None;
        };
        let started = Self::start_on(&program, &[], clock);
        Some(started.unwrap_or_else(|error| panic!("{} does not start ({error})", program.display())))
    }

    fn start_on(program: &Path, args: &[&str], clock: Option<&ShiftedClock>) -> io::Result<Self> {
        let mut last = io::Error::other("it was not tried");
        for _ in 0..ATTEMPTS_MAX {
            match Self::try_start(program, args, clock) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    /// Starts the `redis-server` of the path, with further arguments such as `--maxmemory 1mb`. None when it does not
    /// start and tests may go without, which `WINDLASS_TEST_NO_REDIS` in the environment says.
    ///
    /// # Panics
    /// When it does not start and no test may go without.
    pub fn start_or_skip(args: &[&str]) -> Option<Self> {
        Self::started_or_skip(Self::start_on(Path::new(REDIS), args, None))
    }

    /// As [`start_or_skip`](Self::start_or_skip), on a clock that a test moves.
    ///
    /// # Panics
    /// As [`start_or_skip`](Self::start_or_skip).
    pub fn start_by_or_skip(clock: &ShiftedClock, args: &[&str]) -> Option<Self> {
        Self::started_or_skip(Self::start_on(Path::new(REDIS), args, Some(clock)))
    }

    /// As [`start_or_skip`](Self::start_or_skip), in cluster mode, and owning every slot: a move whose keys lie in two slots
    /// is refused. On a clock, if one is given.
    ///
    /// # Panics
    /// As [`start_or_skip`](Self::start_or_skip), and when the cluster does not come up.
    pub fn start_cluster_or_skip(clock: Option<&ShiftedClock>) -> Option<Self> {
        // The bus takes the port 10,000 above unless told otherwise, and there may be no such port.
        let bus = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let bus = bus.expect("a port is free").port().to_string();
        let args = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        let server = Self::started_or_skip(Self::start_on(Path::new(REDIS), &args, clock))?;
        let client = redis::Client::open(server.url()).expect("the URL is right");
        let mut connection = client.get_connection().expect("it answers");
        let mut own_all = redis::cmd("CLUSTER");
        own_all.arg("ADDSLOTSRANGE").arg(0).arg(16383).exec(&mut connection).expect("the slots are free");
        let started = Instant::now();
        let is_up = |info: String| info.contains("cluster_state:ok");
        while !is_up(redis::cmd("CLUSTER").arg("INFO").query(&mut connection).expect("it answers")) {
            assert!(started.elapsed() < CLUSTER_START_MAX, "the cluster does not come up");
            // It waits some seconds by its own clock before it says that it is up.
            clock.map_or(Ok(()), |clock| clock.advance(CLUSTER_PACE)).expect("the shift can be written");
            std::thread::sleep(CLUSTER_PACE);
        }
        Some(server)
    }

    fn started_or_skip(started: io::Result<Self>) -> Option<Self> {
        match started {
            Ok(server) => Some(server),
            Err(_) if std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some() => {
                leave_out(REDIS, "WINDLASS_TEST_NO_REDIS is set")
            }
            Err(error) => panic!(
                "redis-server does not start ({error}); install it, or set WINDLASS_TEST_NO_REDIS=1 to test without"
            ),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as clients take it.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Ends the process as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts a killed server again, where it was and on what it had stored.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.process =
            Some(Process::start(&self.program, self.address, self.directory.path(), &self.args, None)?);
        Ok(())
    }

    fn try_start(program: &Path, args: &[&str], clock: Option<&ShiftedClock>) -> io::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let directory = tempfile::tempdir()?;
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let process = Some(Process::start(program, address, directory.path(), &args, clock)?);
        Ok(Self { process, program: program.to_owned(), address, args, directory })
    }
}

/// Goes on without a server, if tests may.
///
/// # Panics
/// When they may not.
pub fn leave_out(program: &str, why: &str) -> Option<RedisServer> {
    let must_be_there = std::env::var_os("WINDLASS_TEST_NO_SKIPS").is_some_and(|value| value == "1");
    assert!(
        !must_be_there,
        "{program} is left out ({why}), and WINDLASS_TEST_NO_SKIPS=1 has nothing left out"
    );
    tell_left_out(program, why);
    None
}

/// Tells of a server that is left out, once in a process.
fn tell_left_out(program: &str, why: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(program.to_owned()) {
        // A harness keeps back what the macros print of tests that pass. Nobody may be there to read it.
        let _ = writeln!(io::stderr().lock(), "\n*** LEFT OUT: what runs on {program}: {why}");
    }
}

impl Process {
    fn start(
        program: &Path,
        address: SocketAddr,
        directory: &Path,
        args: &[String],
        clock: Option<&ShiftedClock>,
    ) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            // By the second, Redis would put off writes to its log while a sync is under way, and a killed one would have
            // lost some that it had answered.
            .args(["--save", "", "--appendonly", "no", "--appendfsync", "always", "--logfile", ""])
            .arg("--dir")
            .arg(directory)
            .args(args)
            .envs(clock.map(ShiftedClock::environment).into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut log = BufReader::new(child.stdout.take().expect("the output is a pipe"));
        let mut line = String::new();
        while !line.contains("Ready to accept connections") {
            line.clear();
            if log.read_line(&mut line)? == 0 {
                child.wait()?;
                return Err(io::Error::other("it ended while it started"));
            }
        }
        let drain = std::thread::spawn(move || {
            let mut rest = [0; 4096];
            while log.read(&mut rest).is_ok_and(|count| count > 0) {}
        });
        Ok(Self { child, drain: Some(drain) })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has already ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(drain) = self.drain.take() {
            let _ = drain.join();
        }
    }
}
