//! A worker whose store's disk fails is not ready, until the disk is well again. One whose runtime stands still is not
//! alive to systemd.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use redis::aio::ConnectionLike;
use windlass::{Client, Connection, Push, Retry, Systemd, Worker};
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

#[test]
fn a_runtime_that_stands_still_is_not_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let interval = Duration::from_millis(50);
    let systemd = Systemd::new(&path).watchdog(interval);
    let (begin, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (say_control, control) = mpsc::channel();
    let released = Mutex::new(released);
    let working = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Client::open("memory:").await.expect("the store is fit");
            let args = serde_json::value::RawValue::NULL;
            client.push_raw("block", args, Push::new()).await.expect("it takes the job");
            let worker =
                Worker::new(&client).systemd(systemd).register_raw("block", Retry::Never, move |args, _| {
                    begin.send(()).ok();
                    // Of the whole runtime: it has this thread alone.
                    released.lock().expect("no panic").recv().ok();
                    async { Ok(args) }
                });
            say_control.send(worker.control()).expect("the test waits");
            worker.run().await.expect("it ends well");
        });
    });
    let control = control.recv().expect("the worker begins");
    begun.recv().expect("the job begins");
    let mut buffer = [0; 64];
    socket.set_nonblocking(true).expect("a setting");
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false).expect("a setting");
    socket.set_read_timeout(Some(interval * 10)).expect("a setting");
    // One may have been under way.
    socket.recv(&mut buffer).ok();
    assert!(socket.recv(&mut buffer).is_err(), "nothing is said for a runtime that does not run");
    release.send(()).expect("the job waits");
    socket.set_read_timeout(Some(PATIENCE)).expect("a setting");
    let length = socket.recv(&mut buffer).expect("it lives again");
    assert_eq!(&buffer[..length], b"WATCHDOG=1");
    control.stop();
    working.join().expect("no panic");
}
