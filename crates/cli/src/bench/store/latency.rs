//! How long commands take at half of the rate that redis-server reaches at most, from the moment at which each was due:
//! what a server holds up counts for all that was due meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::load::{self, CONNECTIONS, Load, READ_BYTES};
use super::server::{Kind, Log, Server};
use super::{Row, in_turns, medians};
use crate::args::BenchStoreArgs;
use crate::bench::{median, percentile};

const TABLE: &str = "latency";
const LOADS: [Load; 2] = [
    Load { name: "SET", commands: &["SET key:# $"], lines: 1 },
    Load { name: "LPUSH and RPOP", commands: &["LPUSH list $", "RPOP list"], lines: 3 },
];
/// What is told of all times.
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let time = Duration::from_secs_f64(args.seconds);
    for load in LOADS {
        let mut highest = Vec::new();
        for _ in 0..args.rounds {
            let server = Server::start(args, Kind::Redis, Log::Absent).await?;
            highest.push(load::run(server.address(), load, 1, time).await?);
        }
        let rate = median(highest) / 2.0;
        let times = in_turns(args, Log::Absent, async |server| {
            let address = server.address();
            // It looks at its connections all the time: who sleeps in between measures its own waking.
            let taken = tokio::task::spawn_blocking(move || Paced::new(address, load, rate)?.run(time));
            taken.await?
        })
        .await?;
        for (name, share) in SHARES {
            let at = |all: &Vec<Duration>| percentile(all, share).unwrap_or_default().as_secs_f64() * 1e3;
            let what = format!("{}, {CONNECTIONS} clients, {rate:.0}/s, {name}", load.name);
            rows.push(Row::new(TABLE, what, "ms", &medians(args, times.iter().map(at))));
        }
    }
    Ok(rows)
}

/// Connections that each send at a steady rate, one call at a time.
struct Paced {
    connections: Vec<Connection>,
    interval: Duration,
}

struct Connection {
    stream: TcpStream,
    /// Calls, sent in turn, and the lines of the reply to each.
    calls: Vec<Vec<u8>>,
    sent: usize,
    lines: usize,
    due: Instant,
    /// Lines that are still to come of the reply to a call that was sent.
    left: usize,
}

impl Paced {
    fn new(address: SocketAddr, load: Load, rate: f64) -> anyhow::Result<Self> {
        let interval = Duration::from_secs_f64(f64::from(CONNECTIONS) * load.commands.len() as f64 / rate);
        let start = Instant::now();
        let connection = |number: u32| -> anyhow::Result<Connection> {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let due = start + interval * number / CONNECTIONS;
            let calls = load::calls(load, 1, number);
            Ok(Connection { stream, calls, sent: 0, lines: load.lines, due, left: 0 })
        };
        Ok(Self { connections: (0..CONNECTIONS).map(connection).collect::<anyhow::Result<_>>()?, interval })
    }

    /// Sends for a time; how long each call took, sorted.
    fn run(mut self, time: Duration) -> anyhow::Result<Vec<Duration>> {
        let end = Instant::now() + time;
        let mut times = Vec::new();
        while Instant::now() < end {
            for connection in &mut self.connections {
                if connection.left > 0 && connection.has_answer()? {
                    times.push(connection.due.elapsed());
                    connection.due += self.interval;
                }
                if connection.left == 0 && connection.due <= Instant::now() {
                    connection.send()?;
                }
            }
        }
        ensure!(!times.is_empty(), "nothing was answered");
        times.sort_unstable();
        Ok(times)
    }
}

impl Connection {
    fn send(&mut self) -> anyhow::Result<()> {
        let call = &self.calls[self.sent % self.calls.len()];
        self.sent += 1;
        self.left = self.lines;
        // A call is a few dozen bytes, and none is under way: there is room for it.
        self.stream.write_all(call).context("the server takes no call")
    }

    /// True when the reply to what was sent is whole.
    fn has_answer(&mut self) -> anyhow::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => anyhow::bail!("the server closed a connection"),
            Ok(count) => {
                self.left = load::lines_left(self.left, &bytes[..count])?;
                Ok(self.left == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
