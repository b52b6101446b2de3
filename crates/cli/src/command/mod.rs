//! What each command does. A command is a file here and its arm in [`run`].

use anyhow::anyhow;
use tokio::sync::Mutex;
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

pub use serve::ONE_SIGNAL;

/// Runs a parsed command line to its end.
pub fn run(args: Args) -> Result<()> {
    if let Some(refusal) = args.command.refuse(&args.store) {
        return Err(Failure::new(USAGE, anyhow!(refusal)));
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("WINDLASS_LOG")
                .unwrap_or_else(|_| args.command.log_level().into()),
        )
        .with_writer(std::io::stderr)
        // It would panic where standard error is closed or full.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match args.command {
            Command::Serve(serve) => serve::run(settings::serve(*serve)?).await,
            Command::Job(command) => {
                let store = settings::store(&args.store)?;
                recorded(&store, job::run(command, &store)).await
            }
            Command::Queue(command) => {
                let store = settings::store(&args.store)?;
                recorded(&store, queue::run(command, &store)).await
            }
            Command::Limit(command) => limit::run(command, &settings::store(&args.store)?).await,
            Command::Cron(command) => {
                let store = settings::store(&args.store)?;
                recorded(&store, cron::run(command, &store)).await
            }
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
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command, "windlass", &mut script);
                output::text(&script)
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

/// Whether a directory has to be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// It is made when it is not.
    Made,
    /// The command is about what is in it: one of a misspelt name is refused, not made.
    Found,
}

/// A connection to the store, with the durability of a directory that this process is the first to open.
pub async fn connect(store: &Store, durability: windlass_db::Durability) -> Result<Connection> {
    open(store, windlass_db::Config { durability, ..windlass_db::Config::default() }, Directory::Made).await
}

/// A connection to carry what is there to another place: a directory's leases stay as they are.
pub async fn connect_to_carry(store: &Store, directory: Directory) -> Result<Connection> {
    let database = windlass_db::Config { forgives_absence: false, ..windlass_db::Config::default() };
    open(store, database, directory).await
}

async fn open(store: &Store, database: windlass_db::Config, directory: Directory) -> Result<Connection> {
    let config = windlass_conn::Config {
        database,
        makes_directory: directory == Directory::Made,
        ca_file: store.ca_file.clone(),
        ..windlass_conn::Config::default()
    };
    Connection::open_with(&store.url, config).await.map_err(|error| match windlass_conn::Error::of(&error) {
        Some(
            own @ (windlass_conn::Error::BadUrl { .. }
            | windlass_conn::Error::MissingFeature { .. }
            | windlass_conn::Error::NoStore { .. }
            | windlass_conn::Error::Store(_)),
        ) => Failure::new(CONFIGURATION, own.clone()),
        Some(own) => Failure::new(CANNOT_CONNECT, own.clone()),
        None => Failure::new(
            CANNOT_CONNECT,
            anyhow!(error).context(format!("cannot use the store {}", store.shown())),
        ),
    })
}

/// A client of the store's namespace, for a command about what is there.
async fn client(store: &Store) -> Result<Client> {
    client_of(store, Directory::Found).await
}

/// As [`client`], for a command that puts something there.
async fn client_to_put(store: &Store) -> Result<Client> {
    client_of(store, Directory::Made).await
}

async fn client_of(store: &Store, directory: Directory) -> Result<Client> {
    if store.is_memory() {
        let error = anyhow!(
            "{} begins empty and is gone when this command ends: name a directory or a server with --store",
            store.url
        );
        return Err(Failure::new(CONFIGURATION, error));
    }
    let config = Config { namespace: store.namespace.clone(), ..Config::default() };
    config.validate().map_err(|error| Failure::new(CONFIGURATION, error))?;
    let connection = open(store, windlass_db::Config::default(), directory).await?;
    let client = Client::with_config(connection, config).await?;
    let (client, _) = store.opened.get_or_init(|| (client.clone(), Mutex::new(client.subscribe(EVENTS_MAX))));
    Ok(client.clone())
}

/// Most events of one command that are recorded.
const EVENTS_MAX: usize = 20_000;

/// Runs a command, and adds what it did to the stored events of a namespace whose workers record them.
async fn recorded(store: &Store, command: impl Future<Output = Result<()>>) -> Result<()> {
    let outcome = command.await;
    if let Some((client, events)) = store.opened.get() {
        let mut events = events.lock().await;
        if let Err(error) = client.inspector().record("windlass", &mut events).await {
            output::note(format_args!("it is not among the stored events: {error}"));
        }
    }
    outcome
}

/// Says what was done: a sentence, or its JSON.
fn done(store: &Store, sentence: &str, json: &serde_json::Value) -> Result<()> {
    output::done(store.json, sentence, json)
}
