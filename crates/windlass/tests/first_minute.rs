//! The first minute of the README: the program is the one printed there, and it survives `kill -9`, in a
//! directory and on Redis.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use windlass_test::redis_server::RedisServer;

#[test]
fn the_readme_shows_the_program_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../../README.md")).expect("the README");
    let program = std::fs::read_to_string(root.join("examples/first.rs")).expect("the example");
    let shown =
        readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    assert!(program.ends_with(shown), "the README shows another program than examples/first.rs");
}

#[test]
fn a_killed_program_resumes_its_job() {
    resumes(None);
}

#[test]
fn a_killed_program_resumes_its_job_on_redis() {
    if let Some(server) = RedisServer::start_or_skip(&[]) {
        resumes(Some(&server.url()));
    }
}

/// Runs the program, kills it while it writes, and runs it again.
fn resumes(url: Option<&str>) {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || start(folder.path(), url);
    let mut first = start();
    assert!(lines(&mut first).any(|line| line == "writing the report of May, attempt 1"));
    first.kill().expect("ours to kill");
    first.wait().expect("it ends");
    let mut second = start();
    let mut said = lines(&mut second);
    assert!(said.any(|line| line == "1 job resumed, attempt 2"));
    assert!(said.any(|line| line == "writing the report of May, attempt 2"));
    second.kill().expect("ours to kill");
    second.wait().expect("it ends");
}

fn start(folder: &Path, url: Option<&str>) -> Child {
    let mut command = Command::new(example());
    command.current_dir(folder).env_remove("WINDLASS_URL").stdout(Stdio::piped());
    command.envs(url.map(|url| ("WINDLASS_URL", url)));
    command.spawn().expect("the example runs")
}

/// Cargo builds examples beside the folder of test binaries.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("this binary has a path");
    test.parent().and_then(Path::parent).expect("the target folder").join("examples/first")
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().expect("its output is piped")).lines().map_while(Result::ok)
}
