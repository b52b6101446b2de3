//! Jobs that run as processes of their own: any program, in any language. One that aborts, or takes all memory, ends
//! its own job and nothing else.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::keeper;
use super::kind::unfit;
use crate::context::Context;
use crate::failure::{Failure, Fate, Outcome};
use crate::retry::Retry;
use crate::state::ERROR_TEXT_MAX;

/// The exit code of a program whose job can never succeed: it is dead at once (`EX_DATAERR`).
pub const EXIT_DEAD: i32 = 65;

/// The exit code of a program that cannot do its job now: it runs again in a minute, and no attempt is counted
/// (`EX_TEMPFAIL`).
pub const EXIT_SNOOZE: i32 = 75;

/// How long a job waits that ended with [`EXIT_SNOOZE`].
const SNOOZE: Duration = Duration::from_secs(60);

/// How long a program that is asked to stop may take to do so, unless set otherwise.
const GRACE_DEFAULT: Duration = Duration::from_secs(5);

/// How long the pipes of a program that has ended may stay open: a process that has left its group may hold them.
const PIPES_MAX: Duration = Duration::from_secs(1);

/// How much is read of a pipe at once.
const CHUNK: usize = 8 << 10;

/// A kind whose jobs run as processes: the arguments are JSON on standard input, the result is JSON on standard output.
///
/// | the program | the job |
/// |---|---|
/// | ends with 0 | has succeeded; its output is the result, nothing is `null`. If that is no JSON or too large, the job is dead |
/// | ends with 65 | is dead: no attempt can succeed |
/// | ends with 75 | runs again in a minute, and no attempt is counted |
/// | ends otherwise | has failed with the end of standard error as its message |
///
/// It finds `WINDLASS_JOB_ID`, `WINDLASS_KIND`, `WINDLASS_QUEUE` and `WINDLASS_ATTEMPT` in its environment, and the trace
/// context of the push as `TRACEPARENT`. When the job
/// is cancelled, its soft timeout passes or its lease is lost, the program and all of its process group get TERM, and
/// KILL after the grace; at the timeout and at a forced stop of the worker, KILL at once. What the program has left behind
/// of its group when it ends is killed, and so is every group when the worker itself is killed: a shell stands by for
/// that, one for each process with a worker of such jobs. A program that wants to outlive its job leaves the group (`setsid`).
///
/// ```
/// use std::time::Duration;
/// use windlass::{ProcessJob, Retry};
///
/// let thumbnail = ProcessJob::new("thumbnail", "convert-image")
///     .arg("--quiet")
///     .memory_max(512 << 20)
///     .cpu_max(Duration::from_secs(30))
///     .retry(Retry::Fixed(Duration::from_secs(60)));
/// # let _ = thumbnail;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ProcessJob {
    pub(super) kind: String,
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    pub(super) retry: Retry,
    grace: Duration,
    memory_max: Option<u64>,
    cpu_max: Option<Duration>,
}

impl ProcessJob {
    /// Jobs of `kind` run `program`, a path or a name that is looked for as a shell does.
    pub fn new(kind: impl Into<String>, program: impl Into<OsString>) -> Self {
        Self {
            kind: kind.into(),
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            current_dir: None,
            retry: Retry::default(),
            grace: GRACE_DEFAULT,
            memory_max: None,
            cpu_max: None,
        }
    }

    /// Adds an argument of the program.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds a variable to its environment, beside those that the worker has.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// The folder that it runs in; the worker's own unless said otherwise.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// When a failed job is tried again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long the program may take to stop when it is asked to. Default: 5 s.
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Most memory that it and each process that it starts may address, in bytes; an allocation beyond that fails. On Linux
    /// only. A shell sets it, and then becomes the program, which ends with 126 or 127 where it cannot be started.
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// Most time that it and each process that it starts may spend on a processor, in whole seconds; it is killed then. On
    /// Linux only, and set as [`memory_max`](Self::memory_max) is.
    pub fn cpu_max(mut self, time: Duration) -> Self {
        self.cpu_max = Some(time);
        self
    }

    /// What cannot be used of it.
    pub(super) fn problem(&self) -> Option<String> {
        let kind = &self.kind;
        if self.program.is_empty() {
            return Some(format!("the program of the kind `{kind}` is empty, name one"));
        }
        let is_limited = self.memory_max.is_some() || self.cpu_max.is_some();
        (is_limited && !cfg!(target_os = "linux"))
            .then(|| format!("the kind `{kind}` has memory_max or cpu_max, which are there on Linux only"))
    }

    /// Runs one job.
    pub(super) async fn run(self: Arc<Self>, args: Box<RawValue>, context: Context) -> Outcome<Vec<u8>> {
        let mut command = self.command(&context);
        let mut child = command.spawn().map_err(|error| {
            // With limits it is the shell that may not be there.
            let program = command.as_std().get_program().display();
            Failure::with(
                Fate::Retry(None),
                "Spawn",
                format!("the program `{program}` does not start: {error}"),
            )
        })?;
        let group = Group::of(&child);
        let mut said =
            Said { out: Vec::new(), out_max: context.client().config().max_payload, is_cut: false };
        let mut complaint = Vec::new();
        let status = {
            let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let talk = async {
                let feed = async {
                    if let Some(mut input) = input {
                        // A program may end well without reading what it does not need.
                        let _ = input.write_all(args.get().as_bytes()).await;
                    }
                };
                tokio::join!(feed, said.listen(output), keep_end(errors, &mut complaint))
            };
            let mut talk = std::pin::pin!(talk);
            let mut has_talked = false;
            let mut stop = std::pin::pin!(group.stop(&context, self.grace));
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status?,
                    _ = &mut talk, if !has_talked => has_talked = true,
                    () = &mut stop => {}
                }
            };
            // What it left behind may hold the pipes.
            group.signal(Signal::KILL);
            if !has_talked {
                let _ = timeout(PIPES_MAX, talk).await;
            }
            status
        };
        judge(status, said, &String::from_utf8_lossy(&complaint), &context)
    }

    fn command(&self, context: &Context) -> Command {
        let mut command = match self.limits() {
            None => Command::new(&self.program),
            Some(limits) => {
                // Before the program is there, so that no process of it is free of them.
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{limits} exec \"$@\"")).arg("sh").arg(&self.program);
                shell
            }
        };
        command.args(&self.args);
        command.envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.env("WINDLASS_JOB_ID", context.id().as_str());
        command.env("WINDLASS_KIND", context.kind());
        command.env("WINDLASS_QUEUE", context.queue());
        command.env("WINDLASS_ATTEMPT", context.attempt().to_string());
        match context.trace() {
            Some(trace) => command.env("TRACEPARENT", trace),
            // That of the worker is not the job's.
            None => command.env_remove("TRACEPARENT"),
        };
        if let Some(folder) = &self.current_dir {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// What a shell does to set the limits, if there are any.
    fn limits(&self) -> Option<String> {
        let memory = self.memory_max.map(|bytes| format!("ulimit -v {} || exit;", (bytes >> 10).max(1)));
        let cpu = self.cpu_max.map(|time| {
            let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1);
            // It is told at the first, and killed at the second.
            format!("ulimit -S -t {seconds} && ulimit -H -t {} || exit;", seconds.saturating_add(1))
        });
        // The memory last: the shell has to get by with it from then on.
        (memory.is_some() || cpu.is_some()).then(|| [cpu, memory].into_iter().flatten().collect())
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

/// The process group of a program, killed at the latest when it is dropped.
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let leader = pid_of(child);
        leader.into_iter().for_each(keeper::keep);
        Self { leader }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // A group without processes cannot be told anything, and need not.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Stops the program once its job is told to stop: kindly at first. It goes on for ever, so that nobody has to ask
    /// whether it did.
    async fn stop(&self, context: &Context, grace: Duration) {
        context.cancelled().await;
        self.signal(Signal::TERM);
        sleep(grace).await;
        self.signal(Signal::KILL);
        std::future::pending().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.leader.into_iter().for_each(keeper::forget);
    }
}

/// What a program wrote to its standard output, within a bound.
struct Said {
    out: Vec<u8>,
    out_max: usize,
    is_cut: bool,
}

impl Said {
    async fn listen(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut chunk = [0; CHUNK];
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            let room = self.out_max - self.out.len();
            self.is_cut |= length > room;
            self.out.extend_from_slice(&chunk[..length.min(room)]);
        }
    }
}

/// Reads a pipe to its end, of which the last part is kept.
async fn keep_end(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = [0; CHUNK];
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..length]);
        kept.drain(..kept.len().saturating_sub(ERROR_TEXT_MAX));
    }
}

/// What the end of a program means for its job.
fn judge(status: ExitStatus, said: Said, complaint: &str, context: &Context) -> Outcome<Vec<u8>> {
    use std::os::unix::process::ExitStatusExt;
    let complaint = complaint.trim();
    let message = |what: String| match complaint {
        "" => what,
        complaint => format!("{what}: {complaint}"),
    };
    match status.code() {
        Some(0) if said.is_cut => {
            let limit = said.out_max;
            let what = format!("it wrote more than the {limit} bytes of max_payload as its result");
            Err(unfit(what))
        }
        Some(0) => read_output(&said.out),
        _ if context.is_cancelled() => Err(Failure::cancel()),
        Some(EXIT_DEAD) => {
            Err(Failure::with(Fate::Kill, "Exit 65", message("it ended with exit code 65".into())))
        }
        Some(EXIT_SNOOZE) => Err(Failure::snooze(SNOOZE)),
        Some(code) => {
            let what = format!("it ended with exit code {code}");
            Err(Failure::with(Fate::Retry(None), &format!("Exit {code}"), message(what)))
        }
        None => {
            let signal = status.signal().unwrap_or_default();
            let what = format!("it was ended by signal {signal}");
            Err(Failure::with(Fate::Retry(None), &format!("Signal {signal}"), message(what)))
        }
    }
}

fn read_output(out: &[u8]) -> Outcome<Vec<u8>> {
    let text = out.trim_ascii();
    if text.is_empty() {
        return Ok(b"null".to_vec());
    }
    match serde_json::from_slice::<&RawValue>(text) {
        Ok(_) => Ok(text.to_vec()),
        Err(error) => {
            let what = format!("what it wrote as its result is not JSON: {error}");
            Err(unfit(what))
        }
    }
}
