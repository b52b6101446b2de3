//! `windlass bench`: measures a store on this machine, with the figures' circumstances beside them.

mod disk;
pub mod features;
pub mod jobs;
mod machine;
mod process;
pub mod store;
