//! Runs `fixtures/commands/*.txt` against the engine, the embedded connection, our server and a real
//! redis-server.
//!
//! `WINDLASS_TEST_FIXTURE=string` runs only the files whose name contains that word.

use windlass_db::{Config, EngineConfig};
use windlass_engine::DebugCommand;
use windlass_test::fixture::{ConnTarget, Target, WireTarget, files, run};
use windlass_test::our_server::OurServer;
use windlass_test::redis_server::RedisServer;

fn check(mut target: Target) {
    let only = std::env::var("WINDLASS_TEST_FIXTURE").ok();
    let files = files(only.as_deref());
    let (steps, mismatches) = run(&mut target, &files);
    assert!(steps > 0, "there are no fixtures to run");
    assert!(
        mismatches.is_empty(),
        "{} of {steps} steps differ:\n{}",
        mismatches.len(),
        mismatches.join("\n")
    );
}

#[test]
fn the_engine_answers_as_the_fixtures_say() {
    check(Target::Engine(Box::default()));
}

#[test]
fn redis_answers_as_the_fixtures_say() {
    if let Some(server) = RedisServer::start_or_skip(&["--enable-debug-command", "yes"]) {
        let target = WireTarget::connect(server.address(), true).expect("the server listens");
        check(Target::Wire(target));
    }
}

#[test]
fn the_embedded_connection_answers_as_the_fixtures_say() {
    check(Target::Conn(ConnTarget::default()));
}

#[test]
fn our_server_answers_as_the_fixtures_say() {
    let engine = EngineConfig { debug_command: DebugCommand::Yes, ..EngineConfig::default() };
    let server = OurServer::start_with(Config { engine, ..Config::default() });
    check(Target::Wire(WireTarget::connect(server.address(), false).expect("the server listens")));
}
