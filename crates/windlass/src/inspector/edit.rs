//! Changes of a job that does not run.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Inspector, config};
use crate::broker::Edited;
use crate::client::epoch_ms;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::job::Pushable;
use crate::limit::Lane;

/// How often an edit begins anew when somebody else changes the job meanwhile.
const EDIT_TRIES: usize = 10;

/// What is to be changed of a job that does not run. What it does not name stays as it is.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// # use windlass::{Context, Inspector, Job, JobId, Outcome};
/// use windlass::Edit;
/// # #[derive(Serialize, Deserialize)]
/// # struct Greet { name: String }
/// # impl Job for Greet {
/// #     const KIND: &'static str = "greet";
/// #     type Output = ();
/// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
/// # }
/// # async fn example(inspector: Inspector, id: JobId) -> windlass::Result<()> {
/// let edit = Edit::new().job(&Greet { name: "Ada".into() })?.max_attempts(40).retry();
/// println!("{:?}", inspector.edit_with(&id, edit).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Edit {
    /// The kind that the job has to be of, and the version of the arguments.
    kind: Option<(&'static str, u32)>,
    args: Option<Box<RawValue>>,
    priority: Option<u8>,
    max_attempts: Option<u32>,
    /// None within for a job that does not expire.
    expires: Option<Option<SystemTime>>,
    is_due: bool,
}

impl Edit {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its arguments: those of a job of the same kind, so that its handler can read them. That the kind is the same is
    /// checked where the job is found.
    ///
    /// # Errors
    /// When it cannot become JSON.
    pub fn job<Style, J: Pushable<Style>>(mut self, job: &J) -> Result<Self> {
        self.args = Some(to_raw_value(job)?);
        self.kind = Some((J::KIND, J::VERSION));
        Ok(self)
    }

    /// Its arguments, whatever they are.
    pub fn args(mut self, args: &RawValue) -> Self {
        (self.args, self.kind) = (Some(args.to_owned()), None);
        self
    }

    /// Its [priority](crate::Push::priority). A job that waits in its queue goes to the end of its new place there.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How many attempts may fail, those that have failed included.
    pub fn max_attempts(mut self, max: u32) -> Self {
        self.max_attempts = Some(max);
        self
    }

    /// Discard the job if it has not begun by then.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires = Some(Some(time));
        self
    }

    /// Do not discard the job, however late it begins.
    pub fn never_expires(mut self) -> Self {
        self.expires = Some(None);
        self
    }

    /// And put it into its queue now.
    pub fn retry(mut self) -> Self {
        self.is_due = true;
        self
    }

    fn check(&self, kind: &str) -> Result<()> {
        let refuse = |field, problem| Err(Error::Edit { field, problem });
        if let Some((wanted, _)) = self.kind.filter(|(wanted, _)| *wanted != kind) {
            return refuse("kind", format!("is `{wanted}`, and the job is of the kind `{kind}`"));
        }
        if self.max_attempts == Some(0) {
            return refuse("max_attempts", "is 0, a job has one at least".into());
        }
        Ok(())
    }

    /// The envelope with the changes. Field by field, so that what this version does not know stays as it is.
    fn apply(&self, envelope: &[u8]) -> Result<Vec<u8>> {
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(envelope)?;
        if let Some(args) = &self.args {
            fields.insert("args".into(), args.clone());
        }
        if let Some((_, version)) = self.kind {
            set(&mut fields, "kv", (version != 1).then_some(version))?;
        }
        if let Some(priority) = self.priority {
            let lane = fields.get("lane").map(|lane| serde_json::from_str::<Lane>(lane.get())).transpose()?;
            let lane = Lane { p: Some(priority), front: false, ..lane.unwrap_or_default() };
            set(&mut fields, "lane", (!lane.is_plain()).then_some(lane))?;
        }
        if let Some(max) = self.max_attempts {
            set(&mut fields, "max", Some(max))?;
        }
        if let Some(expires) = self.expires {
            set(&mut fields, "expires", expires.map(epoch_ms))?;
        }
        Ok(serde_json::to_vec(&fields)?)
    }
}

/// Sets a field, or takes it away.
fn set(
    fields: &mut BTreeMap<String, Box<RawValue>>,
    name: &str,
    value: Option<impl Serialize>,
) -> Result<()> {
    match value {
        Some(value) => fields.insert(name.to_owned(), to_raw_value(&value)?),
        None => fields.remove(name),
    };
    Ok(())
}

impl Inspector {
    /// Changes a job that does not run; it waits where it was, unless the edit says otherwise.
    ///
    /// What it is unique by stays as it was pushed.
    ///
    /// # Errors
    /// [`Error::Edit`] with the field that does not fit the job; when the store fails, the envelope cannot be read, or the
    /// job becomes too large. With [`Edit::retry`] as [`retry`](Self::retry).
    pub async fn edit_with(&self, id: &JobId, edit: Edit) -> Result<Edited> {
        if edit.is_due {
            self.client.broker().add_queue(id.queue()).await?;
        }
        for _ in 0..EDIT_TRIES {
            let Some(job) = self.show(id).await?.filter(|job| !job.envelope.is_empty()) else {
                return Ok(Edited::Missing);
            };
            edit.check(&job.kind)?;
            let new = edit.apply(&job.envelope)?;
            self.client.config().check_envelope(&job.kind, &new)?;
            if let Some(edited) = self.client.broker().edit(id, &job.envelope, &new, edit.is_due).await? {
                return Ok(edited);
            }
        }
        Err(config("others keep changing the job; try again"))
    }
}
