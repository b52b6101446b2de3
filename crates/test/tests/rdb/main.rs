//! Snapshots and logs go from Redis to us and from us to Redis, and every key is the same on both sides.

mod generate;
mod look;
mod old;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use look::{Content, Store, assert_same, content, encodings, text};
use tempfile::{TempDir, tempdir};
use windlass_db::{Config, Database, EngineConfig};
use windlass_engine::Engine;
use windlass_resp::Value;
use windlass_test::redis_server::RedisServer;

/// So many commands are sent at once.
const BATCH: usize = 500;

/// Starts a Redis on a directory; none when a run without is allowed.
fn start(directory: &Path, args: &[&str]) -> Option<(RedisServer, redis::Connection)> {
    let path = directory.to_str().expect("a temporary path is text");
    let args = [&["--dir", path, "--sanitize-dump-payload", "yes"], args].concat();
    let server = RedisServer::start_or_skip(&args)?;
    let client = redis::Client::open(server.url()).expect("the address is one");
    let connection = client.get_connection().expect("the server listens");
    Some((server, connection))
}

fn fill(connection: &mut redis::Connection, commands: &[generate::Command]) {
    for batch in commands.chunks(BATCH) {
        let mut pipeline = redis::pipe();
        for command in batch {
            let mut next = redis::Cmd::new();
            for word in command {
                next.arg(word);
            }
            pipeline.add_command(next);
        }
        pipeline.query::<Vec<redis::Value>>(connection).expect("the commands are right");
    }
    connection.call(&[b"SELECT", b"0"]);
}

/// Opens a directory of ours and looks at all of it.
fn open(directory: &Path) -> (Database, Content) {
    let (database, recovery) =
        Database::open(directory, Config { forgives_absence: false, ..Config::default() })
            .expect("the directory can be read");
    assert_eq!(recovery.cut, None);
    let content = content(&mut database.session("test"), false);
    (database, content)
}

/// Has Redis rewrite its log, and returns when it is done.
fn rewrite(connection: &mut redis::Connection) {
    connection.call(&[b"BGREWRITEAOF"]);
    loop {
        let info = connection.call(&[b"INFO", b"persistence"]);
        let info = String::from_utf8_lossy(text(&info).expect("INFO is a text")).into_owned();
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            return assert!(info.contains("aof_last_bgrewrite_status:ok"), "{info}");
        }
        // It waits there, and not here.
        connection.call(&[b"BLPOP", b"nothing", b"0.05"]);
    }
}

/// What Redis makes of its own log: some of what it knows of a group is not there.
fn logged(connection: &mut redis::Connection) -> Content {
    assert!(!connection.call(&[b"DEBUG", b"LOADAOF"]).is_error());
    content(connection, false)
}

/// Has `redis-check-rdb` look at a file.
fn check(path: &Path) {
    let output = Command::new("redis-check-rdb").arg(path).output().expect("it is installed with the server");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A directory with a snapshot that Redis made of the commands, what is in it and how.
fn saved(commands: &[generate::Command], args: &[&str]) -> Option<(TempDir, redis::Connection, RedisServer)> {
    let directory = tempdir().expect("a directory can be made");
    let (server, mut connection) = start(directory.path(), args)?;
    fill(&mut connection, commands);
    assert!(!connection.call(&[b"SAVE"]).is_error());
    Some((directory, connection, server))
}

#[test]
fn we_read_what_redis_saved_and_redis_reads_what_we_saved() {
    for (seed, is_compressed) in [(1, "yes"), (2, "no")] {
        let args = ["--rdbcompression", is_compressed, "--enable-debug-command", "yes"];
        let Some((directory, mut redis, server)) = saved(&generate::commands(seed, "a"), &args) else {
            return;
        };
        let (expected, with_seen) = (content(&mut redis, false), content(&mut redis, true));
        // A collection that once was larger stays unpacked until it is loaded.
        assert!(!redis.call(&[b"DEBUG", b"RELOAD"]).is_error());
        let packed = encodings(&mut redis);
        let kinds: BTreeSet<&str> = packed.values().map(|kind| kind.trim_matches('"')).collect();
        let names =
            ["embstr", "hashtable", "int", "intset", "listpack", "quicklist", "raw", "skiplist", "stream"];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), names);
        drop(server);

        let bytes = fs::read(directory.path().join("dump.rdb")).expect("Redis has saved");
        let mut engine = Engine::new(EngineConfig::default());
        let loaded = engine.load_rdb(&mut &bytes[..]).expect("Redis's file is sound");
        assert_eq!((loaded.keys, loaded.bytes), (expected.len() as u64, bytes.len() as u64));
        let (_, found) = open(directory.path());
        assert_same(&found, &expected, &format!("seed {seed}, ours"));

        let other = tempdir().expect("a directory can be made");
        let path = other.path().join("dump.rdb");
        let mut file = fs::File::create(&path).expect("a file can be made");
        engine.save_rdb(&mut file).expect("the disk is sound");
        check(&path);
        let (_server, mut redis) = start(other.path(), &[]).expect("it started before");
        assert_same(&content(&mut redis, true), &with_seen, &format!("seed {seed}, Redis's"));
        assert_same(&encodings(&mut redis), &packed, &format!("seed {seed}, Redis's encodings"));
    }
}

#[test]
fn we_read_the_log_of_redis_and_redis_goes_on_with_ours() {
    for (seed, preamble) in [(1, "yes"), (2, "no")] {
        let when = |what: &str| format!("seed {seed}, preamble {preamble}, {what}");
        let args =
            ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--enable-debug-command", "yes"];
        let directory = tempdir().expect("a directory can be made");
        let Some((server, mut redis)) = start(directory.path(), &args) else { return };
        fill(&mut redis, &generate::commands(seed, "a"));
        rewrite(&mut redis);
        fill(&mut redis, &generate::commands(seed + 10, "b"));
        let expected = logged(&mut redis);
        drop((server, redis));

        let (database, found) = open(directory.path());
        assert_same(&found, &expected, &when("opened"));
        let mut session = database.session("test");
        for command in generate::commands(seed + 20, "c") {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            let reply = Store::call(&mut session, &words);
            assert!(!reply.is_error(), "{reply:?}");
        }
        let expected = content(&mut session, false);
        assert!(expected.len() > found.len());
        if preamble == "no" {
            database.compact().expect("the disk is sound");
        }
        drop(session);
        database.stop().expect("the disk is sound");

        let (server, mut redis) = start(directory.path(), &args).expect("it started before");
        assert_same(&content(&mut redis, false), &expected, &when("Redis on ours"));
        rewrite(&mut redis);
        fill(&mut redis, &generate::commands(seed + 30, "d"));
        let expected = logged(&mut redis);
        drop((server, redis));
        let (_, found) = open(directory.path());
        assert_same(&found, &expected, &when("opened again"));
    }
}

#[test]
fn libraries_of_functions_go_both_ways() {
    let library = |name: &str, answer: &str| {
        format!("#!lua name={name}\nredis.register_function('{name}', function() return '{answer}' end)")
    };
    let load = |store: &mut dyn Store, name: &str, answer: &str| {
        let source = library(name, answer);
        let reply = store.call(&[b"FUNCTION", b"LOAD", b"REPLACE", source.as_bytes()]);
        assert_eq!(text(&reply), Some(name.as_bytes()), "{reply:?}");
    };
    let holds = |store: &mut dyn Store, expected: &[(&str, &str)]| {
        for (name, answer) in expected {
            let reply = store.call(&[b"FCALL", name.as_bytes(), b"0"]);
            assert_eq!(text(&reply), Some(answer.as_bytes()), "{name}: {reply:?}");
        }
        let Value::Array(libraries) = store.call(&[b"FUNCTION", b"LIST"]) else {
            panic!("LIST answers an array")
        };
        assert_eq!(libraries.len(), expected.len());
    };
    for preamble in ["yes", "no"] {
        let args = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let directory = tempdir().expect("a directory can be made");
        let Some((server, mut redis)) = start(directory.path(), &args) else { return };
        load(&mut redis, "a", "1");
        load(&mut redis, "gone", "1");
        rewrite(&mut redis);
        load(&mut redis, "b", "1");
        redis.call(&[b"FUNCTION", b"DELETE", b"gone"]);
        drop((server, redis));

        // In our log, then in our base.
        for answer in ["2", "3"] {
            let config = Config { forgives_absence: false, ..Config::default() };
            let (database, _) = Database::open(directory.path(), config).expect("the directory can be read");
            let mut session = database.session("test");
            load(&mut session, "c", answer);
            load(&mut session, "b", answer);
            holds(&mut session, &[("a", "1"), ("b", answer), ("c", answer)]);
            if answer == "3" {
                database.compact().expect("the disk is sound");
            }
            drop(session);
            database.stop().expect("the disk is sound");
            let (server, mut redis) = start(directory.path(), &args).expect("it started before");
            holds(&mut redis, &[("a", "1"), ("b", answer), ("c", answer)]);
            drop((server, redis));
        }
    }
}

#[test]
fn values_go_both_ways_by_dump_and_restore() {
    let directory = tempdir().expect("a directory can be made");
    let Some((_server, mut redis)) = start(directory.path(), &[]) else { return };
    fill(&mut redis, &generate::commands(5, "a"));
    let expected = content(&mut redis, true);
    let ours = Database::memory(Config::default()).expect("the default configuration");
    let mut session = ours.session("test");
    carry(&mut redis, &mut session, &expected);
    assert_same(&content(&mut session, false), &content(&mut redis, false), "ours");
    redis.call(&[b"FLUSHALL"]);
    carry(&mut session, &mut redis, &expected);
    assert_same(&content(&mut redis, true), &expected, "Redis's");
}

/// Carries every key from one store to another.
fn carry(from: &mut impl Store, to: &mut impl Store, content: &Content) {
    for (db, key) in content.keys() {
        let db = db.to_string();
        from.call(&[b"SELECT", db.as_bytes()]);
        to.call(&[b"SELECT", db.as_bytes()]);
        let Value::Integer(ends) = from.call(&[b"PEXPIRETIME", key]) else { panic!("a time is a number") };
        let ends = ends.max(0).to_string();
        let payload = from.call(&[b"DUMP", key]);
        let payload = text(&payload).expect("the key is there");
        let reply = to.call(&[b"RESTORE", key, ends.as_bytes(), payload, b"ABSTTL"]);
        assert_eq!(reply, Value::OK, "{}", key.escape_ascii());
    }
}
