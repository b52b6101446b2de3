//! How many commands a second a server answers, and how much processor time they cost it.

use std::time::Duration;

use super::load::{self, CONNECTIONS, Load};
use super::server::Log;
use super::{Kind, Row, beside, medians};
use crate::args::BenchStoreArgs;

const TABLE: &str = "commands";
/// Entries that one XREADGROUP takes and one XACK ends, and how many times.
const BATCH: usize = 100;
const BATCHES: usize = 1_000;
/// Calls in this process, one after the other.
const LOCAL_CALLS: usize = 1_000_000;
/// The id of an entry and its fields.
type Entry = (String, Vec<String>);

/// A script with five calls.
const SCRIPT: &str = "local n = redis.call('INCR', KEYS[1]) redis.call('SET', KEYS[2], n) redis.call('GET', KEYS[2]) \
    redis.call('HSET', KEYS[3], 'f', n) return redis.call('HLEN', KEYS[3])";
/// The digest of [`SCRIPT`] stands where this is.
const DIGEST: &str = "DIGEST";

const LOADS: [Load; 10] = [
    Load { name: "SET", commands: &["SET key:# $"], lines: 1 },
    Load { name: "GET of a key that is not there", commands: &["GET none:#"], lines: 1 },
    Load { name: "SET and GET", commands: &["SET key:# $", "GET key:fixed"], lines: 3 },
    Load { name: "INCR", commands: &["INCR counter:#"], lines: 1 },
    Load { name: "LPUSH", commands: &["LPUSH list $"], lines: 1 },
    Load { name: "LPUSH and RPOP", commands: &["LPUSH list $", "RPOP list"], lines: 3 },
    Load { name: "SADD", commands: &["SADD set member:#"], lines: 1 },
    Load { name: "HSET", commands: &["HSET hash field:# $"], lines: 1 },
    Load { name: "ZADD", commands: &["ZADD zset # member:#"], lines: 1 },
    Load { name: "XADD", commands: &["XADD stream MAXLEN ~ 100000 * j $"], lines: 2 },
];

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let time = Duration::from_secs_f64(args.seconds);
    for load in LOADS {
        for in_flight in [1, 16] {
            let mut cpu = Vec::new();
            let figures = beside(args, Log::Absent, async |server| {
                let mut connection = server.connection().await?;
                let _: () = redis::cmd("SET").arg("key:fixed").arg("x").query_async(&mut connection).await?;
                let before = server.cpu_seconds();
                let per_s = load::run(server.address(), load, in_flight, time).await?;
                cpu.push((server.cpu_seconds() - before) * 1e6 / (per_s * time.as_secs_f64()));
                Ok(per_s)
            })
            .await?;
            let what = format!("{}, {CONNECTIONS} x {in_flight}", load.name);
            rows.push(Row::new(TABLE, &what, "per s", &figures));
            rows.push(Row::new(TABLE, &what, "CPU s per million", &medians(args, cpu)));
        }
    }
    let figures = beside(args, Log::Absent, groups).await?;
    rows.push(Row::new(TABLE, format!("XREADGROUP and XACK of {BATCH}"), "entries per CPU s", &figures));
    let figures = beside(args, Log::Absent, scripts).await?;
    rows.push(Row::new(TABLE, "EVALSHA of five calls", "per CPU s", &figures));
    rows.push(Row::new(TABLE, "SET and GET one by one, here / by socket", "per s", &local(args).await?));
    Ok(rows)
}

/// Reads a stream by a group in batches; entries per second of the server's processor time.
async fn groups(server: &super::server::Server) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    let mut fill = redis::pipe();
    for _ in 0..BATCH {
        fill.cmd("XADD").arg("stream").arg("*").arg("j").arg("xxxxxxxxxxxxxxxx").ignore();
    }
    for _ in 0..BATCHES {
        fill.query_async::<()>(&mut connection).await?;
    }
    redis::cmd("XGROUP").arg(&["CREATE", "stream", "g", "0"]).query_async::<()>(&mut connection).await?;
    let before = server.cpu_seconds();
    let mut read = redis::cmd("XREADGROUP");
    read.arg(&["GROUP", "g", "c", "COUNT"]).arg(BATCH).arg(&["STREAMS", "stream", ">"]);
    for _ in 0..BATCHES {
        let mut got: Vec<(String, Vec<Entry>)> = read.query_async(&mut connection).await?;
        let entries = got.pop().map(|(_, entries)| entries).unwrap_or_default();
        let ids: Vec<String> = entries.into_iter().map(|(id, _)| id).collect();
        redis::cmd("XACK").arg(&["stream", "g"]).arg(ids).query_async::<()>(&mut connection).await?;
    }
    Ok((BATCH * BATCHES) as f64 / (server.cpu_seconds() - before))
}

/// Calls a script from all connections; calls per second of the server's processor time.
async fn scripts(server: &super::server::Server) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    let digest: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
    let command: &'static str = format!("EVALSHA {DIGEST} 3 a:# b:# c:#").replace(DIGEST, &digest).leak();
    let load = Load { name: "EVALSHA", commands: Vec::leak(vec![command]), lines: 1 };
    let before = server.cpu_seconds();
    let time = Duration::from_secs(1);
    let per_s = load::run(server.address(), load, 16, time).await?;
    Ok(per_s * time.as_secs_f64() / (server.cpu_seconds() - before))
}

/// SET and GET by one task, one at a time: in memory of this process, and on the other servers.
async fn local(args: &BenchStoreArgs) -> anyhow::Result<Vec<f64>> {
    beside(args, Log::Absent, async |server| {
        let (url, calls) = match server.kind() {
            Kind::Windlass => ("memory:".to_owned(), LOCAL_CALLS),
            _ => (server.url(), LOCAL_CALLS / 50),
        };
        one_by_one(windlass_conn::Connection::open(&url).await?, calls).await
    })
    .await
}

async fn one_by_one(mut connection: windlass_conn::Connection, calls: usize) -> anyhow::Result<f64> {
    let (mut set, mut get) = (redis::cmd("SET"), redis::cmd("GET"));
    set.arg("key").arg("xxxxxxxxxxxxxxxx");
    get.arg("key");
    let start = std::time::Instant::now();
    for _ in 0..calls / 2 {
        set.query_async::<()>(&mut connection).await?;
        get.query_async::<redis::Value>(&mut connection).await?;
    }
    Ok(calls as f64 / start.elapsed().as_secs_f64())
}
