//! Groups: jobs whose results are kept in their order, for whoever asks or for a callback that gets all of them.

use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::batch::Whole;
use super::{Batch, BatchBuilder, BatchStatus, JobError};
use crate::client::{Client, Push};
use crate::error::{Error, Result};
use crate::job::Pushable;
use crate::name::check_name;

/// Most jobs of a group: its results are put together in one step of the store.
pub const GROUP_JOBS_MAX: usize = 10_000;

/// Room in the callback's envelope for what is around the results there.
const LIST_MARGIN: usize = 64;

/// How a group is made; [`Client::group`] begins one.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// use windlass::{Client, Context, Job, Outcome};
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Square(u64);
/// # impl Job for Square {
/// #     const KIND: &'static str = "square";
/// #     type Output = u64;
/// #     async fn run(self, _: Context) -> Outcome<u64> { Ok(self.0 * self.0) }
/// # }
/// #[derive(Serialize, Deserialize)]
/// struct Sum;
///
/// impl Job for Sum {
///     const KIND: &'static str = "sum";
///     type Output = ();
///
///     async fn run(self, context: Context) -> Outcome<()> {
///         let sum: u64 = context.results::<u64>()?.into_iter().flatten().sum();
///         println!("{sum}");
///         Ok(())
///     }
/// }
///
/// # async fn example(client: Client) -> windlass::Result<()> {
/// client.group().then(Sum).push((1..=10).map(Square)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct GroupBuilder {
    batch: BatchBuilder,
}

impl GroupBuilder {
    /// The job that is pushed once all have ended, well or not (a chord). It reads the results in the order of the
    /// jobs with [`Context::results`](crate::Context::results): none for an empty group, an error in the place of a
    /// job without success.
    pub fn then<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.then_with(job, Push::new())
    }

    /// The same with options.
    pub fn then_with<Style, J: Pushable<Style>>(self, job: J, options: Push) -> Self {
        Self { batch: self.batch.callback("on_complete", &job, &options) }
    }

    /// The job that is pushed in place of the other one when a job did not succeed. It reads the same results.
    pub fn catch<Style, J: Pushable<Style>>(self, job: J) -> Self {
        self.catch_with(job, Push::new())
    }

    /// The same with options.
    pub fn catch_with<Style, J: Pushable<Style>>(self, job: J, options: Push) -> Self {
        Self { batch: self.batch.callback("on_catch", &job, &options) }
    }

    /// Says what the group is, for those who look at it.
    pub fn description(self, text: impl Into<String>) -> Self {
        Self { batch: self.batch.description(text) }
    }

    /// Names the group, so that pushing it again is safe, as [`BatchBuilder::key`] does.
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { batch: self.batch.key(key) }
    }

    /// How long the group and its results are kept after its end: a day unless said otherwise.
    pub fn keep(self, time: Duration) -> Self {
        Self { batch: self.batch.keep(time) }
    }

    /// Pushes the jobs, at most [`GROUP_JOBS_MAX`].
    ///
    /// # Errors
    /// As [`BatchBuilder::push_all`], and when there are too many.
    pub async fn push<Style, J: Pushable<Style>>(
        self,
        jobs: impl IntoIterator<Item = J>,
    ) -> Result<Group<J::Output>> {
        self.push_with(jobs, Push::new()).await
    }

    /// The same with options for the jobs.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn push_with<Style, J: Pushable<Style>>(
        self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
    ) -> Result<Group<J::Output>> {
        let max_payload = self.batch.client.config().max_payload;
        let jobs = jobs.into_iter();
        if jobs.size_hint().0 > GROUP_JOBS_MAX {
            return Err(too_many());
        }
        let (batch, mut fields, is_keyed) = self.batch.into_parts().await?;
        // The callback carries the results, so that they have the room that it leaves in an envelope.
        let taken: usize = fields.iter().map(|(_, value)| value.len()).sum();
        let room = max_payload.saturating_sub(taken + LIST_MARGIN);
        fields.push(("room", room.to_string().into_bytes()));
        fields.push(("items", b"0".to_vec()));
        batch.push_whole(Whole { fields: &fields, is_group: true, is_keyed }, jobs, &options).await?;
        Ok(Group { batch, output: PhantomData })
    }
}

/// Why no group is made of more jobs than it may have.
pub(super) fn too_many() -> Error {
    Error::Config(vec![format!("a group has more than {GROUP_JOBS_MAX} jobs")])
}

/// A group that was pushed: a batch whose results are kept. `T` is what each of its jobs answers.
#[derive(Debug, Clone)]
pub struct Group<T> {
    batch: Batch,
    output: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Group<T> {
    /// Names the group.
    pub fn id(&self) -> &str {
        self.batch.id()
    }

    /// The group as a batch: to cancel it.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// How far the group is; `None` when it is forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status(&self) -> Result<Option<BatchStatus>> {
        self.batch.status().await
    }

    /// The results in the order of the jobs; `None` as long as some have not ended, or when they are forgotten.
    ///
    /// # Errors
    /// When the store fails, or a result is not what its type says.
    pub async fn results(&self) -> Result<Option<Vec<Result<T, JobError>>>> {
        let Some(items) = self.batch.items().await? else { return Ok(None) };
        let read = |item: Vec<u8>| Ok(serde_json::from_slice::<Item<T>>(&item)?.into());
        items.into_iter().map(read).collect::<Result<_>>().map(Some)
    }
}

/// What is kept of one job of a group.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Item<T> {
    #[serde(default = "none", deserialize_with = "some")]
    v: Option<T>,
    #[serde(default)]
    e: JobError,
}

fn none<T>() -> Option<T> {
    None
}

/// A null that is there is a value.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<T> From<Item<T>> for Result<T, JobError> {
    fn from(item: Item<T>) -> Self {
        item.v.ok_or(item.e)
    }
}

/// The item of a job that has succeeded.
pub(crate) fn item_of(output: &[u8]) -> Vec<u8> {
    [b"{\"v\":", output, b"}"].concat()
}

/// Reads the list that a chord's callback is given.
pub(crate) fn read_list<T: DeserializeOwned>(list: &RawValue) -> Result<Vec<Result<T, JobError>>> {
    let items: Vec<Item<T>> = serde_json::from_str(list.get())?;
    Ok(items.into_iter().map(Into::into).collect())
}

impl Client {
    /// Begins a group: jobs whose results are kept in their order.
    pub fn group(&self) -> GroupBuilder {
        GroupBuilder { batch: self.batch() }
    }

    /// A group by its id, pushed elsewhere.
    ///
    /// # Errors
    /// When the text cannot be the id of a group.
    pub fn group_by_id<T: DeserializeOwned>(&self, id: &str) -> Result<Group<T>> {
        check_name("group", id)?;
        Ok(Group { batch: Batch::new(self.clone(), id.to_owned()), output: PhantomData })
    }

    /// Pushes one job for each `size` of the items. Answers how many jobs.
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use windlass::{Client, Context, Job, Outcome};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Send(Vec<u32>);
    /// # impl Job for Send {
    /// #     const KIND: &'static str = "send";
    /// #     type Output = ();
    /// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
    /// # }
    /// # async fn example(client: Client) -> windlass::Result<()> {
    /// assert_eq!(client.push_chunks(0..100, 10, Send).await?, 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many), and when `size` is 0.
    pub async fn push_chunks<Style, T, J: Pushable<Style>>(
        &self,
        items: impl IntoIterator<Item = T>,
        size: usize,
        job: impl Fn(Vec<T>) -> J,
    ) -> Result<u64> {
        self.push_many(chunks(items, size, job)?).await
    }
}

/// One job for each `size` of the items, none held longer than its job needs.
pub(super) fn chunks<T, J>(
    items: impl IntoIterator<Item = T>,
    size: usize,
    job: impl Fn(Vec<T>) -> J,
) -> Result<impl Iterator<Item = J>> {
    if size == 0 {
        return Err(Error::Config(vec!["the size of a chunk is 0, use 1 or more".into()]));
    }
    let mut items = items.into_iter();
    Ok(std::iter::from_fn(move || {
        let chunk: Vec<T> = items.by_ref().take(size).collect();
        (!chunk.is_empty()).then(|| job(chunk))
    }))
}
