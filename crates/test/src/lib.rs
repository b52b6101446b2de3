//! Harness, fixtures and the job conformance suite.
//!
//! [`fixture`] runs `fixtures/commands/*.txt` against anything that executes Redis commands; [`our_server`]
//! and [`redis_server`] start a server to run them against, ours and a real one.

pub mod fixture;
pub mod our_server;
pub mod redis_server;
