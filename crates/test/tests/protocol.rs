//! The page of the protocol is as good as its word: its shell lines work on a real Redis.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use windlass_test::redis_server::RedisServer;

#[test]
fn a_job_is_taken_and_finished_by_the_lines_of_the_page() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/protocol.md")).expect("the page is there");
    let lines = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let lines = lines.expect("the page has shell lines");
    // The lines say `redis-cli` and mean the server at its usual port; here it is another one.
    let folder = tempfile::tempdir().expect("a folder");
    let path = std::env::var("PATH").expect("a path");
    let wrapper = folder.path().join("redis-cli");
    let port = server.address().port();
    std::fs::write(&wrapper, format!("#!/bin/sh\nPATH='{path}' exec redis-cli -p {port} \"$@\"\n"))
        .expect("it is written");
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o700)).expect("the file is ours");
    let done = Command::new("sh")
        .args(["-c", &format!("set -e\n{lines}\nredis-cli XLEN 'wl:{{default}}:q:mail'")])
        .current_dir(&root)
        .env("TMPDIR", folder.path())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains(r#"{"v":1,"kind":"greet","args":{"name":"Ada"}}"#), "the job was taken: {said}");
    assert_eq!(said.lines().last(), Some("0"), "the job was finished: {said}");
}
