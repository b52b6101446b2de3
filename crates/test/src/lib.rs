//! Harness, fixtures and the job conformance suite.

pub mod conformance;
