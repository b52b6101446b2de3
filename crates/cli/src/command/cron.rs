//! `windlass cron`: list, add, pause, resume, remove, run.

use serde_json::json;
use serde_json::value::RawValue;
use windlass::{CatchUp, Cron, CronInfo, Crontab, Overlap, Push};

use super::job::{time, usage};
use super::{client, client_to_put, done};
use crate::args::{CronAddArgs, CronCommand};
use crate::exit::{Failure, Result};
use crate::output;
use crate::settings::Store;

pub async fn run(command: CronCommand, store: &Store) -> Result<()> {
    match command {
        CronCommand::Ls => list(&client(store).await?.cron(), store).await,
        CronCommand::Add(add) => {
            // Read before connecting: a typing mistake is to cost nothing.
            let cron = parse(&add)?;
            let crontab = client_to_put(store).await?.cron();
            let has_changed = crontab.put(&cron).await?;
            // As the store has it: a changed entry may be paused, or go on with the time it had.
            let entry = crontab.list().await?.into_iter().find(|entry| entry.name == add.name);
            let next = entry.and_then(|entry| entry.next_ms);
            let what = if has_changed { "is put" } else { "was there already" };
            let when = next.map_or("it is paused".into(), |_| format!("it runs next at {}", time(next)));
            let sentence = format!("{} {what}; {when}", add.name);
            done(store, &sentence, &json!({ "put": add.name, "changed": has_changed, "next_ms": next }))
        }
        CronCommand::Pause { name } => {
            let was_running = client(store).await?.cron().pause(&name).await?;
            let sentence = if was_running {
                format!("{name} is paused: nothing is pushed for it")
            } else {
                format!("{name} was paused already")
            };
            done(store, &sentence, &json!({ "paused": name, "was_paused": !was_running }))
        }
        CronCommand::Resume { name } => {
            let was_paused = client(store).await?.cron().resume(&name).await?;
            let sentence =
                if was_paused { format!("{name} goes on") } else { format!("{name} was not paused") };
            done(store, &sentence, &json!({ "resumed": name, "was_paused": was_paused }))
        }
        CronCommand::Rm { name } => {
            if !client(store).await?.cron().remove(&name).await? {
                return Err(windlass::Error::NoCron(name).into());
            }
            done(store, &format!("{name} is removed"), &json!({ "removed": name }))
        }
        CronCommand::Run { name } => {
            let id = client(store).await?.cron().run_now(&name).await?;
            output::pushed(store.json, id.as_str(), windlass::Pushed::New)
        }
    }
}

fn parse(add: &CronAddArgs) -> Result<Cron> {
    let args = RawValue::from_string(add.args.clone()).map_err(|error| {
        usage(format!("--args is no JSON ({error}); text needs quotes of its own: '\"text\"'"))
    })?;
    let catch_up = match add.catch_up.split_once(':') {
        None if add.catch_up == "skip" => CatchUp::Skip,
        None if add.catch_up == "once" => CatchUp::Once,
        Some(("all", most)) => CatchUp::All(most.parse().map_err(|_| not_a_policy(&add.catch_up))?),
        _ => return Err(not_a_policy(&add.catch_up)),
    };
    let overlap = match add.overlap.as_str() {
        "allow" => Overlap::Allow,
        "skip" => Overlap::Skip,
        other => return Err(usage(format!("--overlap is `{other}`, not allow or skip"))),
    };
    let build = || {
        Cron::new(&add.name, &add.spec)?
            .zone(&add.zone)?
            .jitter(add.jitter)?
            .catch_up(catch_up)?
            .overlap(overlap)
            .raw(&add.kind, &args, Push::new().queue(&add.queue))
    };
    build().map_err(|error: windlass::Error| usage(error.to_string()))
}

fn not_a_policy(text: &str) -> Failure {
    usage(format!("--catch-up is `{text}`, not skip, once or all:N, such as all:5"))
}

async fn list(crontab: &Crontab, store: &Store) -> Result<()> {
    let entries = crontab.list().await?;
    if store.json {
        return entries.iter().try_for_each(|entry| output::json(&describe(entry)));
    }
    if entries.is_empty() {
        output::line(format_args!(
            "no cron entries in the namespace {} of {}",
            store.namespace,
            store.shown()
        ))?;
        return Ok(());
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let next = if entry.is_paused { "paused".into() } else { time(entry.next_ms) };
            [
                entry.name.clone(),
                entry.spec.clone(),
                entry.zone.clone(),
                entry.kind.clone(),
                next,
                time(entry.last_ms),
                entry.problem.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(["name", "when", "zone", "kind", "next", "last", ""], &rows)
}

fn describe(entry: &CronInfo) -> serde_json::Value {
    json!({
        "name": entry.name,
        "spec": entry.spec,
        "zone": entry.zone,
        "jitter_ms": u64::try_from(entry.jitter.as_millis()).unwrap_or(u64::MAX),
        "catch_up": entry.catch_up,
        "overlap": entry.overlap,
        "kind": entry.kind,
        "queue": entry.queue,
        "paused": entry.is_paused,
        "next_ms": entry.next_ms,
        "last_ms": entry.last_ms,
        "last_id": entry.last_id,
        "problem": entry.problem,
    })
}
