//! Moving everything from one store to another.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use windlass_test::redis_server::RedisServer;

use super::carry::{digest, fill, keys};
use super::{Serving, code, stderr, succeed, windlass};

fn redis() -> Option<RedisServer> {
    RedisServer::start_or_skip(&[])
}

pub fn run(url: &str, words: &[&str]) -> redis::Value {
    let mut connection = redis::Client::open(url).expect("a URL").get_connection().expect("a connection");
    let mut cmd = redis::cmd(words[0]);
    for word in &words[1..] {
        cmd.arg(*word);
    }
    cmd.query(&mut connection).expect("an answer")
}

fn carry(folder: &Path, from: &str, to: &str, more: &[&str]) -> serde_json::Value {
    let args = [&["--json", "move", "--from", from, "--to", to], more].concat();
    serde_json::from_str(&succeed(folder, &args)).expect("JSON")
}

#[test]
fn everything_goes_to_a_redis_and_back_into_a_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    let Some(redis) = redis() else { return };
    fill(&serving.url());
    let expected = digest(folder.path(), &serving.url());
    let shown = carry(folder.path(), &serving.url(), &redis.url(), &["--dry-run"]);
    assert_eq!((&shown["keys"], &shown["dry_run"]), (&13.into(), &true.into()));
    assert_eq!(keys(&redis.url()), 0, "nothing was changed");
    let said = carry(folder.path(), &serving.url(), &redis.url(), &[]);
    assert_eq!((&said["keys"], &said["put"], &said["passes"]), (&13.into(), &13.into(), &2.into()));
    assert_eq!(digest(folder.path(), &redis.url()), expected);
    carry(folder.path(), &redis.url(), "back", &[]);
    assert_eq!(digest(folder.path(), "back"), expected);
    let text = succeed(folder.path(), &["move", "--from", "back", "--to", "again", "--by-type"]);
    assert!(text.contains("the same") && text.contains("the last found no difference"), "{text}");
    assert_eq!(digest(folder.path(), "again"), expected);
}

#[test]
fn libraries_of_functions_go_along_unless_only_some_keys_do() {
    let Some(server) = redis() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let library = "#!lua name=a\nredis.register_function('f', function() return 5 end)";
    run(&server.url(), &["FUNCTION", "LOAD", library]);
    run(&server.url(), &["SET", "k", "v"]);
    carry(folder.path(), &server.url(), "file:all", &[]);
    carry(folder.path(), &server.url(), "file:keys", &["--match", "*"]);
    run(&server.url(), &["FLUSHALL"]);
    run(&server.url(), &["FUNCTION", "FLUSH"]);
    carry(folder.path(), "file:keys", &server.url(), &[]);
    assert_eq!(run(&server.url(), &["FUNCTION", "LIST"]), redis::Value::Array(Vec::new()));
    run(&server.url(), &["FLUSHALL"]);
    carry(folder.path(), "file:all", &server.url(), &[]);
    assert_eq!(run(&server.url(), &["FCALL", "f", "0"]), redis::Value::Int(5));
}

#[test]
fn jobs_are_worked_on_where_they_were_moved() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = succeed(folder.path(), &["--store", "one", "job", "push", "mail", "--in", "1h"]);
    carry(folder.path(), "one", "two", &[]);
    assert!(succeed(folder.path(), &["--store", "two", "job", "show", &id]).contains("mail"));
}

#[test]
fn a_target_with_something_in_it_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for store in ["one", "two"] {
        succeed(folder.path(), &["--store", store, "job", "push", "mail"]);
    }
    let before = digest(folder.path(), "two");
    let output = windlass(folder.path(), &["move", "--from", "one", "--to", "two"]);
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("two is not empty: database 0 has"), "{}", stderr(&output));
    assert_eq!(digest(folder.path(), "two"), before);
    let output = windlass(folder.path(), &["move", "--from", "one", "--to", "./one"]);
    assert_eq!(code(&output), 4);
    // Another namespace stands in nobody's way.
    succeed(folder.path(), &["--store", "three", "--namespace", "other", "job", "push", "mail"]);
    carry(folder.path(), "three", "two", &["--namespace", "other"]);
    let listed = succeed(folder.path(), &["--store", "two", "--namespace", "other", "job", "ls"]);
    assert!(listed.contains("mail"), "{listed}");
    assert!(
        succeed(folder.path(), &["--store", "two", "job", "ls"]).contains("mail"),
        "the old one is there, too"
    );
}

#[test]
fn a_move_that_was_interrupted_goes_on_and_ends_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) =
        (Serving::start(folder.path(), &["--dir", "one"]), Serving::start(folder.path(), &["--dir", "two"]));
    fill(&one.url());
    // As a run leaves it that was ended in its second database, with keys that have changed and gone since.
    run(&two.url(), &["HSET", "windlass:move", "from", &one.url(), "db", "3", "cursor", "0"]);
    run(&two.url(), &["SET", "text", "an old value"]);
    run(&two.url(), &["SET", "gone", "since"]);
    let said = carry(folder.path(), &one.url(), &two.url(), &[]);
    assert_eq!((&said["removed"], &said["keys"]), (&1.into(), &13.into()), "{said}");
    assert_eq!(digest(folder.path(), &two.url()), digest(folder.path(), &one.url()), "the mark is gone, too");
    run(&two.url(), &["FLUSHALL"]);
    run(&two.url(), &["HSET", "windlass:move", "from", "elsewhere"]);
    let output = windlass(folder.path(), &["move", "--from", &one.url(), "--to", &two.url()]);
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("a move from elsewhere"), "{}", stderr(&output));
}

/// Writes to a store until it is told to stop.
fn write_on(url: &str, stop: &AtomicBool) {
    let mut connection = redis::Client::open(url).expect("a URL").get_connection().expect("a connection");
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let written = redis::cmd("SET").arg(format!("live-{}", n % 50)).arg(n).query::<()>(&mut connection);
        written.expect("it is written");
    }
}

#[test]
fn a_source_that_is_written_to_is_told_so_or_paused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(redis) = redis() else { return };
    fill(&redis.url());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| write_on(&redis.url(), &stop));
        let from = redis.url();
        let args = ["move", "--from", &from, "--to", "target", "--passes", "3"];
        let output = windlass(folder.path(), &args);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("is being written to"), "{}", stderr(&output));
        let said = carry(folder.path(), &redis.url(), "target", &["--pause", "60s"]);
        assert!(said["keys"].as_u64().is_some_and(|keys| keys > 13), "{said}");
        assert_eq!(
            digest(folder.path(), "target"),
            digest(folder.path(), &redis.url()),
            "writers still wait"
        );
        stop.store(true, Ordering::Relaxed);
        run(&redis.url(), &["CLIENT", "UNPAUSE"]);
    });
}

#[test]
fn a_directory_lets_its_writers_wait_for_the_last_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    succeed(folder.path(), &["--store", "one", "job", "push", "mail"]);
    let said = carry(folder.path(), "one", "two", &["--pause", "1s"]);
    assert_eq!(digest(folder.path(), "one"), digest(folder.path(), "two"), "{said}");
}

#[test]
fn a_source_that_cannot_pause_is_said_so_before_anything_is_moved() {
    let Some(redis) = redis() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    run(&redis.url(), &["SET", "k", "v"]);
    run(&redis.url(), &["ACL", "SETUSER", "default", "-client|pause"]);
    let output = windlass(folder.path(), &["move", "--from", &redis.url(), "--to", "two", "--pause", "1s"]);
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("CLIENT PAUSE"), "{}", stderr(&output));
    assert!(succeed(folder.path(), &["--store", "two", "export", "none.jsonl"]).starts_with("0 keys"));
}
