//! `windlass job`: push, show, list, and what changes a job.

use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use windlass::{
    Details, Edit, Edited, Ending, Filter, History, Inspector, JobId, Progress, Push, Pushed, Requeued,
    Rescheduled, State,
};

use super::{client, client_to_put, done};
use crate::args::{JobCommand, PushArgs};
use crate::exit::{Failure, Result, USAGE};
use crate::output;
use crate::settings::Store;

pub async fn run(command: JobCommand, store: &Store) -> Result<()> {
    match command {
        JobCommand::Push(args) => push(*args, store).await,
        JobCommand::Show { id } => {
            let id = parse(&id)?;
            let inspector = client(store).await?.inspector();
            let details = inspector.show(&id).await?;
            let details =
                details.ok_or_else(|| anyhow!("no job {id}: it never was, or has ended and is forgotten"))?;
            let progress = inspector.progress(&id).await?;
            show(&details, progress.as_ref(), store)
        }
        JobCommand::Retry { id: None, all: _, state, kind, queue } => {
            let filter = Filter { state: parse_state(&state)?, kind, queue };
            let Requeued { moved, kept_out, .. } =
                client(store).await?.inspector().retry_all(&filter).await?;
            let are = |count: u64| if count == 1 { " is" } else { "s are" };
            let mut sentence = format!("{moved} job{} enqueued", are(moved));
            if kept_out > 0 {
                sentence += &format!(", {kept_out} job{} left: an equal one is there", are(kept_out));
            }
            done(store, &sentence, &json!({ "enqueued": moved, "kept_out": kept_out }))
        }
        JobCommand::Retry { id: Some(id), .. } => {
            let id = parse(&id)?;
            if !client(store).await?.inspector().retry(&id).await? {
                return Err(anyhow!("no job {id} is scheduled, waiting to be retried, parked or dead").into());
            }
            done(store, &format!("{id} is in its queue now"), &json!({ "enqueued": id.as_str() }))
        }
        JobCommand::Cancel { id } => {
            let id = parse(&id)?;
            let ending = client(store).await?.inspector().cancel(&id).await?;
            ended(store, &id, ending, "cancelled")
        }
        JobCommand::Kill { id } => {
            let id = parse(&id)?;
            let ending = client(store).await?.inspector().kill(&id).await?;
            ended(store, &id, ending, "dead")
        }
        JobCommand::Reschedule { id, delay, time: at } => {
            let id = parse(&id)?;
            let inspector = client(store).await?.inspector();
            let (due, rescheduled) = match at {
                Some(at) => {
                    let due = jiff::Timestamp::try_from(at).map_err(|error| usage(error.to_string()))?;
                    (format!("at {due}"), inspector.reschedule_at(&id, at).await?)
                }
                None => {
                    let delay = delay.unwrap_or_default();
                    (format!("in {delay:?}"), inspector.reschedule_in(&id, delay).await?)
                }
            };
            match rescheduled {
                Rescheduled::Scheduled => {
                    done(store, &format!("{id} is due {due}"), &json!({ "scheduled": id.as_str() }))
                }
                Rescheduled::Active => Err(runs(&id)),
                _ => Err(missing(&id)),
            }
        }
        JobCommand::Edit { id, args, priority, max_attempts, expires_in, retry } => {
            let id = parse(&id)?;
            let mut edit = if retry { Edit::new().retry() } else { Edit::new() };
            if let Some(args) = args {
                edit = edit.args(&parse_args(args)?);
            }
            edit = priority.into_iter().fold(edit, Edit::priority);
            edit = max_attempts.into_iter().fold(edit, Edit::max_attempts);
            if let Some(time) = expires_in {
                edit = match SystemTime::now().checked_add(time) {
                    Some(at) => edit.expires_at(at),
                    None => edit.never_expires(),
                };
            }
            let edited = client(store).await?.inspector().edit_with(&id, edit).await?;
            let (sentence, name) = match edited {
                Edited::Edited => ("is changed", "edited"),
                Edited::Enqueued => ("is changed and in its queue now", "enqueued"),
                Edited::Repushed => {
                    ("was taken out of its queue, changed, and is the last one there now", "repushed")
                }
                Edited::Active => return Err(runs(&id)),
                _ => return Err(missing(&id)),
            };
            done(store, &format!("{id} {sentence}"), &json!({ name: id.as_str() }))
        }
        JobCommand::Rm { id } => {
            let id = parse(&id)?;
            match client(store).await?.inspector().remove(&id).await? {
                Some(true) => done(store, &format!("{id} is removed"), &json!({ "removed": id.as_str() })),
                Some(false) => Err(missing(&id)),
                None => Err(runs(&id)),
            }
        }
        JobCommand::Ls { state, queue, tags, limit } => {
            let state = parse_state(&state)?;
            list(&client(store).await?.inspector(), state, &queue, &tags, limit, store).await
        }
    }
}

async fn push(push: PushArgs, store: &Store) -> Result<()> {
    let PushArgs { kind, queue, args, delay, time, key, unique, unique_key, .. } = push;
    let PushArgs {
        unique_fields,
        replace,
        refuse,
        expires_in,
        priority,
        front,
        group,
        tags,
        metas,
        trace,
        ..
    } = push;
    let args = parse_args(args)?;
    let mut options = Push::new().queue(queue);
    if let Some(delay) = delay {
        options = options.delay(delay);
    }
    if let Some(time) = time {
        options = options.at(time);
    }
    if let Some(key) = key {
        options = options.key(key);
    }
    if let Some(mut unique) = unique {
        if let Some(key) = unique_key {
            unique = unique.by_key(key);
        }
        if !unique_fields.is_empty() {
            unique = unique.by_fields(unique_fields);
        }
        if replace {
            unique = unique.replace();
        }
        options = options.unique(if refuse { unique.refuse() } else { unique });
    }
    if let Some(time) = expires_in {
        options = options.expires_in(time);
    }
    if let Some(priority) = priority {
        options = options.priority(priority);
    }
    if front {
        options = options.front();
    }
    if let Some(group) = group {
        options = options.group_key(group);
    }
    options = tags.into_iter().fold(options, Push::tag);
    options = metas.into_iter().fold(options, |options, (name, value)| options.meta(name, value));
    if let Some(trace) = trace {
        options = options.trace(trace);
    }
    options.check().map_err(|error| usage(error.to_string()))?;
    let handle = client_to_put(store).await?.push_raw(&kind, &args, options).await?;
    let (id, pushed) = (handle.id().as_str(), handle.pushed().unwrap_or(Pushed::New));
    output::pushed(store.json, id, pushed)?;
    match pushed {
        // Standard output is the id, whatever was done, for scripts to read.
        Pushed::Kept if !store.json => output::note(format_args!("{id} was there already and is unchanged")),
        Pushed::Replaced if !store.json => {
            output::note(format_args!("{id} was there already and has these arguments now"));
        }
        _ => {}
    }
    Ok(())
}

/// Says what became of a job that was to be ended.
fn ended(store: &Store, id: &JobId, ending: Ending, state: &str) -> Result<()> {
    match ending {
        Ending::Ended => done(store, &format!("{id} is {state}"), &json!({ state: id.as_str() })),
        Ending::Asked => {
            done(store, &format!("{id} is running and is asked to stop"), &json!({ "asked": id.as_str() }))
        }
        Ending::Active => Err(runs(id)),
        Ending::Over => Err(anyhow!("{id} has ended without success already").into()),
        _ => Err(missing(id)),
    }
}

fn runs(id: &JobId) -> Failure {
    anyhow!("{id} is running; wait until it has ended, or cancel it").into()
}

fn missing(id: &JobId) -> Failure {
    anyhow!("no job {id}: it never was, or has ended").into()
}

/// How many jobs are looked at for those with a tag: there is no index of tags.
const TAGGED_LOOKED_MAX: usize = 100_000;

/// How many jobs are asked for at once when most of them may be left out.
const PAGE: usize = 500;

async fn list(
    inspector: &Inspector,
    state: State,
    queue: &str,
    tags: &[String],
    limit: usize,
    store: &Store,
) -> Result<()> {
    let queue = matches!(state, State::Enqueued | State::Active).then_some(queue);
    let mut jobs: Vec<Details> = Vec::new();
    let (mut from, mut looked) = (None, 0);
    while jobs.len() < limit && looked < TAGGED_LOOKED_MAX {
        let left = limit - jobs.len();
        let count = if tags.is_empty() { left } else { PAGE };
        let page = inspector.list(state, queue, from.as_deref(), count).await?;
        looked += if tags.is_empty() { 0 } else { count };
        let is_asked_for = |job: &Details| tags.iter().all(|tag| job.tags.contains(tag));
        jobs.extend(page.jobs.into_iter().filter(is_asked_for).take(left));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if store.json {
        return jobs.iter().try_for_each(|job| output::json(&describe(job)?));
    }
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            let error =
                job.history.reason.clone().or_else(|| Some(job.history.errors.last()?.message.clone()));
            let error = error.unwrap_or_default().lines().next().unwrap_or_default().to_owned();
            let attempts = job.attempts.to_string();
            [job.id.to_string(), job.kind.clone(), job.tags.join(" "), attempts, time(job.at_ms), error]
        })
        .collect();
    if rows.is_empty() && !tags.is_empty() {
        output::line(format_args!("no jobs with the tag {} are {state}", tags.join(" and ")))?;
    } else if rows.is_empty() {
        output::line(format_args!("no jobs are {state}"))?;
    } else {
        output::table(["id", "kind", "tags", "attempts", "at", "error"], &rows)?;
    }
    if from.is_some() && jobs.len() < limit {
        output::line(format_args!("… only the first {looked} jobs were looked at"))?;
    } else if from.is_some() {
        output::line("… and more; ask with --limit")?;
    }
    Ok(())
}

fn show(job: &Details, progress: Option<&Progress>, store: &Store) -> Result<()> {
    if store.json {
        let mut described = describe(job)?;
        if let Some(Progress { percent, message, at_ms, log, .. }) = progress {
            let log: Vec<_> =
                log.iter().map(|line| json!({ "at_ms": line.at_ms, "text": line.text })).collect();
            described.progress =
                Some(json!({ "percent": percent, "message": message, "at_ms": at_ms, "log": log }));
        }
        return output::json(&described);
    }
    output::line(format_args!("id        {}", job.id))?;
    output::line(format_args!("state     {}", job.state))?;
    output::line(format_args!("kind      {}", job.kind))?;
    output::line(format_args!("attempts  {}", job.attempts))?;
    if !job.tags.is_empty() {
        output::line(format_args!("tags      {}", job.tags.join(", ")))?;
    }
    for (name, value) in &job.meta {
        output::line(format_args!("meta      {name} {value}"))?;
    }
    if let Some(worker) = &job.worker {
        output::line(format_args!("worker    {worker}"))?;
    }
    if job.at_ms.is_some() {
        output::line(format_args!("at        {}", time(job.at_ms)))?;
    }
    if let Some(lane) = &job.lane {
        output::line(format_args!("lane      {lane}"))?;
        output::line(format_args!("waits for {}", job.waits_for.as_deref().unwrap_or("its turn")))?;
    }
    if let Some(reason) = &job.history.reason {
        output::line(format_args!("reason    {reason}"))?;
    }
    if let Some(result) = &job.result {
        output::line(format_args!("result    {result}"))?;
    }
    if let Some(progress) = progress {
        output::line(format_args!("progress  {} % {}", progress.percent, progress.message))?;
    }
    output::line(format_args!("envelope  {}", String::from_utf8_lossy(&job.envelope)))?;
    for error in &job.history.errors {
        output::line(format_args!("\n{} {}: {}", time(Some(error.at)), error.class, error.message))?;
        let took = error.took_ms.map(|took| format!(", after {:?}", Duration::from_millis(took)));
        if error.attempt > 0 {
            let (attempt, worker) = (error.attempt, &error.worker);
            output::line(format_args!("  attempt {attempt} of {worker}{}", took.unwrap_or_default()))?;
        }
        if let Some(backtrace) = &error.backtrace {
            output::line(backtrace)?;
        }
    }
    let log = progress.map(|progress| progress.log.as_slice()).unwrap_or_default();
    if !log.is_empty() {
        output::line("")?;
    }
    for line in log {
        output::line(format_args!("{} {}", time(Some(line.at_ms)), line.text))?;
    }
    Ok(())
}

/// A job as programs read it.
#[derive(Serialize)]
struct Described<'a> {
    id: &'a str,
    state: &'a str,
    kind: &'a str,
    attempts: u32,
    tags: &'a [String],
    meta: &'a serde_json::Map<String, serde_json::Value>,
    worker: Option<&'a str>,
    at_ms: Option<u64>,
    lane: Option<&'a str>,
    waits_for: Option<&'a str>,
    history: &'a History,
    result: Option<Box<RawValue>>,
    envelope: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<serde_json::Value>,
}

fn describe(job: &Details) -> Result<Described<'_>> {
    Ok(Described {
        id: job.id.as_str(),
        state: job.state.as_str(),
        kind: &job.kind,
        attempts: job.attempts,
        tags: &job.tags,
        meta: &job.meta,
        worker: job.worker.as_deref(),
        at_ms: job.at_ms,
        lane: job.lane.as_deref(),
        waits_for: job.waits_for.as_deref(),
        history: &job.history,
        result: job.result.as_ref().map(|result| raw(result.as_bytes())).transpose()?,
        envelope: raw(&job.envelope)?,
        progress: None,
    })
}

/// JSON as it stands there, so that its numbers stay what they are; what is no JSON is a text. In one line.
fn raw(text: &[u8]) -> Result<Box<RawValue>> {
    let text = String::from_utf8_lossy(text);
    // Within a text of JSON there is no line end, only between its parts.
    if let Ok(raw) = RawValue::from_string(text.replace(['\n', '\r'], " ")) {
        return Ok(raw);
    }
    Ok(serde_json::value::to_raw_value(&text)?)
}

/// Reads arguments before anything is connected: a typing mistake is to cost nothing.
fn parse_args(args: String) -> Result<Box<RawValue>> {
    RawValue::from_string(args).map_err(|error| {
        usage(format!("--args is no JSON ({error}); text needs quotes of its own: '\"text\"'"))
    })
}

fn parse_state(state: &str) -> Result<State> {
    State::parse(state).ok_or_else(|| {
        usage(format!(
            "unknown state `{state}`; it is enqueued, active, scheduled, retry, dead, parked, discarded or cancelled"
        ))
    })
}

fn parse(id: &str) -> Result<JobId> {
    JobId::parse(id).map_err(|error| usage(format!("{error}; an id looks like default/1700000000000-0")))
}

pub(super) fn usage(problem: String) -> Failure {
    Failure::new(USAGE, anyhow!(problem))
}

/// A moment in the form of RFC 3339, to the second, in UTC.
pub(super) fn time(at_ms: Option<u64>) -> String {
    let Some(at_ms) = at_ms else { return String::new() };
    let timestamp = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).unwrap_or(i64::MAX));
    timestamp.map_or_else(|_| at_ms.to_string(), |timestamp| timestamp.strftime("%FT%TZ").to_string())
}
