//! Whole sequences of commands to the engine and to a real redis-server, one in three by RESP3: every reply is the same,
//! and so is what both hold in the end, encodings included, and what each makes of the other's DUMP.
//!
//! `table` says which commands are made, `run` sends them. `WINDLASS_TEST_CASES=20000` tries more sequences than every
//! run does, `WINDLASS_TEST_SEED` others.

mod run;
mod table;

use windlass_resp::Protocol;
use windlass_test::redis_server::RedisServer;

/// How many sequences are tried, unless the environment says.
const CASES: u64 = 667;
/// How many commands a sequence has: a hundred thousand in all.
const COMMANDS: usize = 150;
/// Of so many sequences one is sent by RESP3.
const RESP3_EACH: u64 = 3;
/// How many differences are looked for.
const SHOWN_MAX: usize = 12;
/// The first seed, unless the environment says.
const SEED: u64 = 1;

#[test]
fn sequences_of_commands_get_the_replies_of_redis() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let number = |name: &str, usual: u64| {
        std::env::var(name)
            .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let (seed, cases) = (number("WINDLASS_TEST_SEED", SEED), number("WINDLASS_TEST_CASES", CASES));
    let mut redis = run::Redis::connect(server.address());
    let mut found = Vec::new();
    for seed in seed..seed + cases {
        let commands = table::sequence(seed, COMMANDS);
        let protocol = if seed % RESP3_EACH == 0 { Protocol::Resp3 } else { Protocol::Resp2 };
        if run::check(&mut redis, &commands, protocol).is_err() {
            let (commands, difference) = shortest(&mut redis, commands, protocol);
            found.push(format!("WINDLASS_TEST_SEED={seed}: {difference}\nafter {commands:#?}"));
        }
        if found.len() == SHOWN_MAX {
            break;
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Leaves out what a sequence does not need in order to differ; answers it with the difference.
fn shortest(
    redis: &mut run::Redis,
    mut commands: Vec<table::Command>,
    protocol: Protocol,
) -> (Vec<String>, String) {
    let mut size = commands.len();
    while size > 0 {
        let mut at = 0;
        while at < commands.len() {
            let mut shorter = commands.clone();
            shorter.drain(at..(at + size).min(commands.len()));
            if run::check(redis, &shorter, protocol).is_err() { commands = shorter } else { at += size }
        }
        size /= 2;
    }
    let difference = run::check(redis, &commands, protocol).expect_err("only what differs was kept");
    (commands.iter().map(|command| command.join(" ")).collect(), difference)
}
