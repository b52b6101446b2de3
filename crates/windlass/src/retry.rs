//! When a failed job is tried again.

use std::time::Duration;

use crate::random::random;

/// A retry policy: how long to wait after the nth failure.
///
/// The default doubles from one second up to an hour and spreads each wait over its upper half, so that
/// jobs which failed together do not come back together: 25 attempts take about half a day.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Retry {
    /// `base` doubled with every failure, up to `cap`; the actual wait is between half of that and all.
    Exponential {
        /// The wait after the first failure.
        base: Duration,
        /// The longest wait.
        cap: Duration,
    },
    /// Always the same wait.
    Fixed(Duration),
    /// `step` times the number of failures, up to `cap`.
    Linear {
        /// What each failure adds.
        step: Duration,
        /// The longest wait.
        cap: Duration,
    },
    /// No second attempt: the first failure is final.
    Never,
}

impl Default for Retry {
    fn default() -> Self {
        Self::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(3600) }
    }
}

impl Retry {
    /// The wait after the `failed`th failure, or `None` when there is no further attempt.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::Retry;
    /// assert_eq!(Retry::Fixed(Duration::from_secs(5)).delay(3), Some(Duration::from_secs(5)));
    /// assert_eq!(Retry::Never.delay(1), None);
    /// ```
    pub fn delay(&self, failed: u32) -> Option<Duration> {
        match *self {
            Self::Never => None,
            Self::Fixed(delay) => Some(delay),
            Self::Linear { step, cap } => Some(step.saturating_mul(failed).min(cap)),
            Self::Exponential { base, cap } => {
                let factor = 1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
                let whole = base.saturating_mul(factor).min(cap);
                let spread = (random() % 1024) as u32;
                Some(whole / 2 + (whole / 2) * spread / 1024)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_delays_stay_between_half_and_all() {
        let retry = Retry::default();
        for failed in 1..60 {
            let whole = Duration::from_secs(2u64.saturating_pow(failed - 1).min(3600));
            let delay = retry.delay(failed).unwrap();
            assert!(delay >= whole / 2 && delay <= whole, "{failed}: {delay:?}");
        }
    }

    #[test]
    fn linear_delays_grow_to_their_cap() {
        let retry = Retry::Linear { step: Duration::from_secs(2), cap: Duration::from_secs(5) };
        assert_eq!([1, 2, 9].map(|failed| retry.delay(failed).unwrap().as_secs()), [2, 4, 5]);
    }
}
