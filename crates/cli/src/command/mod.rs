//! What each command does. A command is a file here and its arm in [`run`].

use anyhow::anyhow;
use windlass::{Client, Config};
use windlass_conn::Connection;

use crate::args::{Args, BenchCommand, Command};
use crate::exit::{CANNOT_CONNECT, CONFIGURATION, Failure, Result, USAGE};
use crate::settings::{self, Store};
use crate::{bench, output};

mod backup;
mod check;
mod cron;
mod export;
mod job;
mod limit;
mod queue;
mod serve;
mod transfer;

/// Runs a parsed command line to its end.
pub fn run(args: Args) -> Result<()> {
    if let Some(instead) = args.command.instead_of_store().filter(|_| args.store.store.is_some()) {
        return Err(Failure::new(USAGE, anyhow!("--store is not for this command: {instead}")));
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("WINDLASS_LOG")
                .unwrap_or_else(|_| args.command.log_level().into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match args.command {
            Command::Serve(serve) => serve::run(settings::serve(*serve)?).await,
            Command::Job(command) => job::run(command, &settings::store(&args.store)?).await,
            Command::Queue(command) => queue::run(command, &settings::store(&args.store)?).await,
            Command::Limit(command) => limit::run(command, &settings::store(&args.store)?).await,
            Command::Cron(command) => cron::run(command, &settings::store(&args.store)?).await,
            Command::Backup(command) => backup::run(command, args.store.json).await,
            Command::Check(command) => check::check(command, args.store.json).await,
            Command::Repair(command) => check::repair(command, args.store.json).await,
            Command::Export(command) => {
                let pattern = scope(command.pattern.clone(), args.store.namespace.as_deref())?;
                export::export(command, pattern, &settings::store(&args.store)?).await
            }
            Command::Import(command) => {
                let pattern = scope(command.pattern.clone(), args.store.namespace.as_deref())?;
                export::import(command, pattern, &settings::store(&args.store)?).await
            }
            Command::Move(command) => {
                let pattern = scope(command.pattern.clone(), args.store.namespace.as_deref())?;
                transfer::run(command, pattern, &settings::store(&args.store)?).await
            }
            Command::Bench(BenchCommand::Jobs(bench)) => {
                bench::jobs::run(&bench, &settings::store(&args.store)?).await
            }
            Command::Bench(BenchCommand::Features(bench)) => {
                bench::features::run(&bench, &settings::store(&args.store)?).await
            }
            Command::Bench(BenchCommand::Store(bench)) => bench::store::run(&bench, args.store.json).await,
            #[cfg(feature = "torture")]
            Command::Torture(torture) => crate::torture::run(torture, &args.store).await,
            Command::Completion { shell } => {
                let mut command = <Args as clap::CommandFactory>::command();
                clap_complete::generate(shell, &mut command, "windlass", &mut std::io::stdout());
                Ok(())
            }
        }
    })
}

/// The pattern of the keys that a command is about; none for all.
fn scope(pattern: Option<String>, namespace: Option<&str>) -> Result<Option<String>> {
    match (pattern, namespace) {
        (Some(_), Some(_)) => {
            Err(Failure::new(USAGE, anyhow!("--match and --namespace narrow in two ways; give one of them")))
        }
        (None, Some(namespace)) => {
            let keys = windlass::Keys::new(namespace).map_err(|error| Failure::new(CONFIGURATION, error))?;
            Ok(Some(keys.pattern()))
        }
        (pattern, None) => Ok(pattern),
    }
}

/// A connection to the store; a directory that this process is the first to open acknowledges after the sync.
pub async fn connect(store: &Store) -> Result<Connection> {
    connect_with(store, windlass_db::Durability::Always).await
}

/// As [`connect`], with the durability of a directory.
pub async fn connect_with(store: &Store, durability: windlass_db::Durability) -> Result<Connection> {
    open(store, windlass_db::Config { durability, ..windlass_db::Config::default() }).await
}

/// As [`connect`], to carry what is there to another place: a directory's leases stay as they are.
pub async fn connect_to_carry(store: &Store) -> Result<Connection> {
    open(store, windlass_db::Config { forgives_absence: false, ..windlass_db::Config::default() }).await
}

async fn open(store: &Store, database: windlass_db::Config) -> Result<Connection> {
    let config = windlass_conn::Config {
        database,
        ca_file: store.ca_file.clone(),
        ..windlass_conn::Config::default()
    };
    Connection::open_with(&store.url, config).await.map_err(|error| match windlass_conn::Error::of(&error) {
        Some(
            own @ (windlass_conn::Error::BadUrl { .. }
            | windlass_conn::Error::MissingFeature { .. }
            | windlass_conn::Error::Store(_)),
        ) => Failure::new(CONFIGURATION, own.clone()),
        Some(own) => Failure::new(CANNOT_CONNECT, own.clone()),
        None => Failure::new(
            CANNOT_CONNECT,
            anyhow!(error).context(format!("cannot use the store {}", store.url)),
        ),
    })
}

/// A client of the store's namespace.
async fn client(store: &Store) -> Result<Client> {
    let config = Config { namespace: store.namespace.clone(), ..Config::default() };
    config.validate().map_err(|error| Failure::new(CONFIGURATION, error))?;
    Ok(Client::with_config(connect(store).await?, config).await?)
}

/// Says what was done: a sentence, or its JSON.
fn done(store: &Store, sentence: &str, json: &serde_json::Value) -> Result<()> {
    if store.json {
        return output::json(json);
    }
    println!("{sentence}");
    Ok(())
}
