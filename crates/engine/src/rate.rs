//! How many commands run in a second, as Redis tells it: a mean of the last one and a half.

use std::collections::VecDeque;

use crate::time::Time;

/// The time between two looks at the counter...
const STEP_US: u64 = 100_000;
/// ...of which so many are kept.
const STEPS: usize = 16;
/// The time that the mean is of.
const WINDOW_US: u64 = STEP_US * STEPS as u64;

/// Looks at a counter, which is told by whoever counts. Nothing happens while nothing is counted.
#[derive(Debug, Default)]
pub struct Rate {
    /// When the counter was looked at, and what it was.
    seen: VecDeque<(u64, u64)>,
    /// When to look again.
    next_us: u64,
}

impl Rate {
    /// Takes notice that the counter is `count` before it goes on.
    pub fn note(&mut self, count: u64, now: Time) {
        if now.micros() >= self.next_us {
            self.look(count, now);
        }
    }

    #[cold]
    fn look(&mut self, count: u64, now: Time) {
        self.seen.truncate(STEPS - 1);
        self.seen.push_front((now.micros(), count));
        self.next_us = now.micros() + STEP_US;
    }

    /// How much a second the counter grew by lately; it is `count` now.
    pub fn per_second(&self, count: u64, now: Time) -> u64 {
        let start = now.micros().saturating_sub(WINDOW_US);
        let before = self.seen.iter().take_while(|(at, _)| *at >= start).last();
        before.map_or(0, |(_, before)| (count - before) * 1_000_000 / WINDOW_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_moments() {
        let mut rate = Rate::default();
        let at = |ms| Time::from_millis(1_000_000 + ms);
        assert_eq!(rate.per_second(0, at(0)), 0);
        // One in each millisecond.
        for count in 0..5000 {
            rate.note(count, at(count));
        }
        let now = rate.per_second(5000, at(5000));
        assert!((900..=1000).contains(&now), "{now}");
        let later = rate.per_second(5000, at(5800));
        assert!((400..=600).contains(&later), "{later}");
        assert_eq!(rate.per_second(5000, at(7000)), 0);
        // After a pause only what came since counts.
        rate.note(5000, at(60_000));
        assert_eq!(rate.per_second(5016, at(60_001)), 10);
    }
}
