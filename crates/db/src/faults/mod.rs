//! Disks that fail, and a power cut, in a model: what the tests and `windlass torture` put beneath a database.
//!
//! [`FaultDisk`] makes chosen operations fail, as a broken or a full disk does. [`PowerDisk`] remembers which writes and
//! names were synced, and answers what a power cut could leave. [`Ledger`] runs calls, remembers which were
//! acknowledged and what the data was after each, and judges what a later opening finds. All three are behind the
//! feature `faults`, which a program that only uses a database has no need of.
//!
//! ```
//! use windlass_db::faults::{Ledger, PowerDisk};
//! use windlass_db::{Config, Database};
//!
//! let folder = std::env::temp_dir().join(format!("windlass-example-{}", std::process::id()));
//! std::fs::create_dir_all(folder.join("before"))?;
//! std::fs::create_dir_all(folder.join("after"))?;
//! let disk = PowerDisk::new(&folder.join("before"))?;
//! let mut ledger = Ledger::new(1);
//! let (database, _) = Database::open_with(folder.join("before/data"), Config::default(), Ledger::clock(), disk.clone())?;
//! let acknowledged = ledger.run(&database, 10);
//! let cut = disk.cut_after(disk.steps());
//! cut.survive(7, &folder.join("after"))?;
//! let (database, _) = Database::open(folder.join("after/data"), Config::default())?;
//! assert_eq!(ledger.judge(&database, acknowledged), Ok(acknowledged));
//! # drop(database);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod crowd;
mod disk;
mod ledger;
mod look;
mod power;
mod random;

pub use crowd::Crowd;
pub use disk::{Failure, Fault, FaultDisk, Operation, UnsyncedDisk};
pub use ledger::{Answer, Ledger};
pub use look::recover;
pub use power::{PowerCut, PowerDisk};
pub use random::Random;
