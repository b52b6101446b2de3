//! What was pushed: asked of the store, and asserted with messages that show what is there instead.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Sandbox;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::job::Pushable;
use crate::state::State;

/// Most jobs that a panic message lists.
const LISTED_MAX: usize = 20;

/// How many jobs one look at the store asks for.
const PAGE: usize = 200;

/// A job that waits to be run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Waiting {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its arguments.
    pub args: Value,
    /// What stands beside them.
    pub meta: serde_json::Map<String, Value>,
    /// Enqueued, scheduled or retry.
    pub state: State,
    /// When it is due, for one that waits for its time.
    pub due: Option<SystemTime>,
}

impl Waiting {
    /// Its queue.
    pub fn queue(&self) -> &str {
        self.id.queue()
    }

    fn line(&self, now: SystemTime) -> String {
        let due = self.due.map(|due| match due.duration_since(now) {
            Ok(left) => format!(", due in {left:?}"),
            Err(late) => format!(", due since {:?}", late.duration()),
        });
        let (queue, due) = (self.queue(), due.unwrap_or_default());
        format!("{} {} in {queue}, {}{due}", self.kind, self.args, self.state)
    }
}

impl Sandbox {
    /// Every job that waits to be run, ready ones first: each queue in its order, then by when they are due.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting(&self) -> Result<Vec<Waiting>> {
        let inspector = self.client().inspector();
        let mut waiting = Vec::new();
        let queues = inspector.queues().await?.into_iter().map(|queue| (State::Enqueued, Some(queue.name)));
        for (state, queue) in queues.chain([(State::Scheduled, None), (State::Retry, None)]) {
            let mut from: Option<String> = None;
            loop {
                let page = inspector.list(state, queue.as_deref(), from.as_deref(), PAGE).await?;
                for job in page.jobs {
                    waiting.push(read(job)?);
                }
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(waiting)
    }

    /// The jobs of a type that wait to be run.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting_of<J: Pushable<Style>, Style>(&self) -> Result<Vec<Waiting>> {
        let mut waiting = self.waiting().await?;
        waiting.retain(|job| job.kind == J::KIND);
        Ok(waiting)
    }

    /// Asserts that an equal job waits to be run.
    ///
    /// # Panics
    /// When none does; the message lists what does, and the nearest job part by part.
    #[track_caller]
    pub fn assert_pushed<J: Pushable<Style>, Style>(&self, job: &J) -> impl Future<Output = ()> {
        self.assert_found(job, String::new(), |_, _| true)
    }

    /// Asserts that an equal job waits in a queue.
    ///
    /// # Panics
    /// When none does.
    #[track_caller]
    pub fn assert_pushed_to<J: Pushable<Style>, Style>(
        &self,
        queue: &str,
        job: &J,
    ) -> impl Future<Output = ()> {
        self.assert_found(job, format!(" in {queue}"), move |job, _| job.queue() == queue)
    }

    /// Asserts that an equal job waits until this time has passed, to the millisecond.
    ///
    /// # Panics
    /// When none does.
    #[track_caller]
    pub fn assert_pushed_in<J: Pushable<Style>, Style>(
        &self,
        delay: Duration,
        job: &J,
    ) -> impl Future<Output = ()> {
        let is_due = move |job: &Waiting, now: SystemTime| {
            let due = now + delay;
            job.due.is_some_and(|at| {
                let apart = at.duration_since(due).unwrap_or_else(|early| early.duration());
                apart <= Duration::from_millis(1)
            })
        };
        self.assert_found(job, format!(", due in {delay:?}"), is_due)
    }

    /// Asserts how many jobs of a type wait to be run; 0 says that none was pushed.
    ///
    /// # Panics
    /// When it is another number.
    #[track_caller]
    pub fn assert_pushed_count<J: Pushable<Style>, Style>(&self, count: usize) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let (all, now) = (self.look().await, self.now());
            let found = all.iter().filter(|job| job.kind == J::KIND).count();
            assert!(
                found == count,
                "{caller}: {count} jobs of the kind `{}` should wait, {found} do\n{}",
                J::KIND,
                list(&all, now)
            );
        }
    }

    #[track_caller]
    fn assert_found<J: Pushable<Style>, Style>(
        &self,
        job: &J,
        how: String,
        is_so: impl Fn(&Waiting, SystemTime) -> bool,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let wanted = serde_json::to_value(job);
        async move {
            let wanted = wanted.expect("the arguments of the job are JSON");
            let (all, now) = (self.look().await, self.now());
            let same = |job: &&Waiting| job.kind == J::KIND && job.args == wanted;
            if all.iter().filter(same).any(|job| is_so(job, now)) {
                return;
            }
            let nearest = all.iter().filter(|job| job.kind == J::KIND);
            let nearest = nearest.min_by_key(|job| differences(&wanted, &job.args).len());
            let differences = nearest.map(|job| differences(&wanted, &job.args)).unwrap_or_default();
            panic!(
                "{caller}: no job `{}` {wanted}{how} waits\n{}{}",
                J::KIND,
                differences.join(""),
                list(&all, now)
            );
        }
    }

    async fn look(&self) -> Vec<Waiting> {
        self.waiting().await.expect("a store in memory answers")
    }
}

fn read(job: crate::inspector::Details) -> Result<Waiting> {
    let envelope =
        Envelope::parse(&job.envelope).map_err(|_| Error::Answer("an envelope that can be read"))?;
    Ok(Waiting {
        args: serde_json::from_str(envelope.args.get())?,
        meta: envelope.meta.unwrap_or_default(),
        id: job.id,
        kind: job.kind,
        state: job.state,
        due: job.at_ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms)),
    })
}

fn list(all: &[Waiting], now: SystemTime) -> String {
    if all.is_empty() {
        return "nothing waits".into();
    }
    let mut text = format!("{} jobs wait:\n", all.len());
    for job in all.iter().take(LISTED_MAX) {
        let _ = writeln!(text, "  {}", job.line(now));
    }
    if all.len() > LISTED_MAX {
        let _ = writeln!(text, "  and {} more", all.len() - LISTED_MAX);
    }
    text
}

/// In what two arguments differ, one line for each part of them.
fn differences(wanted: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("args", wanted, found, &mut lines);
    lines
}

fn compare(path: &str, wanted: &Value, found: &Value, lines: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let names = wanted.keys().chain(found.keys().filter(|name| !wanted.contains_key(*name)));
            for name in names {
                let of = |object: &serde_json::Map<_, _>| object.get(name).cloned().unwrap_or_default();
                compare(&format!("{path}.{name}"), &of(wanted), &of(found), lines);
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(&format!("{path}[{at}]"), wanted, found, lines);
            }
        }
        (wanted, found) if wanted != found => {
            lines.push(format!("  {path}: wanted {wanted}, found {found}\n"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_part_by_part() {
        let (wanted, found) = (
            serde_json::json!({"name": "Ada", "to": [1, 2], "same": null}),
            serde_json::json!({"name": "Bob", "to": [1, 3], "same": null, "more": true}),
        );
        let told = [
            "  args.more: wanted null, found true\n",
            "  args.name: wanted \"Ada\", found \"Bob\"\n",
            "  args.to[1]: wanted 2, found 3\n",
        ];
        let mut found = differences(&wanted, &found);
        found.sort();
        assert_eq!(found, told);
    }
}
