//! `windlass serve`: a directory's database over sockets.

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use windlass_conn::Connection;
use windlass_db::{Database, Recovery};
use windlass_server::Server;

use crate::exit::{CANNOT_CONNECT, CONFIGURATION, FORCED, Failure, Result};
use crate::settings::Serve;

/// The files that the process opens besides one for each client.
const FILES_RESERVED: u64 = 64;

pub async fn run(mut settings: Serve) -> Result<()> {
    settings.engine.seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "seed");
    settings.engine.clients.count_max = allow_clients(settings.engine.clients.count_max);
    let config = windlass_db::Config {
        durability: settings.durability,
        engine: settings.engine,
        ..windlass_db::Config::default()
    };
    let directory = settings.dir.clone();
    let opening = config.clone();
    let opened = tokio::task::spawn_blocking(move || Database::open(directory, opening)).await?;
    let (database, recovery) = opened.map_err(|error| match error {
        windlass_db::Error::Owned { .. } => Failure::new(CANNOT_CONNECT, error),
        other => Failure::new(CONFIGURATION, other),
    })?;
    report(&recovery);
    // Processes that open the directory by its path are let in, as they are into any other that owns one.
    let path = settings.dir.to_string_lossy();
    let door = windlass_conn::Config { database: config, ..windlass_conn::Config::default() };
    let _door = Connection::open_with(&format!("file:{path}"), door).await?;

    let server = Server::bind(settings.listen, database.clone())
        .map_err(|error| Failure::new(CONFIGURATION, error))?;
    for address in server.addresses() {
        println!("ready on {address}, data in {path}");
    }
    server.run_until(stop_signal()).await?;
    if database.is_busy() && database.is_shutdown_asked() {
        // A client asked not to wait for a script that cannot be stopped. Nothing of it is logged, and what ran before
        // it was answered only once it was safe.
        eprintln!("ended by SHUTDOWN NOSAVE in the midst of a script");
        std::process::exit(0);
    }
    database.stop()?;
    Ok(())
}

/// Raises the limit of open files for so many clients, as far as the system lets us; answers how many there can be.
fn allow_clients(wanted: usize) -> usize {
    let files = wanted as u64 + FILES_RESERVED;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return wanted;
    }
    let allowed = limit.maximum.map_or(files, |maximum| files.min(maximum));
    let raised = Rlimit { current: Some(allowed), maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => allowed,
        Err(_) => limit.current.unwrap_or(files),
    };
    let possible =
        usize::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX).clamp(1, wanted);
    if possible < wanted {
        eprintln!(
            "serving at most {possible} clients, not {wanted}: this process may open {files} files (`ulimit -n`)"
        );
    }
    possible
}

fn report(recovery: &Recovery) {
    if recovery.records > 0 {
        eprintln!(
            "replayed {} records, {} bytes, in {} ms",
            recovery.records, recovery.bytes, recovery.millis
        );
    }
    if let Some(cut) = &recovery.cut {
        eprintln!(
            "cut a torn end of {} at offset {}: {} bytes that were never acknowledged",
            cut.file.display(),
            cut.offset,
            cut.bytes
        );
    }
}

/// Ends at the first TERM or INT; a second one ends the process.
async fn stop_signal() {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
    let [mut terminate, mut interrupt] =
        kinds.map(|kind| signal(kind).expect("the system lets us listen to signals"));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    eprintln!("stopping; once more forces it");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Failure::new(FORCED, anyhow!("forced to stop")).report();
        std::process::exit(i32::from(FORCED));
    });
}
