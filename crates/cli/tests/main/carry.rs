//! Exporting to files and importing them.

use std::fs;
use std::path::Path;

use redis::Commands;
use tempfile::TempDir;
use windlass_test::redis_server::RedisServer;

use super::{Serving, code, stderr, stdout, succeed, windlass};

/// A moment that is not over when the tests run.
const LATER_MS: u64 = 4_000_000_000_000;

/// Fills the store at `url` with keys of every type, in two databases: bytes that are no text, ends, streams with
/// groups, pending entries and deleted ones.
pub fn fill(url: &str) {
    let mut connection = redis::Client::open(url).expect("a URL").get_connection().expect("a connection");
    let mut run = |line: &str| {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a name"));
        for word in words {
            cmd.arg(word);
        }
        cmd.query::<redis::Value>(&mut connection).unwrap_or_else(|error| panic!("{line}: {error}"));
    };
    run("SET text hello");
    run(&format!("SET ending soon PXAT {LATER_MS}"));
    run("RPUSH list a b c a");
    run("SADD set x y z");
    run("SADD numbers 1 2 3");
    run("HSET hash f v g w");
    run("ZADD zset 0.1 a 1e300 b -inf c");
    for n in 1..=300 {
        run(&format!("RPUSH long item-{n}"));
        run(&format!("ZADD scores {n}.5 member-{n}"));
        run(&format!("XADD stream {n}-1 n {n}"));
    }
    run("XGROUP CREATE stream workers 0");
    run("XGROUP CREATECONSUMER stream workers idle");
    run("XREADGROUP GROUP workers one COUNT 5 STREAMS stream >");
    run("XREADGROUP GROUP workers two COUNT 3 STREAMS stream >");
    run("XACK stream workers 2-1");
    run("XDEL stream 3-1 300-1");
    run("XADD emptied 5-5 f v");
    run("XDEL emptied 5-5");
    run("SELECT 3");
    run("SET text elsewhere");
    let _: () = connection.set(&b"raw\xff\x00"[..], &b"\x00\x9f\xff"[..]).expect("it is set");
}

pub fn keys(url: &str) -> u64 {
    let mut connection = redis::Client::open(url).expect("a URL").get_connection().expect("a connection");
    let info: String = redis::cmd("INFO").arg("keyspace").query(&mut connection).expect("an answer");
    info.lines().filter_map(|line| line.split_once("keys=")?.1.split(',').next()?.parse::<u64>().ok()).sum()
}

/// The digest of a whole store, by an export of it.
pub fn digest(folder: &Path, url: &str) -> String {
    let said = succeed(folder, &["--store", url, "--json", "export", "digest.jsonl", "--force"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    said["digest"].as_str().expect("a digest").to_owned()
}

/// A file of either form.
pub const FILES: [&str; 2] = ["all.jsonl", "all.rdb"];

/// A server of ours that has been filled, and the folder that it and the files are in.
pub struct Filled {
    serving: Serving,
    folder: TempDir,
}

impl Filled {
    pub fn by(fill: fn(&str)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let serving = Serving::start(folder.path(), &["--dir", "data"]);
        fill(&serving.url());
        Self { serving, folder }
    }

    pub fn url(&self) -> String {
        self.serving.url()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The digest of a store, which may be another one.
    pub fn digest(&self, url: &str) -> String {
        digest(self.folder(), url)
    }

    pub fn export(&self, file: &str, more: &[&str]) -> String {
        succeed(self.folder(), &[&["--store", &self.url(), "export", file], more].concat())
    }

    /// Imports a file into a store, which may be another one.
    pub fn import(&self, url: &str, file: &str, more: &[&str]) -> String {
        succeed(self.folder(), &[&["--store", url, "import", file], more].concat())
    }

    /// What is said of an import that is refused with code 1.
    pub fn refused(&self, url: &str, file: &str) -> String {
        let refused = windlass(self.folder(), &["--store", url, "import", file]);
        assert_eq!(code(&refused), 1, "{file}: {}", stdout(&refused));
        stderr(&refused)
    }
}

#[test]
fn every_type_goes_to_a_file_of_either_form_and_back() {
    let filled = Filled::by(fill);
    let digest = filled.digest(&filled.url());
    for file in FILES {
        let said = filled.export(file, &[]);
        assert!(said.contains("13 keys in") && said.contains(&digest), "{file}: {said}");
        let store = format!("{file}-store");
        let said = filled.import(&store, file, &[]);
        assert!(said.contains("13 put, 0 there already") && said.contains(&digest), "{file}: {said}");
        assert_eq!(filled.digest(&store), digest, "{file}");
        // What is there already is left as it is.
        let again = filled.import(&store, file, &[]);
        assert!(again.contains("0 put, 13 there already"), "{file}: {again}");
    }
    let lines = fs::read_to_string(filled.folder().join("all.jsonl")).expect("a file");
    assert!(lines.starts_with(r#"{"format":1,"#), "{lines}");
    assert!(
        lines.contains(r#""key":{"base64":"cmF3/wA="},"type":"string","value":{"base64":"AJ//"}"#),
        "{lines}"
    );
    assert!(lines.contains(&format!(r#""expires_ms":{LATER_MS}"#)), "{lines}");
}

#[test]
fn an_import_takes_only_the_keys_that_are_asked_for() {
    let filled = Filled::by(fill);
    for file in FILES {
        filled.export(file, &[]);
        let store = format!("{file}-store");
        // Neither the sorted set `scores` nor the set `numbers`.
        let said = filled.import(&store, file, &["--match", "s*", "--type", "set,stream"]);
        assert!(said.contains("2 keys as in") && said.contains("2 put, 0 there already"), "{file}: {said}");
        let again = filled.import(&store, file, &[]);
        assert!(again.contains("11 put, 2 there already"), "{file}: {again}");
    }
    let import = ["--store", "other", "import", "all.rdb", "--type", "module"];
    let refused = windlass(filled.folder(), &import);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("possible values: string, list"), "{}", stderr(&refused));
}

#[test]
fn a_real_redis_starts_on_an_export_and_what_it_writes_is_imported() {
    let filled = Filled::by(fill);
    filled.export("ours.rdb", &[]);
    let path = filled.folder().to_string_lossy().into_owned();
    let Some(redis) = RedisServer::start_or_skip(&["--dir", &path, "--dbfilename", "ours.rdb"]) else {
        return;
    };
    let digest = filled.digest(&filled.url());
    assert_eq!(filled.digest(&redis.url()), digest);
    let mut connection =
        redis::Client::open(redis.url()).expect("a URL").get_connection().expect("a connection");
    fs::remove_file(filled.folder().join("ours.rdb")).expect("it was there");
    redis::cmd("SAVE").exec(&mut connection).expect("it saves");
    filled.import("copy", "ours.rdb", &[]);
    assert_eq!(filled.digest("copy"), digest);
    // By the commands of the types, for stores that know neither DUMP nor RESTORE.
    succeed(filled.folder(), &["--store", &redis.url(), "export", "typed.jsonl", "--by-type"]);
    redis::cmd("FLUSHALL").exec(&mut connection).expect("it is emptied");
    filled.import(&redis.url(), "typed.jsonl", &["--by-type"]);
    assert_eq!(filled.digest(&redis.url()), digest);
}

#[test]
fn an_import_overwrites_nothing_unless_told_to() {
    let filled = Filled::by(fill);
    let url = filled.url();
    filled.export("all.jsonl", &[]);
    let digest = filled.digest(&url);
    let mut connection =
        redis::Client::open(url.clone()).expect("a URL").get_connection().expect("a connection");
    redis::cmd("SET").arg("text").arg("changed").exec(&mut connection).expect("it is set");
    redis::cmd("DEL").arg("list").exec(&mut connection).expect("it is gone");
    let said = filled.refused(&url, "all.jsonl");
    assert!(
        said.contains("1 key of all.jsonl has another value in")
            && said.contains("`text`. Nothing was imported"),
        "{said}"
    );
    assert_eq!(keys(&url), 12, "not even what was missing was imported");
    let said = filled.import(&url, "all.jsonl", &["--replace"]);
    assert!(said.contains("2 put, 11 there already"), "{said}");
    assert_eq!(filled.digest(&url), digest);
}

#[test]
fn a_file_that_is_not_whole_is_refused_before_anything_is_imported() {
    let filled = Filled::by(fill);
    for file in FILES {
        filled.export(file, &[]);
        let path = filled.folder().join(file);
        let bytes = fs::read(&path).expect("a file");
        for (name, damaged) in [
            ("cut", bytes[..bytes.len() - 120].to_vec()),
            ("changed", {
                let mut changed = bytes.clone();
                let at = changed.windows(5).position(|window| window == b"hello").expect("a value");
                changed[at] ^= 1;
                changed
            }),
        ] {
            fs::write(&path, damaged).expect("a file");
            let said = filled.refused("other", file);
            assert!(said.contains(&format!("{file} cannot be read")), "{name}: {said}");
            let said = succeed(filled.folder(), &["--store", "other", "export", "none.jsonl", "--force"]);
            assert!(said.starts_with("0 keys"), "{file} {name}: {said}");
        }
    }
}

#[test]
fn an_export_is_narrowed_and_replaces_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let export = |args: &[&str]| windlass(folder.path(), &[&["--store", "data", "export"], args].concat());
    succeed(folder.path(), &["--store", "data", "job", "push", "mail"]);
    succeed(folder.path(), &["--store", "data", "--namespace", "other", "job", "push", "mail"]);
    assert!(stdout(&export(&["all.jsonl"])).contains("keys in all.jsonl"));
    let refused = export(&["all.jsonl"]);
    assert_eq!(code(&refused), 4);
    assert!(stderr(&refused).contains("is there already; --force replaces it"), "{}", stderr(&refused));
    assert_eq!(code(&export(&["all.json"])), 2);
    assert_eq!(code(&export(&["x.rdb", "--match", "a*", "--namespace", "b"])), 2);
    assert_eq!(code(&export(&["other.jsonl", "--namespace", "other"])), 0);
    let lines = fs::read_to_string(folder.path().join("other.jsonl")).expect("a file");
    assert!(lines.contains(r#""key":"wl:{other}:"#) && !lines.contains("wl:{default}"), "{lines}");
    // The job can be worked on where it was carried.
    succeed(folder.path(), &["--store", "carried", "import", "other.jsonl"]);
    let listed = succeed(folder.path(), &["--store", "carried", "--namespace", "other", "job", "ls"]);
    assert!(listed.contains("mail"), "{listed}");
}
