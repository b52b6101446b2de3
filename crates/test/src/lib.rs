//! Harness, fixtures and the job conformance suite.
//!
//! [`fixture`] runs `fixtures/commands/*.txt` against anything that executes Redis commands; [`redis_server`] starts
//! a real redis-server to compare with; [`conformance`] holds what the job library promises, as cases that run on
//! any store.

pub mod conformance;
pub mod fixture;
pub mod redis_server;
