//! A bulk load that is not due all at once.

use super::{Client, Push};
use crate::broker::{Due, ms};
use crate::error::{Error, Result};

/// Deals out when each job of a bulk load is due, from the first to the last.
pub(super) struct Spread {
    /// By the store's clock, in milliseconds since 1970: so a load that takes long to be sent keeps its times.
    start_ms: u64,
    /// Whether jobs of the first moment need not wait for the Scheduler.
    begins_now: bool,
    period_ms: u64,
    count: u64,
    dealt: u64,
}

impl Spread {
    /// When the next job is due; `None` is at once. An iterator that gives more than it promised has the rest at the
    /// end of the time.
    pub(super) fn deal(&mut self) -> Option<Due> {
        let part =
            u128::from(self.period_ms) * u128::from(self.dealt.min(self.count)) / u128::from(self.count);
        self.dealt += 1;
        // A part of a number of milliseconds is one, too.
        let offset = u64::try_from(part).unwrap_or(u64::MAX);
        let is_now = self.begins_now && offset == 0;
        (!is_now).then(|| Due::At(self.start_ms.saturating_add(offset)))
    }
}

impl Client {
    /// What deals out the times of a bulk load whose iterator has this `size_hint`, if it is to be spread.
    pub(super) async fn spread(
        &self,
        options: &Push,
        size: (usize, Option<usize>),
    ) -> Result<Option<Spread>> {
        let Some(period) = options.spread.filter(|period| !period.is_zero()) else { return Ok(None) };
        let (least, most) = size;
        if most != Some(least) {
            return Err(Error::Push {
                option: "spread",
                problem: "has to know how many jobs there are: give them as a list, or as an iterator of exact size"
                    .into(),
            });
        }
        let now = self.broker().now_ms().await?;
        let start_ms = match options.due {
            None => now,
            Some(Due::In(delay)) => now.saturating_add(ms(delay)),
            Some(Due::At(at)) => at,
        };
        let (begins_now, count) = (options.due.is_none(), (least as u64).max(1));
        Ok(Some(Spread { start_ms, begins_now, period_ms: ms(period), count, dealt: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(period_ms: u64, count: u64, more: u64) -> Vec<Option<u64>> {
        let mut spread = Spread { start_ms: 1000, begins_now: true, period_ms, count, dealt: 0 };
        let at = |due| match due {
            Some(Due::At(at)) => at,
            other => panic!("{other:?}"),
        };
        (0..count + more).map(|_| spread.deal().map(|due| at(Some(due)))).collect()
    }

    #[test]
    fn parts_are_even_and_the_first_is_now() {
        assert_eq!(deal(100, 4, 0), [None, Some(1025), Some(1050), Some(1075)]);
        assert_eq!(deal(2, 4, 0), [None, None, Some(1001), Some(1001)], "finer than the clock tells");
        assert_eq!(deal(100, 1, 2), [None, Some(1100), Some(1100)], "more than was promised");
    }

    #[test]
    fn the_longest_time_and_the_most_jobs_do_not_overflow() {
        let mut spread = Spread {
            start_ms: u64::MAX,
            begins_now: false,
            period_ms: u64::MAX,
            count: u64::MAX,
            dealt: u64::MAX - 1,
        };
        assert_eq!(spread.deal(), Some(Due::At(u64::MAX)));
    }
}
