//! Harness, fixtures and the job conformance suite.
//!
//! [`fixture`] runs `fixtures/commands/*.txt` against anything that executes Redis commands; [`our_server`] and
//! [`redis_server`] start a server to run them against, ours and a real one; [`conformance`] holds what the job library
//! promises, as cases that run on any store, and [`invariants`] what holds of a store between any two moves. [`clock`]
//! moves the time of a store, [`content`] compares what engines hold.

pub mod clock;
pub mod conformance;
pub mod content;
pub mod fixture;
pub mod invariants;
pub mod our_server;
pub mod redis_server;
