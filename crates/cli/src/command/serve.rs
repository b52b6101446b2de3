//! `windlass serve`: a directory's database over sockets.

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};
use windlass_conn::Connection;
use windlass_db::{Database, Recovery};
use windlass_server::Server;

use crate::exit::{CANNOT_CONNECT, CONFIGURATION, FORCED, Failure, Result};
use crate::settings::Serve;

pub async fn run(settings: Serve) -> Result<()> {
    let config = windlass_db::Config {
        durability: settings.durability,
        engine: windlass_engine_config(&settings),
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

    let listening = windlass_server::Config {
        tcp: vec![settings.bind.clone()],
        unix: settings.unixsocket.clone(),
        ..windlass_server::Config::default()
    };
    let server = Server::bind(listening, database.clone()).map_err(|error| Failure::new(CONFIGURATION, error))?;
    for address in server.addresses() {
        println!("ready on {address}, data in {path}");
    }
    server.run_until(stop_signal()).await?;
    database.stop()?;
    Ok(())
}

fn windlass_engine_config(settings: &Serve) -> windlass_db::EngineConfig {
    windlass_db::EngineConfig {
        password: settings.password.clone(),
        memory_max: settings.memory_max,
        seed: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "seed"),
        ..windlass_db::EngineConfig::default()
    }
}

fn report(recovery: &Recovery) {
    if recovery.records > 0 {
        eprintln!("replayed {} records, {} bytes, in {} ms", recovery.records, recovery.bytes, recovery.millis);
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
    let [mut terminate, mut interrupt] = kinds.map(|kind| signal(kind).expect("the system lets us listen to signals"));
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
