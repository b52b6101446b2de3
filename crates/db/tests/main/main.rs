//! The database seen from outside.

mod compact;
mod directory;
mod durable;
mod fault;
mod lease;
mod memory;
mod power;
mod process;
mod redis;
mod rewrite;
mod snapshot;
mod store;
mod torn;
mod trouble;
mod waiting;
