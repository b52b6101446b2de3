//! What it costs to be safe: writes that wait for the disk, and a log beside none.

use std::time::{Duration, Instant};

use super::load::{self, Load};
use super::server::{self, Log, Server};
use super::{Row, beside};
use crate::args::BenchStoreArgs;
use crate::bench::{disk, median};

const TABLE: &str = "durable";
const LPUSH: Load = Load { name: "LPUSH", commands: &["LPUSH list $"], lines: 1 };
const SET: Load = Load { name: "SET", commands: &["SET key:# $"], lines: 1 };
/// Pushes in this process, one after the other.
const PUSHES: usize = 500;

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let time = Duration::from_secs_f64(args.seconds.max(2.0));
    let lpush = async |server: &Server| load::run(server.address(), LPUSH, 16, time).await;
    let figures = beside(args, Log::Always, lpush).await?;
    let mut rows = vec![Row::new(TABLE, "always: LPUSH, 50 x 16", "per s", &figures)];
    rows.push(one_at_a_time(args).await?);
    for kind in server::kinds(args) {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            for (log, figures) in [(Log::Everysec, &mut with), (Log::Absent, &mut without)] {
                let server = Server::start(args, *kind, log).await?;
                figures.push(load::run(server.address(), SET, 16, time).await?);
            }
        }
        let what = format!("{kind:?}: SET, 50 x 16, everysec / without a log");
        rows.push(Row::new(TABLE, what, "per s", &[median(with), median(without)]));
    }
    Ok(rows)
}

/// A push at a time in this process under `always`, each beside a bare write and sync of 256 bytes, since a disk's speed
/// changes from moment to moment: ours minus theirs is what we add.
async fn one_at_a_time(args: &BenchStoreArgs) -> anyhow::Result<Row> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let directory = args.dir.join(format!("windlass-bench-{}-alone-{round}", std::process::id()));
        let mut file = disk::Bare::beside(&directory)?;
        let opened = windlass_db::Database::open(&directory, windlass_db::Config::default());
        let (database, _) = opened?;
        let (mut times, mut bare_times) = (Vec::new(), Vec::new());
        let session = database.session("bench");
        for _ in 0..PUSHES {
            let start = Instant::now();
            let windlass_db::Called::Reply(_, position) = session.call(&[b"LPUSH", b"list", &[b'x'; 200]])
            else {
                anyhow::bail!("a push is answered")
            };
            database.wait_durable(position)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            bare_times.push(file.write()?.as_secs_f64() * 1e6);
        }
        ours.push(median(times));
        bare.push(median(bare_times));
        drop(session);
        database.stop()?;
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(Row::new(
        TABLE,
        "always, in this process: one push / a bare sync",
        "us",
        &[median(ours), median(bare)],
    ))
}
