//! In which order queues are looked at.

use crate::random::random;

/// Most queues of one worker: each is part of every fetch.
pub(super) const QUEUES_MAX: usize = 256;

/// The queues of a worker: strict ones in their order, then weighted ones, shuffled for every fetch.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    strict: Vec<String>,
    weighted: Vec<(String, u32)>,
}

impl Order {
    pub(super) fn add(&mut self, queue: String, weight: Option<u32>) {
        if self.queues().any(|known| known == queue) {
            return;
        }
        match weight {
            None => self.strict.push(queue),
            Some(weight) => self.weighted.push((queue, weight)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.strict.is_empty() && self.weighted.is_empty()
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        self.strict.iter().chain(self.weighted.iter().map(|(queue, _)| queue)).map(String::as_str)
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let count = self.strict.len() + self.weighted.len();
        if count > QUEUES_MAX {
            problems.push(format!("the worker has {count} queues, more than {QUEUES_MAX}"));
        }
        let idle = self.weighted.iter().filter(|(_, weight)| *weight == 0);
        problems.extend(idle.map(|(queue, _)| format!("the queue `{queue}` has weight 0, use 1 or more")));
        problems
    }

    /// Numbers of the queues, as [`queues`](Self::queues) counts them, in the order for one fetch.
    pub(super) fn draw(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.strict.len()).collect();
        let mut rest: Vec<(usize, u64)> = self
            .weighted
            .iter()
            .enumerate()
            .map(|(i, (_, weight))| (self.strict.len() + i, u64::from(*weight)))
            .collect();
        while !rest.is_empty() {
            let total: u64 = rest.iter().map(|(_, weight)| weight).sum();
            let mut ticket = random() % total.max(1);
            let drawn = rest.iter().position(|(_, weight)| {
                let is_drawn = ticket < *weight;
                ticket = ticket.saturating_sub(*weight);
                is_drawn
            });
            order.push(rest.remove(drawn.unwrap_or(0)).0);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_queues_keep_their_order_and_weighted_ones_follow() {
        let mut order = Order::default();
        order.add("low".into(), Some(1));
        order.add("a".into(), None);
        order.add("high".into(), Some(9));
        order.add("b".into(), None);
        order.add("a".into(), None);
        assert_eq!(order.queues().collect::<Vec<_>>(), ["a", "b", "low", "high"]);
        let draws: Vec<_> = (0..2000).map(|_| order.draw()).collect();
        assert!(draws.iter().all(|draw| draw[..2] == [0, 1] && draw.len() == 4));
        let high_first = draws.iter().filter(|draw| draw[2] == 3).count();
        assert!((1600..=1960).contains(&high_first), "{high_first}");
    }
}
