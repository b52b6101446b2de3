//! Opening databases and looking into them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use windlass_db::{
    Called, Config, Database, EngineConfig, ManualClock, Recovery, RewriteLimits, Session, Time,
};
use windlass_resp::Value;

use crate::fault::TestDisk;

pub type Content = BTreeMap<String, Value>;

/// Opens `directory` on a test's disk, with a clock that stands. A log that failed stays so until the test says.
pub fn open_on(directory: &Path, disk: &TestDisk, config: Config) -> (Database, Recovery) {
    let config = Config { log_retry_ms: 0, ..config };
    let clock = ManualClock::new(Time::from_millis(1_700_000_000_000));
    Database::open_with(directory, config, clock, disk.clone()).unwrap()
}

/// Settings by which a log is rewritten when it has grown by so much.
pub fn rewritten_at(bytes_min: u64, percentage: u64) -> Config {
    let rewrite = RewriteLimits { percentage, bytes_min };
    Config { engine: EngineConfig { rewrite, ..EngineConfig::default() }, ..Config::default() }
}

pub fn open(directory: &Path) -> (Database, Recovery) {
    open_on(directory, &TestDisk::default(), Config::default())
}

/// Runs a line of words, waits until it is safe, and answers the reply.
pub fn run(session: &Session, line: &str) -> Value {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    match session.call(&words) {
        Called::Reply(reply, position) => {
            session.database().wait_durable(position).unwrap();
            reply
        }
        other => panic!("`{line}` was answered with {other:?}"),
    }
}

/// Runs a line that must not be answered with an error.
pub fn ok(session: &Session, line: &str) -> Value {
    let reply = run(session, line);
    assert!(!reply.is_error(), "`{line}`: {reply:?}");
    reply
}

/// Every key with its type, expiry and value.
pub fn content(database: &Database) -> Content {
    let session = database.session("content");
    let Value::Array(keys) = run(&session, "KEYS *") else { panic!("KEYS answers an array") };
    let describe = |key: Value| {
        let Value::Bulk(key) = key else { panic!("a key is a bulk string") };
        let key = String::from_utf8(key).unwrap();
        let Value::Simple(kind) = run(&session, &format!("TYPE {key}")) else {
            panic!("TYPE answers a status")
        };
        let value = match &*kind {
            "string" => run(&session, &format!("GET {key}")),
            "list" => run(&session, &format!("LRANGE {key} 0 -1")),
            "set" => run(&session, &format!("SORT {key} ALPHA")),
            "hash" => run(&session, &format!("HGETALL {key}")),
            "zset" => run(&session, &format!("ZRANGE {key} 0 -1 WITHSCORES")),
            "stream" => Value::Array(vec![
                run(&session, &format!("XRANGE {key} - +")),
                run(&session, &format!("XINFO GROUPS {key}")),
            ]),
            other => panic!("the test does not know how to read a {other}"),
        };
        let expiry = run(&session, &format!("PEXPIRETIME {key}"));
        (key, Value::Array(vec![expiry, value]))
    };
    keys.into_iter().map(describe).collect()
}

/// Holds two contents equal, and names the keys that are not.
pub fn assert_same(found: &Content, expected: &Content, when: &str) {
    let keys = found.keys().chain(expected.keys());
    let different: Vec<&String> = keys.filter(|key| found.get(*key) != expected.get(*key)).take(4).collect();
    assert!(
        different.is_empty(),
        "{when}: {different:?} are {:?} and not {:?}",
        different.iter().map(|key| found.get(*key)).collect::<Vec<_>>(),
        different.iter().map(|key| expected.get(*key)).collect::<Vec<_>>(),
    );
}

/// The log's last file.
pub fn last_file(directory: &Path) -> PathBuf {
    let folder = directory.join("appendonlydir");
    let manifest = std::fs::read_to_string(folder.join("appendonly.aof.manifest")).unwrap();
    let line = manifest.lines().rfind(|line| line.ends_with(" type i")).unwrap();
    folder.join(line.split(' ').nth(1).unwrap())
}
