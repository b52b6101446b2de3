//! `windlass queue`: what waits where, pause and resume.

use serde_json::json;
use windlass::QueueRemoval;

use super::{client, client_to_put, done};
use crate::args::{KindsTaken, QueueCommand};
use crate::exit::{FAILURE, Failure, Result};
use crate::output;
use crate::settings::Store;

pub async fn run(command: QueueCommand, store: &Store) -> Result<()> {
    let client = match command {
        QueueCommand::Ls | QueueCommand::Resume { .. } | QueueCommand::Rm { .. } => client(store).await?,
        QueueCommand::Kinds { .. } | QueueCommand::Pause { .. } => client_to_put(store).await?,
    };
    let inspector = client.inspector();
    match command {
        QueueCommand::Ls => {
            let queues = inspector.queues().await?;
            if store.json {
                for queue in &queues {
                    output::json(&json!({
                        "name": queue.name, "enqueued": queue.enqueued, "in_lanes": queue.in_lanes, "active": queue.active,
                        "paused": queue.is_paused, "asks_for_kinds": queue.asks_for_kinds, "ruled": queue.is_ruled,
                        "oldest_ms": queue.oldest_ms,
                    }))?;
                }
                return Ok(());
            }
            if queues.is_empty() {
                output::line(format_args!(
                    "no queues in the namespace {} of {}",
                    store.namespace,
                    store.shown()
                ))?;
                return Ok(());
            }
            let rows: Vec<_> = queues
                .iter()
                .map(|queue| {
                    let asks = queue.asks_for_kinds;
                    let unusual = [
                        (queue.is_paused, "paused"),
                        (asks && !queue.is_ruled, "known kinds"),
                        (asks && queue.is_ruled, "any kinds, for it has limits or lanes"),
                    ];
                    let unusual = unusual.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
                    let unusual = unusual.collect::<Vec<_>>().join(", ");
                    let counts =
                        [queue.enqueued, queue.in_lanes, queue.active].map(|count| count.to_string());
                    let [enqueued, in_lanes, active] = counts;
                    [queue.name.clone(), enqueued, in_lanes, active, unusual]
                })
                .collect();
            output::table(["queue", "enqueued", "in lanes", "active", ""], &rows)
        }
        QueueCommand::Rm { queue, with_jobs } => {
            let removed = if with_jobs { inspector.clear_queue(&queue).await? } else { 0 };
            let jobs = |count| if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") };
            let problem = match inspector.remove_queue(&queue).await? {
                QueueRemoval::Removed => {
                    let sentence = match with_jobs {
                        true => format!("{queue} is forgotten, and {} of it are removed", jobs(removed)),
                        false => format!("{queue} is forgotten"),
                    };
                    return done(store, &sentence, &json!({ "forgotten": queue, "removed_jobs": removed }));
                }
                QueueRemoval::HasJobs(count) => {
                    format!(
                        "{queue} has {} that wait or run; --with-jobs removes those that do not run",
                        jobs(count)
                    )
                }
                QueueRemoval::HasWorkers(count) => {
                    format!("workers take from {queue} ({count} of them); stop them first")
                }
                _ => format!("there is no queue {queue}"),
            };
            Err(Failure::new(FAILURE, anyhow::anyhow!(problem)))
        }
        QueueCommand::Kinds { queue, which } => {
            let asks = which == KindsTaken::Known;
            let is_new = inspector.ask_for_kinds(&queue, asks).await?;
            let is_ruled = asks && inspector.queue(&queue).await?.is_ruled;
            let sentence = match asks {
                true if is_ruled => format!(
                    "{queue} gives jobs to workers that know their kinds once it has no limits and lanes any more; until \
                     then it gives any job to any worker"
                ),
                true => format!("{queue} gives jobs to workers that know their kinds"),
                false => format!("{queue} gives any job to any worker"),
            };
            done(
                store,
                &sentence,
                &json!({ "queue": queue, "asks_for_kinds": asks, "ruled": is_ruled, "changed": is_new }),
            )
        }
        QueueCommand::Pause { queue } => {
            inspector.pause(&queue).await?;
            done(store, &format!("{queue} is paused: nothing is taken from it"), &json!({ "paused": queue }))
        }
        QueueCommand::Resume { queue } => {
            let was_paused = inspector.resume(&queue).await?;
            let sentence =
                if was_paused { format!("{queue} goes on") } else { format!("{queue} was not paused") };
            done(store, &sentence, &json!({ "resumed": queue, "was_paused": was_paused }))
        }
    }
}
