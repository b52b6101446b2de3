//! Every key of a namespace, built here and nowhere else. See `docs/protocol.md` for what each holds.
//!
//! All keys of a namespace carry its tag, so that they share a slot of a Cluster and every move can be
//! one script. A queue that is sharded one day gets tags of its own: ask for its keys by queue name only.

use crate::{error::Result, id::JobId, name::check_name, state::State};

/// Version of this layout, kept under [`Keys::schema`] and checked at connect.
pub const SCHEMA_VERSION: &str = "1";

/// Name of the consumer group of every queue's stream.
pub const GROUP: &str = "w";

/// The keys of one namespace.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
    namespace: String,
}

impl Keys {
    /// The keys of `namespace`.
    ///
    /// # Errors
    /// When the name is not fit for keys.
    pub fn new(namespace: &str) -> Result<Self> {
        check_name("namespace", namespace)?;
        Ok(Self { prefix: format!("wl:{{{namespace}}}:"), namespace: namespace.to_owned() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The pattern of every key of the namespace, those of sharded queues included, as SCAN takes it.
    pub fn pattern(&self) -> String {
        // No character of a name means something in a pattern.
        format!("wl:{{{}[}}/]*", self.namespace)
    }

    /// The layout's version.
    pub fn schema(&self) -> String {
        self.with("schema", "")
    }

    /// Names of the queues that exist.
    pub fn queues(&self) -> String {
        self.with("queues", "")
    }

    /// Names of queues that were forgotten of late, by when. The script that forgets one builds this key by itself.
    pub fn forgotten(&self) -> String {
        self.with("forgotten", "")
    }

    /// The stream of a queue: its ready and active jobs.
    pub fn stream(&self, queue: &str) -> String {
        self.with("q:", queue)
    }

    /// Where the stream of a queue is built anew, within one step.
    pub fn compact(&self, queue: &str) -> String {
        self.with("compact:", queue)
    }

    /// The wake mark of a queue.
    pub fn wake(&self, queue: &str) -> String {
        self.with("wake:", queue)
    }

    /// The wake mark of a queue for workers that know a kind, named with its version. The scripts build this key by
    /// themselves, too.
    pub fn wake_of_kind(&self, queue: &str, kind: &str) -> String {
        format!("{}/{kind}", self.wake(queue))
    }

    /// Queues whose workers take only jobs of kinds that they know.
    pub fn by_kind(&self) -> String {
        self.with("by-kind", "")
    }

    /// Kinds that workers of a queue know, with their versions, by when one of them last said so.
    pub fn knows(&self, queue: &str) -> String {
        self.with("knows:", queue)
    }

    /// What is unusual about a queue; absent when nothing is.
    pub fn gate(&self, queue: &str) -> String {
        self.with("gate:", queue)
    }

    /// Entries of a queue that may have ended a process, with their crash counts.
    pub fn suspect(&self, queue: &str) -> String {
        self.with("suspect:", queue)
    }

    /// Entries of a queue that ended a process, with what is known of each time. The scripts build this key by themselves,
    /// too.
    pub fn crashes(&self, queue: &str) -> String {
        self.with("crashes:", queue)
    }

    /// The set of stored jobs in `state`, by time; `None` for a state that has no set.
    pub fn set(&self, state: State) -> Option<String> {
        State::STORED.contains(&state).then(|| self.with(state.as_str(), ""))
    }

    /// Every set in which a stored job may wait.
    pub fn sets(&self) -> impl Iterator<Item = String> + '_ {
        State::STORED.iter().map(|state| self.with(state.as_str(), ""))
    }

    /// How many ended jobs of each queue there are in each state, with how many bytes. The scripts build this key by
    /// themselves, too.
    pub fn kept(&self) -> String {
        self.with("kept", "")
    }

    /// Data of every job that is not in a stream.
    pub fn jobs(&self) -> String {
        self.with("jobs", "")
    }

    /// Redirects of jobs that live under another entry than their id names.
    pub fn moved(&self) -> String {
        self.with("moved", "")
    }

    /// Requests to stop jobs that workers have.
    pub fn cancels(&self) -> String {
        self.with("cancels", "")
    }

    /// The counter of ids born scheduled.
    pub fn seq(&self) -> String {
        self.with("seq", "")
    }

    /// Cron entries by name.
    pub fn cron(&self) -> String {
        self.with("cron", "")
    }

    /// Cron entries by when they are due.
    pub fn cron_next(&self) -> String {
        self.with("cron-next", "")
    }

    /// An enqueue key.
    pub fn enqueue_key(&self, key: &str) -> String {
        self.with("key:", key)
    }

    /// What names the one job that is there of equal ones.
    pub fn unique(&self, lock: &str) -> String {
        self.with("unique:", lock)
    }

    /// The result of a job.
    pub fn result(&self, id: &JobId) -> String {
        self.with("r:", id.as_str())
    }

    /// How far a job is, and its log.
    pub fn progress(&self, id: &JobId) -> String {
        self.with("p:", id.as_str())
    }

    /// The stream that interrupts one client's wait for results.
    pub fn nudge(&self, client: &str) -> String {
        self.with("nudge:", client)
    }

    /// Workers by their last beat.
    pub fn workers(&self) -> String {
        self.with("workers", "")
    }

    /// Description of one worker.
    pub fn worker(&self, worker: &str) -> String {
        self.with("worker:", worker)
    }

    /// What happened to jobs, while workers record it.
    pub fn events(&self) -> String {
        self.with("events", "")
    }

    /// How many events are kept, as workers last said.
    pub fn events_max(&self) -> String {
        self.with("events-max", "")
    }

    /// Counters of the namespace.
    pub fn stats(&self) -> String {
        self.with("stats", "")
    }

    /// Rules by their names. The scripts build this key and those that follow by themselves, too.
    pub fn rules(&self) -> String {
        self.with("rules", "")
    }

    /// A lane: ids of jobs that wait.
    pub fn lane(&self, lane: &str) -> String {
        self.with("lane:", lane)
    }

    /// The lanes of a queue that may go on, by their turns.
    pub fn turns(&self, queue: &str) -> String {
        self.with("turns:", queue)
    }

    /// The lanes of a queue that wait for something, with what it is.
    pub fn waits(&self, queue: &str) -> String {
        self.with("waits:", queue)
    }

    /// How far the turns of a queue are.
    pub fn pace(&self, queue: &str) -> String {
        self.with("pace:", queue)
    }

    /// What jobs of a queue hold of limits.
    pub fn permits(&self, queue: &str) -> String {
        self.with("permits:", queue)
    }

    /// How much is held of each limit.
    pub fn caps(&self) -> String {
        self.with("caps", "")
    }

    /// The lanes that wait for a limit, limit by limit.
    pub fn blocked(&self) -> String {
        self.with("blocked", "")
    }

    /// Limits that open by themselves, by when.
    pub fn asleep(&self) -> String {
        self.with("asleep", "")
    }

    /// What a rate has counted.
    pub fn rate(&self, limit: &str) -> String {
        self.with("rate:", limit)
    }

    /// What a breaker has counted.
    pub fn breaker(&self, limit: &str) -> String {
        self.with("breaker:", limit)
    }

    /// A batch.
    pub fn batch(&self, id: &str) -> String {
        self.with("batch:", id)
    }

    /// Results of the jobs of a group. The scripts build this key and the one before by themselves, too.
    pub fn batch_items(&self, id: &str) -> String {
        format!("{}:r", self.batch(id))
    }

    /// Nested batches that are open. The scripts build this key and the next one by themselves.
    pub fn nested(&self) -> String {
        self.with("nested", "")
    }

    /// Nested batches that a job opened and nobody has closed.
    pub fn opened(&self, opener: &JobId) -> String {
        self.with("opened:", opener.as_str())
    }

    fn with(&self, kind: &str, name: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + kind.len() + name.len());
        key.push_str(&self.prefix);
        key.push_str(kind);
        key.push_str(name);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_namespace_share_one_tag() {
        let keys = Keys::new("shop").unwrap();
        let id = JobId::parse("mail/1-0").unwrap();
        let all = [
            keys.schema(),
            keys.queues(),
            keys.forgotten(),
            keys.stream("mail"),
            keys.compact("mail"),
            keys.wake("mail"),
            keys.wake_of_kind("mail", "greet:1"),
            keys.by_kind(),
            keys.knows("mail"),
            keys.gate("mail"),
            keys.suspect("mail"),
            keys.crashes("mail"),
            keys.kept(),
            keys.jobs(),
            keys.moved(),
            keys.cancels(),
            keys.seq(),
            keys.cron(),
            keys.cron_next(),
            keys.enqueue_key("{other}"),
            keys.unique("{other}"),
            keys.result(&id),
            keys.progress(&id),
            keys.nudge("c"),
            keys.workers(),
            keys.worker("w"),
            keys.stats(),
            keys.events(),
            keys.events_max(),
            keys.rules(),
            keys.lane("mail/001//{other}"),
            keys.turns("mail"),
            keys.waits("mail"),
            keys.pace("mail"),
            keys.permits("mail"),
            keys.caps(),
            keys.blocked(),
            keys.asleep(),
            keys.rate("key:mail/{other}"),
            keys.breaker("kind:k"),
            keys.batch("b"),
            keys.batch_items("b"),
            keys.nested(),
            keys.opened(&id),
        ];
        for key in all.into_iter().chain(keys.sets()) {
            let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
            assert_eq!(tag, Some("shop"), "{key}");
        }
    }

    #[test]
    fn a_namespace_cannot_escape_its_tag() {
        assert!(Keys::new("a}b").is_err());
        assert!(Keys::new("").is_err());
    }
}
