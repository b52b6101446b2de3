//! Jobs of which there is to be one: what makes two of them equal, for how long, and what a second push does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use hmac_sha256::Hash;
use serde_json::value::RawValue;

use crate::broker::Rule;
use crate::error::{Error, Result};
use crate::id::JobId;

/// How long a lock lives at most that is to last until a job has started or is done, beyond the time for which the
/// job is scheduled. By itself it ends with the job.
pub const UNIQUE_LIFE_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Deepest nesting of arguments that can be compared.
const DEPTH_MAX: usize = 128;

/// Bytes of a digest that name a lock: enough that two jobs do not meet by chance.
const LOCK_BYTES: usize = 16;

/// How a job is unique: one of equal jobs is enough.
///
/// Jobs are equal that have the same queue, the same kind, and the same arguments, fields of them or key. For how long,
/// the constructor says. A second push then [keeps](Pushed::Kept) the first job and answers its id, unless told to
/// [replace](Self::replace) it or to be [refused](Self::refuse).
///
/// A job that is unique until it has started or is done and is put back after its end, such as by
/// [`Inspector::retry`](crate::Inspector::retry), is the one that is there again; while an equal one is there it stays ended,
/// with [`Error::Duplicate`].
///
/// ```
/// use std::time::Duration;
/// use windlass::{Push, Unique};
///
/// let hourly = Push::new().unique(Unique::window(Duration::from_secs(3600)));
/// let one_per_user = Push::new().unique(Unique::until_done().by_fields(["user"]).refuse());
/// # let _ = (hourly, one_per_user);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Unique {
    by: By,
    until: Until,
    life: Option<Duration>,
    on_second: Second,
}

/// What makes two jobs of a kind and queue equal.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    Args,
    Fields(Vec<String>),
    Key(String),
}

/// What a second push does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Keep,
    Replace,
    Refuse,
}

/// For how long a job keeps equal ones out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// For a time from its push on, whatever becomes of it.
    Window,
    /// For ever.
    Ever,
    /// Until its first attempt begins.
    Started,
    /// Until it has ended.
    Done,
}

impl Until {
    /// The name that scripts know.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Ever => "ever",
            Self::Started => "started",
            Self::Done => "done",
        }
    }
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushed {
    /// There is a new job.
    New,
    /// An equal job was there and is unchanged; it is the one that was answered.
    Kept,
    /// An equal job waited; it has the new arguments and the new time under its own id.
    Replaced,
    /// The store is away; the job waits in this process.
    Buffered,
}

/// One job of a push of many of which there is to be one each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushedJob {
    /// The job that is there: the new one, or the one that was there already.
    pub id: JobId,
    /// What the push did.
    pub pushed: Pushed,
}

impl Unique {
    /// One per `time`, counted from the push of the first, whatever becomes of that.
    pub fn window(time: Duration) -> Self {
        Self::new(Until::Window, Some(time))
    }

    /// One for ever. Nothing of it is forgotten, so that every such job costs the store memory for good.
    pub fn forever() -> Self {
        Self::new(Until::Ever, None)
    }

    /// One that waits: once its first attempt has begun another may come.
    pub fn until_started() -> Self {
        Self::new(Until::Started, Some(UNIQUE_LIFE_DEFAULT))
    }

    /// One that has not ended: waiting, running or to be retried.
    pub fn until_done() -> Self {
        Self::new(Until::Done, Some(UNIQUE_LIFE_DEFAULT))
    }

    fn new(until: Until, life: Option<Duration>) -> Self {
        Self { by: By::Args, until, life, on_second: Second::Keep }
    }

    /// Equal are jobs that have these fields of their arguments in common; one that is absent counts as `null`.
    pub fn by_fields<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        let mut fields: Vec<String> = fields.into_iter().map(Into::into).collect();
        fields.sort();
        fields.dedup();
        self.by = By::Fields(fields);
        self
    }

    /// Equal are jobs that are pushed with the same key.
    pub fn by_key(mut self, key: impl Into<String>) -> Self {
        self.by = By::Key(key.into());
        self
    }

    /// For how long at most, beyond the time for which the job is scheduled. Default: 7 days for
    /// [`until_started`](Self::until_started) and [`until_done`](Self::until_done).
    pub fn at_most(mut self, life: Duration) -> Self {
        self.life = Some(life);
        self
    }

    /// A second push replaces a first job that waits: its arguments, options and time. One that runs is kept.
    pub fn replace(mut self) -> Self {
        self.on_second = Second::Replace;
        self
    }

    /// A second push is [an error](Error::Duplicate). Of many, those are left out that are there already;
    /// [`Client::push_many_unique`](crate::Client::push_many_unique) says which.
    pub fn refuse(mut self) -> Self {
        self.on_second = Second::Refuse;
        self
    }

    /// Checks that it keeps anything out.
    pub(crate) fn check(&self) -> Result<()> {
        if self.life == Some(Duration::ZERO) {
            return refuse("lasts no time at all, so that it would keep nothing out".into());
        }
        match &self.by {
            By::Key(key) if key.is_empty() => refuse("has an empty key".into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_until_started(&self) -> bool {
        self.until == Until::Started
    }

    pub(crate) fn refuses(&self) -> bool {
        self.on_second == Second::Refuse
    }

    /// Whether the lock is of no use once the job has ended.
    pub(crate) fn ends_with_job(&self) -> bool {
        matches!(self.until, Until::Started | Until::Done)
    }

    pub(crate) fn rule(&self) -> Rule {
        Rule { until: self.until, life: self.life, replaces: self.on_second == Second::Replace }
    }

    /// The name of the lock of a job.
    pub(crate) fn lock(&self, queue: &str, kind: &str, args: &RawValue) -> Result<String> {
        let mut text = Vec::new();
        match &self.by {
            By::Args => {
                text.extend(b"args\n");
                canonical(args, &mut text, DEPTH_MAX)?;
            }
            By::Fields(names) => {
                if !args.get().trim_start().starts_with('{') {
                    return refuse(format!(
                        "compares the fields {}, and the arguments are no object",
                        names.join(", ")
                    ));
                }
                let fields: BTreeMap<String, &RawValue> = serde_json::from_str(args.get())?;
                text.extend(b"fields");
                for name in names {
                    text.push(b'\n');
                    serde_json::to_writer(&mut text, name)?;
                    text.push(b':');
                    match fields.get(name) {
                        Some(value) => canonical(value, &mut text, DEPTH_MAX)?,
                        None => text.extend(b"null"),
                    }
                }
            }
            By::Key(key) => {
                text.extend(b"key\n");
                text.extend(key.as_bytes());
            }
        }
        let mut digest = Hash::new();
        digest.update(format!("{queue}\n{kind}\n").as_bytes());
        digest.update(&text);
        let mut lock = String::with_capacity(2 * LOCK_BYTES);
        for byte in &digest.finalize()[..LOCK_BYTES] {
            // Writing into a string cannot fail.
            let _ = write!(lock, "{byte:02x}");
        }
        Ok(lock)
    }
}

fn refuse<T>(problem: String) -> Result<T> {
    Err(Error::Push { option: "unique", problem })
}

/// Writes JSON so that equal values are equal texts: without spaces, names sorted, numbers as they are written, since
/// reading them would make different large ones equal.
fn canonical(value: &RawValue, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return refuse(format!("compares arguments, and these are nested deeper than {DEPTH_MAX}"));
    };
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            out.push(b'{');
            for (i, (name, value)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                canonical(value, out, depth)?;
            }
            out.push(b'}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                canonical(item, out, depth)?;
            }
            out.push(b']');
        }
        Some(b'"') => serde_json::to_writer(out, &serde_json::from_str::<String>(text)?)?,
        _ => out.extend(text.as_bytes()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(unique: &Unique, args: &str) -> String {
        unique.lock("q", "k", &RawValue::from_string(args.into()).unwrap()).unwrap()
    }

    #[test]
    fn the_order_of_names_and_spaces_do_not_count() {
        let unique = Unique::until_done();
        assert_eq!(
            lock(&unique, r#"{"a":[1,{"c":"\u0041","b":2}], "d":null}"#),
            lock(&unique, r#"{"d":null,"a":[ 1 ,{"b":2,"c":"A"}]}"#)
        );
        assert_ne!(lock(&unique, "[1,2]"), lock(&unique, "[2,1]"));
        assert_ne!(lock(&unique, "12345678901234567890123"), lock(&unique, "12345678901234567890124"));
    }

    #[test]
    fn chosen_fields_alone_count() {
        let unique = Unique::until_done().by_fields(["b", "a"]);
        assert_eq!(lock(&unique, r#"{"a":1,"b":null,"c":3}"#), lock(&unique, r#"{"c":4,"a":1}"#));
        assert_ne!(lock(&unique, r#"{"a":1}"#), lock(&unique, r#"{"a":2}"#));
        let refused = unique.lock("q", "k", &RawValue::from_string(" [1]".into()).unwrap()).unwrap_err();
        let sentence = "the unique of the push compares the fields a, b, and the arguments are no object";
        assert_eq!(refused.to_string(), sentence);
    }

    #[test]
    fn queue_kind_and_sort_keep_locks_apart() {
        let args = RawValue::from_string("\"x\"".into()).unwrap();
        let unique = Unique::until_done();
        let all = [
            unique.lock("q", "k", &args).unwrap(),
            unique.lock("p", "k", &args).unwrap(),
            unique.lock("q", "l", &args).unwrap(),
            unique.clone().by_key("\"x\"").lock("q", "k", &args).unwrap(),
        ];
        let apart: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(apart.len(), all.len());
    }

    #[test]
    fn deep_arguments_are_an_error() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let args = RawValue::from_string(deep);
        // The reader of JSON may refuse it before.
        if let Ok(args) = args {
            assert!(Unique::until_done().lock("q", "k", &args).is_err());
        }
    }
}
