//! Libraries of functions in files: exported and imported with the keys.

use std::fs;

use redis::Value;
use windlass_test::redis_server::RedisServer;

use super::carry::{FILES, Filled, digest};
use super::transfer::run;
use super::{Serving, code, stderr, succeed, windlass};

/// A library whose one function has its name and answers a number.
fn library(name: &str, answer: i64) -> String {
    format!("#!lua name={name}\nredis.register_function('{name}', function() return {answer} end)")
}

fn load(url: &str, name: &str, answer: i64) {
    run(url, &["FUNCTION", "LOAD", "REPLACE", &library(name, answer)]);
}

/// What the function of a library answers.
fn call(url: &str, name: &str) -> Value {
    run(url, &["FCALL", name, "0"])
}

/// Two libraries and a key.
fn fill(url: &str) {
    load(url, "a", 5);
    load(url, "b", 6);
    run(url, &["SET", "k", "v"]);
}

/// What the functions of both answer.
fn call_both(url: &str) -> [Value; 2] {
    [call(url, "a"), call(url, "b")]
}

const BOTH: [Value; 2] = [Value::Int(5), Value::Int(6)];

#[test]
fn libraries_go_to_a_file_of_either_form_and_back() {
    let filled = Filled::by(fill);
    let digest = filled.digest(&filled.url());
    for file in FILES {
        let said = filled.export(file, &[]);
        assert!(
            said.contains("1 key and 2 libraries of functions in") && said.contains(&digest),
            "{file}: {said}"
        );
        let store = format!("{file}-store");
        let said = filled.import(&store, file, &[]);
        assert!(
            said.contains("2 libraries of functions: 2 loaded, 0 there") && said.contains(&digest),
            "{file}: {said}"
        );
        let again = filled.import(&store, file, &["--json"]);
        let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
        let counts = ["keys", "put", "libraries", "loaded"].map(|field| again[field].as_u64());
        assert_eq!(counts, [Some(1), Some(0), Some(2), Some(0)], "{file}: {again}");
        let carried = Serving::start(filled.folder(), &["--dir", &store]);
        assert_eq!(call_both(&carried.url()), BOTH);
    }
}

#[test]
fn a_real_redis_takes_libraries_from_an_export_and_gives_them_to_an_import() {
    let filled = Filled::by(fill);
    let digest = filled.digest(&filled.url());
    let data = filled.folder().join("redis");
    fs::create_dir(&data).expect("a folder");
    for file in ["redis/dump.rdb", "all.jsonl"] {
        filled.export(file, &[]);
    }
    let Some(redis) = RedisServer::start_or_skip(&["--dir", &data.to_string_lossy()]) else { return };
    assert_eq!(filled.digest(&redis.url()), digest);
    assert_eq!(call_both(&redis.url()), BOTH);
    fs::remove_file(data.join("dump.rdb")).expect("it was there");
    run(&redis.url(), &["SAVE"]);
    filled.import("copy", "redis/dump.rdb", &[]);
    assert_eq!(filled.digest("copy"), digest);
    run(&redis.url(), &["FLUSHALL"]);
    run(&redis.url(), &["FUNCTION", "DELETE", "a"]);
    let said = filled.import(&redis.url(), "all.jsonl", &[]);
    assert!(said.contains("1 put") && said.contains("1 loaded, 1 there already"), "{said}");
    assert_eq!(call(&redis.url(), "a"), Value::Int(5));
    // A look at the directory that this Redis leaves takes the libraries for what they are.
    run(&redis.url(), &["SAVE"]);
    drop(redis);
    succeed(filled.folder(), &["check", "redis", "--quick"]);
}

#[test]
fn another_library_of_the_name_is_left_alone_unless_it_is_to_be_replaced() {
    let filled = Filled::by(fill);
    let url = filled.url();
    for file in FILES {
        filled.export(file, &[]);
    }
    for file in FILES {
        load(&url, "a", 7);
        run(&url, &["FUNCTION", "DELETE", "b"]);
        run(&url, &["DEL", "k"]);
        let said = filled.refused(&url, file);
        assert!(
            said.contains(&format!("1 library of functions of {file} has another value in"))
                && said.contains("the library `a`. Nothing was imported; --replace"),
            "{said}"
        );
        assert_eq!(run(&url, &["EXISTS", "k"]), Value::Int(0), "not even what was missing was imported");
        assert_eq!(call(&url, "a"), Value::Int(7));
        let said = filled.import(&url, file, &["--replace"]);
        assert!(said.contains("1 put") && said.contains("2 loaded, 0 there already"), "{said}");
        assert_eq!(call_both(&url), BOTH);
    }
}

#[test]
fn some_keys_go_without_libraries() {
    let filled = Filled::by(fill);
    for file in FILES {
        filled.export(file, &[]);
        for (store, some) in [("by-name", ["--match", "*"]), ("by-type", ["--type", "string"])] {
            let said = filled.import(&format!("{file}-{store}"), file, &some);
            assert!(said.contains("1 put") && !said.contains("librar"), "{said}");
        }
        let some = format!("some-{file}");
        let said = filled.export(&some, &["--match", "*"]);
        assert!(said.starts_with("1 key in"), "{said}");
        let said = filled.import(&format!("{some}-store"), &some, &[]);
        assert!(said.contains("1 put") && !said.contains("librar"), "{said}");
    }
}

#[test]
fn a_store_without_functions_gives_none_and_is_told_what_to_do_about_them() {
    let without = ["--rename-command", "FUNCTION", ""];
    let Some(redis) = RedisServer::start_or_skip(&without) else { return };
    let filled = Filled::by(fill);
    filled.export("all.rdb", &[]);
    let said = filled.refused(&redis.url(), "all.rdb");
    assert!(said.contains("knows no functions") && said.contains("--match '*' carries the keys"), "{said}");
    assert_eq!(run(&redis.url(), &["DBSIZE"]), Value::Int(0), "nothing was imported");
    filled.import(&redis.url(), "all.rdb", &["--match", "*"]);
    let said = succeed(filled.folder(), &["--store", &redis.url(), "export", "keys.rdb"]);
    assert!(said.starts_with("1 key in"), "{said}");
}

#[test]
fn a_store_that_does_not_tell_its_libraries_is_not_exported_as_if_it_had_none() {
    let Some(redis) = RedisServer::start_or_skip(&[]) else { return };
    fill(&redis.url());
    run(&redis.url(), &["ACL", "SETUSER", "default", "-function"]);
    let folder = tempfile::tempdir().expect("a folder");
    let refused = windlass(folder.path(), &["--store", &redis.url(), "export", "all.rdb"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("does not tell its libraries of functions"), "{}", stderr(&refused));
    succeed(folder.path(), &["--store", &redis.url(), "export", "keys.rdb", "--match", "*"]);
}

#[test]
fn a_changed_or_missing_library_makes_a_file_one_that_is_not_whole() {
    let filled = Filled::by(fill);
    filled.export("all.jsonl", &[]);
    let whole = fs::read_to_string(filled.folder().join("all.jsonl")).expect("a file");
    let first = whole.lines().nth(1).expect("a library");
    assert!(first.starts_with(r##"{"library":"#!lua name="##), "{first}");
    for (damaged, reason) in [
        (whole.replace("return 5", "return 8"), "with the digest"),
        (whole.replace(&format!("{first}\n"), ""), "1 key and 2 libraries of functions"),
        (whole.replace(first, &format!("{first}\n{first}")), "is there twice"),
    ] {
        fs::write(filled.folder().join("damaged.jsonl"), damaged).expect("a file");
        let said = filled.refused("other", "damaged.jsonl");
        assert!(said.contains(reason), "{reason}: {said}");
        let said = succeed(filled.folder(), &["--store", "other", "export", "none.jsonl", "--force"]);
        assert!(said.starts_with("0 keys"), "{said}");
    }
}

#[test]
fn a_file_of_before_libraries_were_carried_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = include_str!("../fixtures/without_libraries.jsonl");
    fs::write(folder.path().join("old.jsonl"), old).expect("a file");
    let said = succeed(folder.path(), &["--store", "data", "import", "old.jsonl"]);
    let told = "0c799d19e6b2169c03c5de7f078fc792";
    assert!(said.contains("6 put") && said.contains(told) && old.contains(told), "{said}");
    assert_eq!(digest(folder.path(), "data"), told);
}
