//! What the flags of `windlass serve` come to.

use redis::{Commands, Connection, RedisResult};

use super::Serving;

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
