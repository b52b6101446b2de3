//! Libraries of functions in files: exported and imported with the keys.

use std::fs;
use std::path::Path;

use redis::Value;
use windlass_test::redis_server::RedisServer;

use super::carry::digest;
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

fn import(folder: &Path, store: &str, file: &str, more: &[&str]) -> String {
    succeed(folder, &[&["--store", store, "import", file], more].concat())
}

#[test]
fn libraries_go_to_a_file_of_either_form_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    fill(&serving.url());
    let digest = digest(folder.path(), &serving.url());
    for file in ["all.jsonl", "all.rdb"] {
        let said = succeed(folder.path(), &["--store", &serving.url(), "export", file]);
        assert!(
            said.contains("1 key and 2 libraries of functions in") && said.contains(&digest),
            "{file}: {said}"
        );
        let store = format!("{file}-store");
        let said = import(folder.path(), &store, file, &[]);
        assert!(
            said.contains("2 libraries of functions: 2 loaded, 0 there") && said.contains(&digest),
            "{file}: {said}"
        );
        let again = import(folder.path(), &store, file, &["--json"]);
        let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
        let counts = ["keys", "put", "libraries", "loaded"].map(|field| again[field].as_u64());
        assert_eq!(counts, [Some(1), Some(0), Some(2), Some(0)], "{file}: {again}");
        let carried = Serving::start(folder.path(), &["--dir", &store]);
        assert_eq!([call(&carried.url(), "a"), call(&carried.url(), "b")], [Value::Int(5), Value::Int(6)]);
    }
}

#[test]
fn a_real_redis_takes_libraries_from_an_export_and_gives_them_to_an_import() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    fill(&serving.url());
    let digest = digest(folder.path(), &serving.url());
    let data = folder.path().join("redis");
    fs::create_dir(&data).expect("a folder");
    for file in ["redis/dump.rdb", "all.jsonl"] {
        succeed(folder.path(), &["--store", &serving.url(), "export", file]);
    }
    let Some(redis) = RedisServer::start_or_skip(&["--dir", &data.to_string_lossy()]) else { return };
    assert_eq!(self::digest(folder.path(), &redis.url()), digest);
    assert_eq!([call(&redis.url(), "a"), call(&redis.url(), "b")], [Value::Int(5), Value::Int(6)]);
    fs::remove_file(data.join("dump.rdb")).expect("it was there");
    run(&redis.url(), &["SAVE"]);
    import(folder.path(), "copy", "redis/dump.rdb", &[]);
    assert_eq!(self::digest(folder.path(), "copy"), digest);
    run(&redis.url(), &["FLUSHALL"]);
    run(&redis.url(), &["FUNCTION", "DELETE", "a"]);
    let said = import(folder.path(), &redis.url(), "all.jsonl", &[]);
    assert!(said.contains("1 put") && said.contains("1 loaded, 1 there already"), "{said}");
    assert_eq!(call(&redis.url(), "a"), Value::Int(5));
    // A look at the directory that this Redis leaves takes the libraries for what they are.
    run(&redis.url(), &["SAVE"]);
    drop(redis);
    succeed(folder.path(), &["check", "redis", "--quick"]);
}

#[test]
fn another_library_of_the_name_is_left_alone_unless_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    let url = serving.url();
    fill(&url);
    for file in ["all.jsonl", "all.rdb"] {
        succeed(folder.path(), &["--store", &url, "export", file]);
    }
    for file in ["all.jsonl", "all.rdb"] {
        load(&url, "a", 7);
        run(&url, &["FUNCTION", "DELETE", "b"]);
        run(&url, &["DEL", "k"]);
        let refused = windlass(folder.path(), &["--store", &url, "import", file]);
        assert_eq!(code(&refused), 1);
        let said = stderr(&refused);
        assert!(
            said.contains(&format!("1 library of functions of {file} has another value in"))
                && said.contains("the library `a`. Nothing was imported; --replace"),
            "{said}"
        );
        assert_eq!(run(&url, &["EXISTS", "k"]), Value::Int(0), "not even what was missing was imported");
        assert_eq!(call(&url, "a"), Value::Int(7));
        let said = import(folder.path(), &url, file, &["--replace"]);
        assert!(said.contains("1 put") && said.contains("2 loaded, 0 there already"), "{said}");
        assert_eq!([call(&url, "a"), call(&url, "b")], [Value::Int(5), Value::Int(6)]);
    }
}

#[test]
fn some_keys_go_without_libraries() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    let url = serving.url();
    fill(&url);
    for file in ["all.jsonl", "all.rdb"] {
        succeed(folder.path(), &["--store", &url, "export", file]);
        for (store, some) in [("by-name", ["--match", "*"]), ("by-type", ["--type", "string"])] {
            let said = import(folder.path(), &format!("{file}-{store}"), file, &some);
            assert!(said.contains("1 put") && !said.contains("librar"), "{said}");
        }
        let some = format!("some-{file}");
        let said = succeed(folder.path(), &["--store", &url, "export", &some, "--match", "*"]);
        assert!(said.starts_with("1 key in"), "{said}");
        let said = import(folder.path(), &format!("{some}-store"), &some, &[]);
        assert!(said.contains("1 put") && !said.contains("librar"), "{said}");
    }
}

#[test]
fn a_store_without_functions_gives_none_and_is_told_what_to_do_about_them() {
    let without = ["--rename-command", "FUNCTION", ""];
    let Some(redis) = RedisServer::start_or_skip(&without) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    fill(&serving.url());
    succeed(folder.path(), &["--store", &serving.url(), "export", "all.rdb"]);
    let refused = windlass(folder.path(), &["--store", &redis.url(), "import", "all.rdb"]);
    assert_eq!(code(&refused), 1);
    let said = stderr(&refused);
    assert!(said.contains("knows no functions") && said.contains("--match '*' carries the keys"), "{said}");
    assert_eq!(run(&redis.url(), &["DBSIZE"]), Value::Int(0), "nothing was imported");
    import(folder.path(), &redis.url(), "all.rdb", &["--match", "*"]);
    let said = succeed(folder.path(), &["--store", &redis.url(), "export", "keys.rdb"]);
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
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    fill(&serving.url());
    succeed(folder.path(), &["--store", &serving.url(), "export", "all.jsonl"]);
    let whole = fs::read_to_string(folder.path().join("all.jsonl")).expect("a file");
    let first = whole.lines().nth(1).expect("a library");
    assert!(first.starts_with(r##"{"library":"#!lua name="##), "{first}");
    for (damaged, reason) in [
        (whole.replace("return 5", "return 8"), "with the digest"),
        (whole.replace(&format!("{first}\n"), ""), "1 key and 2 libraries of functions"),
        (whole.replace(first, &format!("{first}\n{first}")), "is there twice"),
    ] {
        fs::write(folder.path().join("damaged.jsonl"), damaged).expect("a file");
        let refused = windlass(folder.path(), &["--store", "other", "import", "damaged.jsonl"]);
        assert_eq!(code(&refused), 1);
        assert!(stderr(&refused).contains(reason), "{reason}: {}", stderr(&refused));
        let said = succeed(folder.path(), &["--store", "other", "export", "none.jsonl", "--force"]);
        assert!(said.starts_with("0 keys"), "{said}");
    }
}

#[test]
fn a_file_of_before_libraries_were_carried_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = include_str!("../fixtures/without_libraries.jsonl");
    fs::write(folder.path().join("old.jsonl"), old).expect("a file");
    let said = import(folder.path(), "data", "old.jsonl", &[]);
    let told = "0c799d19e6b2169c03c5de7f078fc792";
    assert!(said.contains("6 put") && said.contains(told) && old.contains(told), "{said}");
    assert_eq!(digest(folder.path(), "data"), told);
}
