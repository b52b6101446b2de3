//! Whole sequences of commands against a model that is as plain as can be: every reply is the same, and so is what a
//! fresh engine holds after the log or the dump was replayed into it.
//!
//! `table` says which commands are made, `state` holds the model, and the other files what each family does to it.

mod hash;
mod key;
mod list;
mod run;
mod set;
mod state;
mod string;
mod table;
mod watch;
mod zset;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How many sequences are tried.
const CASES: u32 = 300;

/// How many commands a sequence has.
const COMMANDS: std::ops::Range<usize> = 200..320;

/// The seed, unless `WINDLASS_TEST_SEED` gives another number: one that failed is worth a case of its own.
const SEED: u64 = 1;

#[test]
fn sequences_of_commands_get_the_replies_of_the_model() {
    let seed = std::env::var("WINDLASS_TEST_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let scripts = proptest::collection::vec(table::command(), COMMANDS);
    for case in 0..CASES {
        let script = scripts.new_tree(&mut runner).expect("the table refuses nothing").current();
        if run::check(&script).is_err() {
            let (script, reason) = shortest(script);
            panic!("WINDLASS_TEST_SEED={seed}, case {case}: {reason}, after {script:#?}");
        }
    }
}

/// Leaves out what a sequence does not need in order to fail; answers it with its reason.
fn shortest(mut script: Vec<table::Command>) -> (Vec<String>, String) {
    let mut size = script.len();
    while size > 0 {
        let mut at = 0;
        while at < script.len() {
            let mut shorter = script.clone();
            shorter.drain(at..(at + size).min(script.len()));
            if run::check(&shorter).is_err() { script = shorter } else { at += size }
        }
        size /= 2;
    }
    let reason = run::check(&script).expect_err("only what fails was kept");
    (script.iter().map(|command| format!("{command:?}")).collect(), reason)
}
