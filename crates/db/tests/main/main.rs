//! The database seen from outside.

mod backup;
mod compact;
mod directory;
mod durable;
mod fault;
mod lease;
mod loading;
mod memory;
mod power;
mod process;
mod redis;
mod repair;
mod rewrite;
mod snapshot;
mod spill;
mod store;
mod torn;
mod trouble;
mod waiting;
