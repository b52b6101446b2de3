//! The kinds that a worker knows, and how each is run.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::context::Context;
use crate::envelope::{DEPTH_MAX, is_deep};
use crate::failure::{Failure, Fate, Outcome};
use crate::job::{BlockingJob, Job};
use crate::retry::Retry;

/// A running job; it answers its output as JSON, or nothing when no result is kept.
pub(super) type Running = Pin<Box<dyn Future<Output = Outcome<Vec<u8>>> + Send>>;

type RunAsync = Box<dyn Fn(&RawValue, Context, bool) -> Outcome<Running> + Send + Sync>;
type RunBlocking = Arc<dyn Fn(&RawValue, &Context, bool) -> Outcome<Vec<u8>> + Send + Sync>;

/// How jobs of one kind are run.
pub(super) struct Kind {
    pub(super) retry: fn(&Kind) -> Retry,
    fixed_retry: Retry,
    pub(super) run: Run,
    /// The latest version of its arguments that is known; a kind without a type knows all.
    version: u32,
}

/// Where jobs of a kind are run.
pub(super) enum Run {
    /// On the user's runtime.
    Async(RunAsync),
    /// On the worker's threads.
    Blocking(RunBlocking),
}

/// Kinds by their names.
#[derive(Default)]
pub(crate) struct Kinds {
    kinds: HashMap<String, Kind>,
    /// What cannot be used of them.
    unfit: BTreeSet<String>,
}

impl Kinds {
    /// The kind, if it is known in this version; otherwise its job waits for a worker that does. Code does not see
    /// arguments that are later than itself: it might read them as something else.
    pub(super) fn fit(&self, kind: &str, version: u32) -> Outcome<&Kind> {
        match self.get(kind) {
            None => Err(Failure::park(kind)),
            Some(known) if version > known.version => {
                Err(Failure::park_version(kind, version, known.version))
            }
            Some(known) => Ok(known),
        }
    }

    /// Each with its version, as the store is told.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut versions: Vec<_> =
            self.kinds.iter().map(|(name, kind)| format!("{name}:{}", kind.version)).collect();
        versions.sort();
        versions
    }

    pub(super) fn get(&self, kind: &str) -> Option<&Kind> {
        self.kinds.get(kind)
    }

    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.kinds.keys().cloned().collect();
        names.sort();
        names
    }

    /// What is wrong with them: of two pieces of code for one kind, nobody can say which is to run.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.unfit.iter().cloned()
    }

    pub(super) fn add_async<J: Job>(&mut self) {
        let run = |args: &RawValue, context: Context, keeps_result: bool| -> Outcome<Running> {
            let job: J = read_args(args)?;
            Ok(Box::pin(async move {
                let output = job.run(context).await?;
                if keeps_result { write_output(&output) } else { Ok(Vec::new()) }
            }))
        };
        self.add(J::KIND.into(), Run::Async(Box::new(run)), |_| J::retry(), Retry::default(), J::VERSION);
    }

    pub(super) fn add_blocking<J: BlockingJob>(&mut self) {
        let run = |args: &RawValue, context: &Context, keeps_result: bool| -> Outcome<Vec<u8>> {
            let job: J = read_args(args)?;
            let output = job.run(context)?;
            if keeps_result { write_output(&output) } else { Ok(Vec::new()) }
        };
        self.add(J::KIND.into(), Run::Blocking(Arc::new(run)), |_| J::retry(), Retry::default(), J::VERSION);
    }

    pub(super) fn add_raw<F, R>(&mut self, kind: String, retry: Retry, run: F)
    where
        F: Fn(Box<RawValue>, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome<Box<RawValue>>> + Send + 'static,
    {
        let run = move |args: &RawValue, context: Context, keeps_result: bool| -> Outcome<Running> {
            let running = run(args.to_owned(), context);
            Ok(Box::pin(async move {
                let output = running.await?;
                Ok(if keeps_result { output.get().as_bytes().to_vec() } else { Vec::new() })
            }))
        };
        self.add(kind, Run::Async(Box::new(run)), |kind| kind.fixed_retry.clone(), retry, u32::MAX);
    }

    #[cfg(all(unix, feature = "process"))]
    pub(super) fn add_process(&mut self, job: super::ProcessJob) {
        self.unfit.extend(job.problem());
        let (kind, retry, job) = (job.kind.clone(), job.retry.clone(), Arc::new(job));
        let run = move |args: &RawValue, context: Context, _: bool| -> Outcome<Running> {
            Ok(Box::pin(job.clone().run(args.to_owned(), context)))
        };
        self.add(kind, Run::Async(Box::new(run)), |kind| kind.fixed_retry.clone(), retry, u32::MAX);
    }

    fn add(&mut self, name: String, run: Run, retry: fn(&Kind) -> Retry, fixed_retry: Retry, version: u32) {
        if self.kinds.contains_key(&name) {
            self.unfit.insert(format!("the kind `{name}` is registered twice"));
        }
        self.kinds.insert(name, Kind { retry, fixed_retry, run, version });
    }
}

fn read_args<T: DeserializeOwned>(args: &RawValue) -> Outcome<T> {
    serde_json::from_str(args.get()).map_err(|error| {
        // Another attempt: during a rolling deploy a worker that reads these arguments may come.
        Failure::with(
            Fate::Retry(None),
            "Args",
            format!("the arguments are not what the kind expects: {error}"),
        )
    })
}

fn write_output(output: &impl serde::Serialize) -> Outcome<Vec<u8>> {
    serde_json::to_vec(output).map_err(|error| unfit(format!("its result cannot become JSON: {error}")))
}

/// Refuses a result that is larger than a job may be, or nested deeper. A store might refuse it, too, and with it the ends of others that
/// are told in the same call.
pub(super) fn check_output(output: &[u8], max_payload: usize) -> Outcome<()> {
    let size = output.len();
    if size > max_payload {
        let what = format!("its result takes {size} bytes, more than the {max_payload} of max_payload");
        return Err(unfit(what));
    }
    if is_deep(output) {
        return Err(unfit(format!("its result is nested deeper than {DEPTH_MAX} levels")));
    }
    Ok(())
}

/// What the job was to do is done, and another attempt would answer the same.
pub(super) fn unfit(message: String) -> Failure {
    Failure::with(Fate::Kill, "Result", message)
}
