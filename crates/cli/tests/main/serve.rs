//! What the flags of `windlass serve` come to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use redis::{Commands, Connection, RedisResult};

use super::damage::says;
use super::{Serving, command};

fn connect(serving: &Serving) -> Connection {
    redis::Client::open(serving.url()).expect("a URL").get_connection().expect("a connection")
}

#[test]
fn a_store_in_memory_leaves_no_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--in-memory"]);
    let mut connection = connect(&serving);
    let () = connection.set("k", "v").expect("it is set");
    let found: String = connection.get("k").expect("it is there");
    assert_eq!(found, "v");
    assert!(redis::cmd("SAVE").exec(&mut connection).is_err(), "there is nowhere to save to");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn debug_is_for_whom_the_flag_says() {
    let ask = |args: &[&str]| -> RedisResult<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let serving = Serving::start(folder.path(), &[&["--in-memory"], args].concat());
        redis::cmd("DEBUG").arg("PROTOCOL").arg("string").query(&mut connect(&serving))
    };
    assert!(ask(&[]).expect_err("nobody may").to_string().contains("DEBUG command not allowed"));
    for value in ["yes", "local"] {
        assert_eq!(ask(&["--enable-debug-command", value]).expect("it is allowed"), "Hello World");
    }
}

#[test]
fn clients_are_told_where_the_data_is_and_who_serves_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    let mut connection = connect(&serving);
    let mut get = |name: &str| -> String {
        let found: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg(name).query(&mut connection).expect("it is told");
        found[1].clone()
    };
    let port = serving.1.rsplit(':').next().expect("a port").to_owned();
    assert_eq!(get("port"), port);
    let told = std::fs::canonicalize(get("dir")).expect("a folder");
    assert_eq!(told, folder.path().join("data").canonicalize().expect("a folder"));
    let info: String = redis::cmd("INFO").arg("server").query(&mut connection).expect("it is told");
    assert!(info.contains(&format!("\r\ntcp_port:{port}\r\n")), "{info}");
    assert!(info.contains(&format!("\r\nprocess_id:{}\r\n", serving.0.id())), "{info}");
}

#[test]
fn settings_are_kept_in_the_file_with_its_comments() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("windlass.toml");
    std::fs::write(&path, "[serve]\nin_memory = true\ntimeout = \"5\" # seconds\n").expect("a file");
    let set = |serving: &Serving, name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut connect(serving)).expect("it is set");
    };
    let serving = Serving::start(folder.path(), &[]);
    set(&serving, "timeout", "60");
    set(&serving, "maxmemory-policy", "allkeys-lru");
    set(&serving, "slowlog-max-len", "7");
    redis::cmd("CONFIG").arg("REWRITE").exec(&mut connect(&serving)).expect("there is a file");
    drop(serving);
    let text = std::fs::read_to_string(&path).expect("the file");
    let expected = "[serve]\nin_memory = true\ntimeout = \"60\" # seconds\nmaxmemory_policy = \"allkeys-lru\"\n\n\
                    [serve.config]\nslowlog-max-len = \"7\"\n";
    assert_eq!(text, expected);

    let serving = Serving::start(folder.path(), &[]);
    for (name, value) in [("timeout", "60"), ("maxmemory-policy", "allkeys-lru"), ("slowlog-max-len", "7")] {
        let found: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg(name).query(&mut connect(&serving)).expect("it is told");
        assert_eq!(found, [name, value]);
    }
}

#[test]
fn without_a_file_there_is_none_to_keep_settings_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--in-memory"]);
    let error =
        redis::cmd("CONFIG").arg("REWRITE").exec(&mut connect(&serving)).expect_err("there is no file");
    assert!(error.to_string().contains("running without a config file"), "{error}");
}

#[test]
fn who_agrees_on_no_encryption_is_told_of_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=localhost", "-keyout", "key", "-out", "crt"])
        .current_dir(folder.path())
        .output();
    assert!(made.expect("`openssl` is installed, it makes the certificate").status.success());
    let serve = ["serve", "--in-memory", "--bind", "127.0.0.1", "--tls-port", "0", "--tls-only"];
    let tls = ["--tls-cert-file", "crt", "--tls-key-file", "key", "--tls-auth-clients", "no"];
    let mut client = String::new();
    let said = says(command(folder.path(), &[&serve[..], &tls].concat()), |address| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        client = stream.local_addr().expect("an address").to_string();
        stream.write_all(b"PING\r\nPING\r\n").expect("the server reads");
        // It may break the connection off.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let told: Vec<&str> = said.lines().filter(|line| line.contains(&client)).collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(told[0].contains("WARN") && told[0].contains("a client agreed on no encryption"), "{said}");
}
