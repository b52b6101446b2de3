//! The benches and the program that a harness drives: that they run, what they tell of the store, and that they leave
//! nothing in it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use redis::Commands;
use rustix::process::{Pid, Signal, kill_process};
use windlass_test::redis_server::RedisServer;

use super::{code, command, stderr, stdout, windlass};

fn keys(server: &RedisServer) -> Vec<String> {
    let mut connection = connect(server);
    connection.keys("*").expect("a list")
}

fn connect(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).expect("a URL").get_connection().expect("a connection")
}

/// A bench of a hundred jobs, as JSON.
fn bench(folder: &Path, store: &str) -> serde_json::Value {
    let output = windlass(folder, &["bench", "jobs", "--jobs", "100", "--json", "--store", store]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    for figure in ["push_bulk_per_s", "drain_per_s", "push_and_drain_per_s", "half_load_per_s"] {
        assert!(report[figure].as_f64().is_some_and(|per_s| per_s > 0.0), "{figure}: {report}");
    }
    assert_eq!(report["jobs"], 100);
    report
}

#[test]
fn a_bench_in_memory_does_not_claim_to_be_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = bench(folder.path(), "memory:");
    assert_eq!(report["durability"], "none, in memory only");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_bench_of_a_redis_leaves_nothing_there() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let report = bench(folder.path(), &server.url());
    assert_eq!(report["durability"], "no append log");
    assert_eq!(keys(&server), Vec::<String>::new());
    let refused = ["bench", "jobs", "--durability", "none", "--store", &server.url()];
    let refused = windlass(folder.path(), &refused);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("--durability is for a directory"), "{}", stderr(&refused));
}

#[test]
fn a_bench_that_is_interrupted_leaves_nothing_there() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for bench in ["jobs", "features"] {
        let mut benching = command(folder.path(), &["bench", bench, "--store", &server.url()]);
        let benching = benching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let started = Instant::now();
        while keys(&server).len() < 2 {
            assert!(started.elapsed() < Duration::from_secs(60), "it begins");
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&benching), Signal::INT).expect("it runs");
        let output = benching.wait_with_output().expect("it ends");
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("error: interrupted"), "{}", stderr(&output));
        assert_eq!(keys(&server), Vec::<String>::new(), "{bench}");
    }
}

#[test]
fn what_a_bench_cannot_remove_is_named() {
    let Some(mut server) = RedisServer::start_or_skip(&[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut benching = command(folder.path(), &["bench", "jobs", "--store", &server.url()]);
    let benching = benching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    while keys(&server).len() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    server.kill();
    let namespace = format!("the namespace bench-{} is left in", benching.id());
    let output = benching.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains(&namespace), "{}", stderr(&output));
    assert!(stderr(&output).contains("redis-cli --scan --pattern"), "{}", stderr(&output));
}

/// A run of the program for a harness.
fn peer(server: &RedisServer, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-peer"));
    command.args(args).env("REDIS_URL", server.url()).output().expect("it runs")
}

#[test]
fn the_program_for_a_harness_pushes_and_works() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    assert!(stdout(&peer(&server, &["version"])).starts_with("windlass "));
    for mode in ["enqueue", "flood", "bulk", "pace"] {
        let output = peer(&server, &[mode, "60"]);
        let seconds: f64 = stdout(&output).trim().parse().expect("seconds");
        assert!(code(&output) == 0 && seconds > 0.0, "{mode}: {}", stderr(&output));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("starts");
    let mut working = Command::new(env!("CARGO_BIN_EXE_windlass-peer"));
    working.arg("work").env("REDIS_URL", server.url()).env("LOG", &log).env("CONCURRENCY", "5");
    let mut working = working.spawn().expect("it runs");
    let started = Instant::now();
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    while lines() < 240 {
        assert!(started.elapsed() < Duration::from_secs(60), "{} of 240 jobs ran", lines());
        std::thread::sleep(Duration::from_millis(20));
    }
    working.kill().expect("ours to kill");
    working.wait().expect("it ends");
    let text = std::fs::read_to_string(&log).expect("the log");
    let is_pair = |line: &str| {
        let mut times = line.split(' ').map(|time| time.parse::<f64>().expect("a time"));
        times.next() <= times.next() && times.next().is_none()
    };
    assert!(text.lines().all(is_pair), "enqueued before it started: {text}");
    for (args, text) in [(&[][..], "usage"), (&["sing", "1"], "unknown mode `sing`"), (&["bulk"], "how many")]
    {
        let output = peer(&server, args);
        assert!(code(&output) == 1 && stderr(&output).contains(text), "{args:?}: {}", stderr(&output));
    }
}
