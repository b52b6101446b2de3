//! How much is kept of jobs that have ended without success.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::ms;
use crate::error::Result;
use crate::name::check_name;
use crate::state::State;

/// The states of which jobs are kept that have ended.
const KEPT: [State; 3] = [State::Dead, State::Discarded, State::Cancelled];

/// How much is kept of the jobs of one queue that have ended in one state. The oldest go first, and the last one stays until
/// it is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many jobs. Default: 10,000.
    pub count: u64,
    /// For how long. Default: 180 days.
    pub age: Duration,
    /// How many bytes of them, histories and envelopes. Default: 64 MiB.
    pub bytes: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { count: 10_000, age: Duration::from_secs(180 * 24 * 3600), bytes: 64 << 20 }
    }
}

/// How much is kept of dead, discarded and cancelled jobs. Each limit holds for each queue and state by itself, so that one
/// queue that fails much pushes out nobody else's.
///
/// Workers see to it: in part when a job ends, and about once a minute. Until then there may be more than that. Whoever
/// ends a job by hand drops nothing, nor does who waits for the result of a job lose it by this.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Config, Keep, Retention, State};
///
/// const DAY: Duration = Duration::from_secs(24 * 3600);
/// let retention = Retention::new()
///     .of(State::Cancelled, Keep { age: 7 * DAY, ..Keep::default() })
///     .of_queue("payment", State::Dead, Keep { count: 100_000, age: 3650 * DAY, bytes: 1 << 30 });
/// let config = Config { retention, ..Config::default() };
/// assert!(config.validate().is_ok());
/// assert_eq!(config.retention.keep("mail", State::Dead), Keep::default());
/// assert_eq!(config.retention.keep("payment", State::Dead).count, 100_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// For each state and queue that was named, "" for all others.
    keeps: Vec<(State, String, Keep)>,
}

impl Retention {
    /// 10,000 jobs, 180 days and 64 MiB for each queue and state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how much is kept of each queue's jobs that are dead, discarded or cancelled.
    pub fn of(self, state: State, keep: Keep) -> Self {
        self.of_queue("", state, keep)
    }

    /// The same for one queue, in place of what is said of all.
    pub fn of_queue(mut self, queue: impl Into<String>, state: State, keep: Keep) -> Self {
        let queue = queue.into();
        self.keeps.retain(|(its_state, name, _)| (*its_state, name) != (state, &queue));
        self.keeps.push((state, queue, keep));
        self
    }

    /// How much is kept of a queue's jobs that are in `state`.
    pub fn keep(&self, queue: &str, state: State) -> Keep {
        let of = |queue: &str| self.keeps.iter().find(|(its, name, _)| (*its, &**name) == (state, queue));
        of(queue).or_else(|| of("")).map_or_else(Keep::default, |(_, _, keep)| *keep)
    }

    /// The longest time for which any job is kept.
    pub(crate) fn age_max(&self) -> Duration {
        let named = self.keeps.iter().map(|(_, _, keep)| keep.age);
        named.chain(KEPT.map(|state| self.keep("", state).age)).max().unwrap_or_default()
    }

    /// What is said of a state, as `retain.lua` reads it.
    pub(crate) fn to_json(&self, state: State) -> Result<String> {
        let all = [("", self.keep("", state))].into_iter();
        let named = self.keeps.iter().filter(|(its, ..)| *its == state);
        let keeps = all.chain(named.map(|(_, queue, keep)| (&**queue, *keep)));
        let keeps = keeps.map(|(queue, keep)| (queue, (keep.count, ms(keep.age), keep.bytes)));
        Ok(serde_json::to_string(&keeps.collect::<BTreeMap<_, _>>())?)
    }

    /// A sentence for each setting that cannot be used.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (state, queue, keep) in &self.keeps {
            let of = if queue.is_empty() { String::new() } else { format!(" of {queue}") };
            if !KEPT.contains(state) {
                problems.push(format!(
                    "retention is for dead, discarded and cancelled jobs, none that are {state} are kept{of}"
                ));
            }
            if !queue.is_empty()
                && let Err(error) = check_name("queue", queue)
            {
                problems.push(format!("retention: {error}"));
            }
            for (name, value) in [("count", keep.count), ("bytes", keep.bytes)] {
                if value == 0 {
                    problems.push(format!("{name} is 0 in the retention of {state} jobs{of}; use 1 or more"));
                }
            }
            if keep.age < Duration::from_millis(1) {
                let age = keep.age;
                problems.push(format!("age is {age:?} in the retention of {state} jobs{of}, less than 1ms"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_queue_goes_before_what_is_said_of_all() {
        let of = |count| Keep { count, ..Keep::default() };
        let retention = Retention::new().of_queue("mail", State::Dead, of(1)).of(State::Dead, of(9));
        let retention = retention.of(State::Dead, of(2));
        assert_eq!(retention.keep("mail", State::Dead), of(1));
        assert_eq!(retention.keep("other", State::Dead), of(2));
        assert_eq!(retention.keep("mail", State::Cancelled), Keep::default());
        let json = r#"{"":[2,15552000000,67108864],"mail":[1,15552000000,67108864]}"#;
        assert_eq!(retention.to_json(State::Dead).unwrap(), json);
    }

    #[test]
    fn the_longest_age_is_found() {
        let of = |days: u64| Keep { age: Duration::from_secs(days * 24 * 3600), ..Keep::default() };
        assert_eq!(Retention::new().age_max(), Keep::default().age);
        assert_eq!(Retention::new().of_queue("q", State::Dead, of(200)).age_max(), of(200).age);
        let short = KEPT.iter().fold(Retention::new(), |all, state| all.of(*state, of(3)));
        assert_eq!(short.age_max(), of(3).age);
    }

    #[test]
    fn each_setting_that_cannot_be_used_is_named() {
        let nothing = Keep { count: 0, age: Duration::ZERO, bytes: 0 };
        let retention = Retention::new().of_queue("mail", State::Dead, nothing);
        let retention = retention.of_queue("a b", State::Active, Keep::default());
        let problems = retention.problems();
        let words = ["count is 0 in the retention of dead jobs of mail", "bytes", "age", "active", "queue"];
        assert_eq!(problems.len(), words.len(), "{problems:?}");
        for (problem, word) in problems.iter().zip(words) {
            assert!(problem.contains(word), "{problem}");
        }
    }
}
