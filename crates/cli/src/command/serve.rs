//! `windlass serve`: a directory's database over sockets.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use windlass_conn::Connection;
use windlass_db::{Database, Loaded, Recovery};
use windlass_server::Server;

use crate::exit::{CANNOT_CONNECT, CONFIGURATION, FORCED, Failure, Result};
use crate::keep::Keeper;
use crate::output;
use crate::settings::Serve;

/// The files that the process opens besides one for each client.
const FILES_RESERVED: u64 = 64;

pub async fn run(mut settings: Serve) -> Result<()> {
    settings.engine.seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "seed");
    settings.engine.clients.count_max = allow_clients(settings.engine.clients.count_max);
    let password = settings.engine.password.clone();
    let config = windlass_db::Config {
        durability: settings.durability,
        rewrite_bytes_per_s: settings.rewrite_bytes_per_s,
        preimage_bytes_max: settings.preimage_bytes_max,
        engine: settings.engine,
        ..windlass_db::Config::default()
    };
    let (database, opening) = match settings.dir.clone() {
        Some(directory) => {
            let taken = config.clone();
            let begun = tokio::task::spawn_blocking(move || Database::begin(directory, taken)).await?;
            let (database, opening) = begun.map_err(refused)?;
            (database, Some(opening))
        }
        None => (Database::memory(config.clone()).map_err(refused)?, None),
    };
    configure(&database, &settings.config)?;
    if let Some(path) = settings.file {
        let keeper = Keeper::new(path, password);
        database.on_config_rewrite(move |settings| keeper.keep(settings));
    }
    let server = Server::bind(settings.listen, database.clone())
        .map_err(|error| Failure::new(CONFIGURATION, error))?;
    let addresses = server.addresses().to_vec();
    let asked = database.shutdown_requested();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut until = stopped.clone();
    // Clients are let in from here on: they are told that the data is being read.
    let serving = server.run_until(async move {
        let _ = until.wait_for(|is_stopped| *is_stopped).await;
    });
    let path = settings.dir.map(|directory| directory.to_string_lossy().into_owned());
    let working = async {
        let mut progress = Replaying::default();
        // Processes that open the directory by its path are let in, as they are into any other that owns one, and wait for
        // the replay as clients do. Their way in ends before the directory is free.
        let _door = match &opening {
            Some(_) => Some(Connection::letting_in(database.clone())?),
            None => None,
        };
        let replay = tokio::task::spawn_blocking(move || {
            opening.map(|mut opening| opening.replay(|loaded| progress.show(loaded))).transpose()
        });
        let ending = async {
            tokio::select! {
                () = stop_signal() => {}
                () = asked => {}
            }
        };
        tokio::pin!(ending);
        let recovery = tokio::select! {
            replayed = replay => replayed?.map_err(refused)?,
            () = &mut ending => return Ok(()),
        };
        if let Some(recovery) = recovery {
            report(&recovery);
        }
        for address in &addresses {
            let ready = format!("ready on {address}, data in {}", path.as_deref().unwrap_or("memory"));
            // Clients are served, whoever reads this or does not.
            if let Err(failure) = output::line(&ready) {
                output::note(format_args!("{ready} ({})", failure.error));
            }
        }
        ending.await;
        Ok(())
    };
    let work = async {
        let worked: Result<()> = working.await;
        // Who serves clients has ended already when that is why.
        let _ = stop.send(true);
        worked
    };
    let (served, worked) = tokio::join!(serving, work);
    worked?;
    served?;
    if database.is_busy() && database.is_shutdown_asked() {
        // A client asked not to wait for a script that cannot be stopped. Nothing of it is logged, and what ran before
        // it was answered only once it was safe.
        output::note("ended by SHUTDOWN NOSAVE in the midst of a script");
        std::process::exit(0);
    }
    database.stop()?;
    Ok(())
}

/// Sets what the settings file has under the names of CONFIG SET.
fn configure(database: &Database, settings: &BTreeMap<String, String>) -> Result<()> {
    for (name, value) in settings {
        let problem = |why| anyhow!("the setting `{name}` under [serve.config] was refused: {why}");
        database.configure(name, value).map_err(|why| Failure::new(CONFIGURATION, problem(why)))?;
    }
    Ok(())
}

fn refused(error: windlass_db::Error) -> Failure {
    match error {
        windlass_db::Error::Owned { .. } => Failure::new(CANNOT_CONNECT, error),
        other => Failure::new(CONFIGURATION, other),
    }
}

/// Says how far a long replay is: a bar on a terminal, elsewhere a line a second.
struct Replaying {
    started: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

/// A replay that is shorter is not worth a word.
const QUIET: Duration = Duration::from_millis(300);
const LINE_INTERVAL: Duration = Duration::from_secs(1);
const BAR_INTERVAL: Duration = Duration::from_millis(100);
const BAR_WIDTH: u64 = 30;

impl Default for Replaying {
    fn default() -> Self {
        Self { started: Instant::now(), shown: None, is_terminal: std::io::stderr().is_terminal() }
    }
}

impl Replaying {
    fn show(&mut self, loaded: Loaded) {
        let interval = if self.is_terminal { BAR_INTERVAL } else { LINE_INTERVAL };
        if self.started.elapsed() < QUIET || self.shown.is_some_and(|shown| shown.elapsed() < interval) {
            return;
        }
        self.shown = Some(Instant::now());
        let (bytes, total) = (loaded.bytes.min(loaded.bytes_total), loaded.bytes_total.max(1));
        let line = format!("replayed {} of {} MB, {} records", bytes >> 20, total >> 20, loaded.records);
        // Whoever looks on is told; when nobody can be, the work goes on.
        if self.is_terminal {
            let filled = (bytes * BAR_WIDTH / total) as usize;
            let bar = "#".repeat(filled) + &".".repeat(BAR_WIDTH as usize - filled);
            let _ = write!(std::io::stderr(), "\r\x1b[K[{bar}] {line}");
        } else {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

impl Drop for Replaying {
    fn drop(&mut self) {
        if self.is_terminal && self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
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
        output::note(format_args!(
            "serving at most {possible} clients, not {wanted}: this process may open {files} files (`ulimit -n`)"
        ));
    }
    possible
}

fn report(recovery: &Recovery) {
    if recovery.records > 0 {
        output::note(format_args!(
            "replayed {} records, {} bytes, in {} ms",
            recovery.records, recovery.bytes, recovery.millis
        ));
    }
    if let Some(cut) = &recovery.cut {
        output::note(format_args!(
            "cut the end of {} at byte {}: {} bytes that are not whole. Under `always` nothing acknowledged is among \
             them, unless the file was copied in part or its disk changed it; under `everysec` and `none` a power cut \
             takes what it had not synced",
            cut.file.display(),
            cut.offset,
            cut.bytes
        ));
    }
}

/// Signals within this time are one: `timeout` sends its own to the process and to the group that the process is in, and
/// one inside another does so twice.
pub const ONE_SIGNAL: Duration = Duration::from_millis(100);

/// Ends at the first TERM or INT; a second one ends the process.
async fn stop_signal() {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
    let [mut terminate, mut interrupt] =
        kinds.map(|kind| signal(kind).expect("the system lets us listen to signals"));
    let mut asked = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    asked().await;
    let first = Instant::now();
    output::note("stopping; once more forces it");
    tokio::spawn(async move {
        asked().await;
        while first.elapsed() < ONE_SIGNAL {
            asked().await;
        }
        Failure::new(FORCED, anyhow!("forced to stop")).report();
        std::process::exit(i32::from(FORCED));
    });
}
