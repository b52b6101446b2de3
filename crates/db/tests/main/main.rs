//! The database seen from outside.

mod memory;
