//! A disk that is full, and has room again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use redis::aio::ConnectionLike;
use windlass::Connection;
use windlass_db::faults::Random;

use super::Plan;
use super::guard::Guard;
use super::preload::Library;
use super::process::{Process, connect};
use super::report::Report;

/// The size of the file system; small, because all of it is filled.
const SIZE: &str = "6m";
const VALUE_BYTES: usize = 2_000;
/// As many pushes as an empty file system would take.
const PUSHES_MAX: usize = (6 << 20) / VALUE_BYTES;
/// How soon after there is room again a write is acknowledged.
const BACK_MAX: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A small file system in a mount namespace of its own, which ends with the process that holds it.
struct Mount {
    holder: Child,
    /// The folder as the processes in the namespace see it.
    inside: PathBuf,
    /// The same folder as we see it.
    outside: PathBuf,
    /// The namespaces to enter.
    namespaces: &'static [&'static str],
    /// Has writes without room say that they succeeded, and where it notes what it does.
    liar: Option<(Library, PathBuf)>,
}

impl Mount {
    /// None when this system does not let us mount.
    fn new(folder: &Path) -> anyhow::Result<Option<Self>> {
        let script =
            format!("mount -t tmpfs -o size={SIZE} tmpfs '{}' && echo ready && read end", folder.display());
        // As root, or as the root of a namespace where that is allowed to anybody.
        const WAYS: [(&[&str], &[&str]); 2] = [
            (&["--mount"], &["--mount"]),
            (&["--mount", "--user", "--map-root-user"], &["--mount", "--user", "--preserve-credentials"]),
        ];
        for (make, enter) in WAYS {
            let mut command = Command::new("unshare");
            command.args(make).args(["sh", "-c", &script]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let Ok(mut holder) = command.spawn() else { return Ok(None) };
            let output = holder.stdout.take().context("its output is piped")?;
            if BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "ready") {
                let outside = PathBuf::from(format!("/proc/{}/root{}", holder.id(), folder.display()));
                let inside = folder.to_owned();
                return Ok(Some(Self { holder, inside, outside, namespaces: enter, liar: None }));
            }
            holder.wait()?;
        }
        Ok(None)
    }

    /// Starts a server in it.
    fn serve(&self, durability: &str, log: &Path) -> anyhow::Result<Process> {
        let program = std::env::current_exe()?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string()]).args(self.namespaces);
        command.arg("--").arg(program).args(["serve", "--bind", "127.0.0.1:0", "--durability", durability]);
        command.arg("--dir").arg(self.inside.join("data")).env_remove("WINDLASS_URL").env_remove("REDIS_URL");
        if let Some((library, notes)) = &self.liar {
            library.load(&mut command, "write 0 1000000 room", &self.inside, notes);
        }
        Process::start(command, log)
    }

    fn ballast(&self) -> PathBuf {
        self.outside.join("ballast")
    }

    /// Fills what is free but for so many bytes.
    fn fill(&self, rest: usize) -> anyhow::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.ballast())?;
        for block in [1 << 20, 1 << 12] {
            let bytes = vec![7; block];
            while file.write_all(&bytes).is_ok() {}
        }
        let length = file.metadata()?.len();
        Ok(file.set_len(length.saturating_sub(rest as u64))?)
    }

    fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let folder = plan.scratch.on_disk()?;
    let Some(mut mount) = Mount::new(&folder)? else {
        return Ok(Report::skipped(
            "this system lets us mount no file system; run it as root or in a container",
        ));
    };
    let beside = plan.scratch.on_disk()?;
    let log = beside.join("server.log");
    if plan.guard == Some(Guard::Room) {
        match Library::compile(&beside)? {
            Ok(library) => mount.liar = Some((library, beside.join("notes"))),
            Err(why) => return Ok(Report::skipped(why)),
        }
    }
    tokio::runtime::Handle::current().block_on(run_on(plan, &mount, &log))
}

async fn run_on(plan: &Plan, mount: &Mount, log: &Path) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut random = Random::new(plan.seed);
    let mut server = mount.serve("always", log)?;
    let mut client = Client::connect(&server).await?;
    let (mut slowest, mut misconf, mut unknown) = (Duration::ZERO, 0u64, 0u64);
    for cycle in 0..plan.figure(20, 500) {
        report.cycles += 1;
        for _ in 0..20 {
            client.push().await.map_err(|error| anyhow::anyhow!("cycle {cycle}: {error}"))?;
        }
        // Every other time the disk is filled while the log is rewritten; sometimes there is room for a little more.
        if cycle % 2 == 1 {
            client.send(redis::cmd("BGREWRITEAOF")).await.ok();
        }
        mount.fill(random.below(3) * 10_000)?;
        let start = Instant::now();
        let mut pushes = 0;
        loop {
            ensure!(start.elapsed() < PATIENCE, "cycle {cycle}: the full disk is not noticed");
            match client.push().await {
                Ok(()) if pushes > PUSHES_MAX => {
                    report.violate(format!("cycle {cycle}: a full disk took {pushes} pushes"));
                    break;
                }
                Ok(()) => pushes += 1,
                Err(error) if error.code() == Some("MISCONF") => {
                    misconf += 1;
                    break;
                }
                // It ran, and what became of it is unknown: the connection closes.
                Err(_) => {
                    unknown += 1;
                    client.reconnect(&server).await?;
                }
            }
        }
        if plan.is_done(&report) {
            return Ok(report);
        }
        let length: redis::RedisResult<u64> = client.ask(redis::cmd("LLEN").arg("jobs")).await;
        if !length.is_ok_and(|length| length >= client.acknowledged.len() as u64) {
            report.violate(format!("cycle {cycle}: reads do not go on"));
        }
        if cycle % 5 == 4 {
            // The process ends while the disk is full.
            server.kill();
            match mount.serve("always", log) {
                Ok(next) => server = next,
                Err(error) => {
                    report.refused += 1;
                    report.violate(format!("cycle {cycle}: on the full disk: {error}"));
                    mount.free()?;
                    server = mount.serve("always", log)?;
                    mount.fill(0)?;
                }
            }
            report.recovered_in(server.started_in);
            client.reconnect(&server).await?;
        }
        mount.free()?;
        let freed = Instant::now();
        while let Err(error) = client.push().await {
            ensure!(freed.elapsed() < PATIENCE, "cycle {cycle}: writes do not come back: {error}");
            if error.code() != Some("MISCONF") {
                client.reconnect(&server).await?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slowest = slowest.max(freed.elapsed());
        if freed.elapsed() > BACK_MAX {
            report.violate(format!(
                "cycle {cycle}: writes came back {:?} after there was room",
                freed.elapsed()
            ));
        }
        client.trim().await?;
    }
    server.kill();
    let server = mount.serve("always", log)?;
    client.reconnect(&server).await?;
    let there: Vec<String> = client.ask(redis::cmd("LRANGE").arg("jobs").arg(0).arg(-1)).await?;
    let there: std::collections::HashSet<u64> =
        there.iter().filter_map(|value| value.split(' ').next()?.parse().ok()).collect();
    report.acknowledged = client.total;
    for number in client.acknowledged.iter().filter(|number| !there.contains(number)) {
        report.lose(format!("push {number} was acknowledged and is not there"));
    }
    report.note(format!(
        "{misconf} refused before they ran, {unknown} unknown, writes again after {slowest:?} at the slowest"
    ));
    Ok(report)
}

/// Pushes numbers, and remembers which were acknowledged.
struct Client {
    connection: Connection,
    next: u64,
    /// Those that were not trimmed since.
    acknowledged: Vec<u64>,
    total: u64,
}

impl Client {
    async fn connect(server: &Process) -> anyhow::Result<Self> {
        Ok(Self { connection: connect(server).await?, next: 0, acknowledged: Vec::new(), total: 0 })
    }

    async fn reconnect(&mut self, server: &Process) -> anyhow::Result<()> {
        self.connection = connect(server).await?;
        Ok(())
    }

    async fn send(&mut self, command: redis::Cmd) -> redis::RedisResult<redis::Value> {
        self.connection.req_packed_command(&command).await?.extract_error()
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> redis::RedisResult<T> {
        command.query_async(&mut self.connection).await
    }

    async fn push(&mut self) -> redis::RedisResult<()> {
        let number = self.next;
        self.next += 1;
        let mut command = redis::cmd("RPUSH");
        command.arg("jobs").arg(format!("{number} {}", "x".repeat(VALUE_BYTES)));
        self.send(command).await?;
        self.acknowledged.push(number);
        self.total += 1;
        Ok(())
    }

    /// Takes what is older off the list, once it was looked at, so that the data does not outgrow the disk.
    async fn trim(&mut self) -> anyhow::Result<()> {
        const KEPT: usize = 200;
        let there: Vec<String> = self.ask(redis::cmd("LRANGE").arg("jobs").arg(0).arg(-1)).await?;
        let there: std::collections::HashSet<u64> =
            there.iter().filter_map(|value| value.split(' ').next()?.parse().ok()).collect();
        let missing: Vec<_> = self.acknowledged.iter().filter(|number| !there.contains(number)).collect();
        ensure!(missing.is_empty(), "{missing:?} were acknowledged and are not there");
        if there.len() > KEPT {
            let mut command = redis::cmd("LTRIM");
            command.arg("jobs").arg(-(KEPT as i64)).arg(-1);
            self.send(command).await?;
            let kept: Vec<String> = self.ask(redis::cmd("LRANGE").arg("jobs").arg(0).arg(-1)).await?;
            let first: u64 = kept.first().and_then(|v| v.split(' ').next()?.parse().ok()).unwrap_or(0);
            self.acknowledged.retain(|number| *number >= first);
        }
        Ok(())
    }
}
