//! What is to be pushed for an entry that is due, and when it is due next: pure, from the times alone.

use super::{CatchUp, Cron};

/// How late a run may be and still be on time under [`CatchUp::Skip`], in milliseconds: more than a worker
/// takes to look again or a small outage lasts.
pub(crate) const ON_TIME_MS: u64 = 60_000;

/// What to do about an entry that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The times to push a job for, oldest first.
    pub(crate) runs: Vec<u64>,
    /// Whether some times are left out, by the policy of catching up.
    pub(crate) has_missed: bool,
    /// The next time, and the moment at which it is due; `None` at the end of the calendar.
    pub(crate) next: Option<(u64, u64)>,
}

impl Cron {
    /// What to do at `now`, a moment at which the time `due` has been reached.
    pub(crate) fn plan(&self, due: u64, now: u64) -> Plan {
        let newest = self.newest(due, now);
        let runs = match self.catch_up {
            CatchUp::Skip if now.saturating_sub(self.moment(newest)) > ON_TIME_MS => Vec::new(),
            CatchUp::Skip | CatchUp::Once => vec![newest],
            CatchUp::All(most) => self.newest_of(due, newest, most),
        };
        let has_missed = runs.first() != Some(&due);
        let next = self.schedule.next(newest).map(|next| (next, self.moment(next)));
        Plan { runs, has_missed, next }
    }

    /// The first time after `now` and the moment at which it is due.
    pub(crate) fn first(&self, now: u64) -> Option<(u64, u64)> {
        self.schedule.next(now).map(|next| (next, self.moment(next)))
    }

    /// The newest time that was reached; `due` itself was.
    fn newest(&self, due: u64, now: u64) -> u64 {
        let last = self.schedule.last(due, now);
        // Its own jitter may not have passed yet; that of the time before it has, since it ends before.
        if last > due && self.moment(last) > now { self.schedule.last(due, last - 1) } else { last }
    }

    /// The newest times from `due` to `newest`, at most `most`, oldest first.
    fn newest_of(&self, due: u64, newest: u64, most: u32) -> Vec<u64> {
        let mut runs = vec![newest];
        let mut oldest = newest;
        while oldest > due && runs.len() < most as usize {
            oldest = self.schedule.last(due, oldest - 1);
            runs.push(oldest);
        }
        runs.reverse();
        runs
    }

    /// The moment at which a time is due: up to the jitter later, and before the time after it. Every
    /// instance comes to the same one.
    fn moment(&self, time: u64) -> u64 {
        let jitter = self.jitter_ms();
        if jitter == 0 {
            return time;
        }
        let room = self.schedule.next(time).map_or(jitter, |next| jitter.min(next - time));
        time + spread(&self.name, time) % room.max(1)
    }
}

/// A number that looks random and is the same everywhere: FNV-1a, and its bits mixed.
fn spread(name: &str, time: u64) -> u64 {
    let bytes = name.bytes().chain(time.to_le_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: u64 = 60_000;

    /// A minute that every expression here names.
    const DUE: u64 = 1_760_000_400_000;

    fn cron(spec: &str, catch_up: CatchUp) -> Cron {
        Cron::new("n", spec).unwrap().catch_up(catch_up).unwrap()
    }

    #[test]
    fn one_that_is_on_time_runs_under_every_policy() {
        for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All(3)] {
            let plan = cron("* * * * *", catch_up).plan(DUE, DUE + 400);
            let next = Some((DUE + MINUTE, DUE + MINUTE));
            assert_eq!(plan, Plan { runs: vec![DUE], has_missed: false, next }, "{catch_up:?}");
        }
    }

    #[test]
    fn missed_ones_are_made_up_as_the_policy_says() {
        let now = DUE + 10 * MINUTE + 30_000;
        let next = Some((DUE + 15 * MINUTE, DUE + 15 * MINUTE));
        let five = |catch_up| cron("*/5 * * * *", catch_up).plan(DUE, now);
        let all = vec![DUE, DUE + 5 * MINUTE, DUE + 10 * MINUTE];
        assert_eq!(five(CatchUp::Once), Plan { runs: all[2..].to_vec(), has_missed: true, next });
        assert_eq!(five(CatchUp::All(2)), Plan { runs: all[1..].to_vec(), has_missed: true, next });
        assert_eq!(five(CatchUp::All(3)), Plan { runs: all.clone(), has_missed: false, next });
        assert_eq!(five(CatchUp::All(9)), Plan { runs: all.clone(), has_missed: false, next });
        // What is left when somebody ended between two calls of a catching up is the same as without.
        let rest = cron("*/5 * * * *", CatchUp::All(3)).plan(DUE + 5 * MINUTE, now);
        assert_eq!(rest, Plan { runs: all[1..].to_vec(), has_missed: false, next });
        // The newest is on time, the others are not.
        assert_eq!(five(CatchUp::Skip), Plan { runs: all[2..].to_vec(), has_missed: true, next });
        let late = cron("*/5 * * * *", CatchUp::Skip).plan(DUE, now + MINUTE);
        assert_eq!(late, Plan { runs: vec![], has_missed: true, next });
    }

    #[test]
    fn an_outage_of_years_costs_little() {
        let now = DUE + 5 * 365 * 24 * 60 * MINUTE;
        let plan = cron("* * * * * *", CatchUp::All(100)).plan(DUE, now);
        assert_eq!(plan.runs, (now - 99_000..=now).step_by(1000).collect::<Vec<_>>());
        assert_eq!(plan.next, Some((now + 1000, now + 1000)));
    }

    #[test]
    fn jitter_is_the_same_everywhere_and_keeps_the_order() {
        let cron =
            |name: &str| Cron::new(name, "* * * * *").unwrap().jitter(Duration::from_secs(3600)).unwrap();
        let moments: Vec<_> = (0..1000).map(|n| cron("a").moment(DUE + n * MINUTE)).collect();
        for (n, moment) in (0..).zip(&moments) {
            let time = DUE + n * MINUTE;
            assert!((time..time + MINUTE).contains(moment), "within its minute");
        }
        assert_eq!(moments, (0..1000).map(|n| cron("a").moment(DUE + n * MINUTE)).collect::<Vec<_>>());
        assert_ne!(moments, (0..1000).map(|n| cron("b").moment(DUE + n * MINUTE)).collect::<Vec<_>>());
        let late =
            moments.iter().zip(0..).filter(|(moment, n)| **moment - DUE - n * MINUTE >= MINUTE / 2).count();
        assert!((400..600).contains(&late), "{late} of 1000 are in the second half");
    }

    #[test]
    fn a_time_whose_jitter_has_not_passed_is_not_pushed_with_the_one_before() {
        let cron = cron("* * * * *", CatchUp::Once).jitter(Duration::from_secs(59)).unwrap();
        let (first, second) = (cron.moment(DUE), cron.moment(DUE + MINUTE));
        for now in [first, second - 1] {
            let plan = cron.plan(DUE, now);
            assert_eq!((plan.runs, plan.next), (vec![DUE], Some((DUE + MINUTE, second))));
        }
        assert_eq!(cron.plan(DUE, second).runs, [DUE + MINUTE]);
    }
}
