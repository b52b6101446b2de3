//! When a failed job is tried again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::Failure;
use crate::random::random;

/// A retry policy: how long to wait after the nth failure. [`Failure::retry_in`] goes before it, and the job's
/// attempts are its limit.
///
/// The default doubles from one second up to an hour and spreads each wait over its upper half, so that
/// jobs which failed together do not come back together: 25 attempts take about half a day.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Failure, Retry};
///
/// let patient = Retry::Sidekiq;
/// let steps = Retry::list([1, 10, 60].map(Duration::from_secs));
/// let by_error = Retry::by_error(|failure| match failure.class() {
///     "RateLimited" => Retry::Fixed(Duration::from_secs(60)),
///     "BadAddress" => Retry::Never,
///     _ => Retry::default(),
/// });
/// let refused = Failure::retry("no such street").of_class("BadAddress");
/// assert_eq!(by_error.delay(&refused, 1), None);
/// # let _ = (patient, steps);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Retry {
    /// `base` doubled with every failure, up to `cap`; the actual wait is between half of that and all.
    Exponential {
        /// The wait after the first failure.
        base: Duration,
        /// The longest wait.
        cap: Duration,
    },
    /// Sidekiq's curve: 15 s and the fourth power of the failures before this one, in seconds, and up to ten seconds
    /// for each failure by chance. 25 attempts take about 17 days.
    Sidekiq,
    /// Always the same wait.
    Fixed(Duration),
    /// `step` times the number of failures, up to `cap`.
    Linear {
        /// What each failure adds.
        step: Duration,
        /// The longest wait.
        cap: Duration,
    },
    /// These waits in turn, and the last one again and again; see [`Retry::list`].
    List(Arc<[Duration]>),
    /// What a function says; see [`Retry::function`].
    Function(Function),
    /// No second attempt: the first failure is final.
    Never,
}

type Wait = dyn Fn(&Failure, u32) -> Option<Duration> + Send + Sync;

/// A function that says how long to wait.
#[derive(Clone)]
pub struct Function(Arc<Wait>);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(3600) }
    }
}

impl Retry {
    /// These waits in turn, and the last one again and again while there are attempts. None at all is
    /// [`Retry::Never`].
    pub fn list(waits: impl IntoIterator<Item = Duration>) -> Self {
        Self::List(waits.into_iter().collect())
    }

    /// What a function says of a failure, which is the nth of its job; `None` for no further attempt. When the function
    /// panics, the default policy stands in.
    pub fn function(wait: impl Fn(&Failure, u32) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self::Function(Function(Arc::new(wait)))
    }

    /// Another policy for each kind of error.
    pub fn by_error(choose: impl Fn(&Failure) -> Retry + Send + Sync + 'static) -> Self {
        Self::function(move |failure, failed| choose(failure).delay(failure, failed))
    }

    /// The wait after a failure, the `failed`th of its job, or `None` when there is no further attempt.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Failure, Retry};
    /// let failure = Failure::retry("no");
    /// assert_eq!(Retry::Fixed(Duration::from_secs(5)).delay(&failure, 3), Some(Duration::from_secs(5)));
    /// assert_eq!(Retry::Never.delay(&failure, 1), None);
    /// ```
    pub fn delay(&self, failure: &Failure, failed: u32) -> Option<Duration> {
        let before = failed.saturating_sub(1);
        match self {
            Self::Never => None,
            Self::Fixed(delay) => Some(*delay),
            Self::Linear { step, cap } => Some(step.saturating_mul(failed).min(*cap)),
            Self::Exponential { base, cap } => {
                let factor = 1u32.checked_shl(before).unwrap_or(u32::MAX);
                let whole = base.saturating_mul(factor).min(*cap);
                let spread = (random() % 1024) as u32;
                Some(whole / 2 + (whole / 2).saturating_mul(spread) / 1024)
            }
            Self::Sidekiq => {
                let before = u64::from(before);
                let jitter = random() % (10 * (before + 1));
                Some(Duration::from_secs(before.saturating_pow(4).saturating_add(15 + jitter)))
            }
            Self::List(waits) => waits.get(before as usize).or(waits.last()).copied(),
            Self::Function(Function(wait)) => wait(failure, failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(retry: &Retry, failed: u32) -> u64 {
        retry.delay(&Failure::retry("no"), failed).expect("there is another attempt").as_secs()
    }

    #[test]
    fn exponential_delays_stay_between_half_and_all() {
        let retry = Retry::default();
        for failed in 1..60 {
            let whole = Duration::from_secs(2u64.saturating_pow(failed - 1).min(3600));
            let delay = retry.delay(&Failure::retry("no"), failed).unwrap();
            assert!(delay >= whole / 2 && delay <= whole, "{failed}: {delay:?}");
        }
    }

    #[test]
    fn no_delay_is_too_long() {
        let retry = Retry::Exponential { base: Duration::MAX, cap: Duration::MAX };
        assert!(seconds(&retry, 9) >= Duration::MAX.as_secs() / 2);
    }

    #[test]
    fn linear_delays_grow_to_their_cap() {
        let retry = Retry::Linear { step: Duration::from_secs(2), cap: Duration::from_secs(5) };
        assert_eq!([1, 2, 9].map(|failed| seconds(&retry, failed)), [2, 4, 5]);
    }

    #[test]
    fn sidekiqs_curve_is_sidekiqs() {
        for (failed, least) in [(1, 15), (2, 16), (3, 31), (11, 10_015), (25, 331_791)] {
            let delay = seconds(&Retry::Sidekiq, failed);
            assert!((least..least + 10 * u64::from(failed)).contains(&delay), "{failed}: {delay}");
        }
        let all: u64 = (1..25).map(|failed| seconds(&Retry::Sidekiq, failed)).sum();
        assert!((16..18).contains(&(all / 86_400)), "{all}");
        assert!(seconds(&Retry::Sidekiq, u32::MAX) > 0);
    }

    #[test]
    fn a_lists_last_wait_is_repeated() {
        let retry = Retry::list([1, 5].map(Duration::from_secs));
        assert_eq!([1, 2, 3, 9].map(|failed| seconds(&retry, failed)), [1, 5, 5, 5]);
        assert_eq!(Retry::list([]).delay(&Failure::retry("no"), 1), None);
    }

    #[test]
    fn a_function_sees_the_error_and_the_count() {
        let retry = Retry::by_error(|failure| match failure.is::<std::fmt::Error>() {
            true => Retry::Never,
            false => Retry::function(|_, failed| Some(Duration::from_secs(u64::from(failed) * 3))),
        });
        assert_eq!(retry.delay(&Failure::from(std::fmt::Error), 1), None);
        assert_eq!(seconds(&retry, 4), 12);
    }
}
