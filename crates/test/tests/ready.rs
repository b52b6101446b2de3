//! A worker whose store's disk fails is not ready, until the disk is well again.

use std::io::ErrorKind;
use std::time::Duration;

use redis::aio::ConnectionLike;
use windlass::{Client, Connection, Worker};
use windlass_db::faults::{Failure, Fault, FaultDisk, Ledger, Operation};
use windlass_db::{Config, Database, SystemDisk};

/// The log tries to come back several times a second; this is far longer.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_worker_is_ready_while_its_store_can_write() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let disk = FaultDisk::new(SystemDisk);
    let opened = Database::open_with(directory.path(), Config::default(), Ledger::clock(), disk.clone());
    let (database, _) = opened.expect("the disk is well");
    let client = Client::new(Connection::to(database)).await.expect("the store is fit");
    let worker = Worker::new(&client);
    let control = worker.control();
    let working = tokio::spawn(worker.run());
    control.started().await;
    assert!(control.is_ready().await);
    let failure = Failure::Error(ErrorKind::StorageFull);
    disk.fail(Fault { operation: Some(Operation::Write), after: 0, count: usize::MAX, failure });
    let mut write = redis::cmd("SET");
    write.arg("k").arg("v");
    let lost = client.connection().clone().req_packed_command(&write).await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(!control.is_ready().await);
    disk.heal();
    let ready = async {
        while !control.is_ready().await {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the log comes back by itself");
    control.stop();
    working.await.expect("no panic").expect("it ends well");
}
