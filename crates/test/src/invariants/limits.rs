//! Lanes, limits and what is held of them: every counter says what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::Snapshot;

impl Snapshot {
    pub(super) fn check_limits(&self, problems: &mut Vec<String>) {
        self.check_permits(problems);
        self.check_lanes(problems);
    }

    /// Who holds something of a limit is there, and `caps` counts the holders. No more hold it than the cap allows, which is
    /// for the caller to ask where no cap was lowered: [`holders`](Self::holders).
    fn check_permits(&self, problems: &mut Vec<String>) {
        let places = self.places();
        for ((name, queue), permits) in &self.of_queue {
            for id in permits.keys().filter(|_| name == "permits") {
                if places.get(id).is_none_or(|places| places[0].has_ended()) {
                    problems.push(format!("{id} of {queue} has ended and holds {:?}", permits[id]));
                }
            }
        }
        let caps: BTreeMap<_, _> = self
            .hash("caps")
            .iter()
            .map(|(limit, count)| (limit.clone(), count.parse().unwrap_or(-1)))
            .collect();
        let holders = self.holders();
        if caps != holders {
            problems.push(format!("held are {holders:?}, and counted {caps:?}"));
        }
    }

    /// How many jobs hold each limit.
    pub fn holders(&self) -> BTreeMap<String, i64> {
        let mut holders = BTreeMap::new();
        for ((name, _), permits) in &self.of_queue {
            for limits in permits.values().filter(|_| name == "permits") {
                limits.split('\n').for_each(|limit| *holders.entry(limit.to_owned()).or_default() += 1);
            }
        }
        holders
    }

    /// A lane that is not empty has a turn or waits for a limit, its queue knows that it is to be looked for, and the sizes
    /// are right.
    fn check_lanes(&self, problems: &mut Vec<String>) {
        let mut waits = BTreeMap::new();
        for ((name, queue), fields) in &self.of_queue {
            let lanes = fields.iter().filter(|_| name == "waits");
            waits.extend(lanes.map(|(lane, member)| (lane.clone(), (queue.clone(), member.clone()))));
        }
        let members: BTreeSet<_> = waits.values().map(|(_, member)| member.as_str()).collect();
        let blocked: BTreeSet<_> = self.members("blocked").collect();
        if members != blocked {
            problems.push(format!("lanes wait for {members:?}, and blocked are {blocked:?}"));
        }
        let mut sizes = BTreeMap::<&str, u64>::new();
        for (lane, ids) in &self.lanes {
            let queue = lane.split('/').next().unwrap_or_default();
            *sizes.entry(queue).or_default() += ids.len() as u64;
            let has_turn = self.turns.get(queue).is_some_and(|turns| turns.contains_key(lane));
            if has_turn == waits.contains_key(lane) {
                problems.push(format!("{lane} has a turn: {has_turn}, and waits for {:?}", waits.get(lane)));
            }
            if !self.hash_of("gate", queue).contains_key("ruled") {
                problems.push(format!("{queue} has lanes and its gate does not say so"));
            }
        }
        let paced = self.of_queue.keys().filter(|(name, _)| name == "pace").map(|(_, queue)| queue.as_str());
        for queue in paced.chain(sizes.keys().copied()).collect::<BTreeSet<_>>() {
            let counted = self.hash_of("pace", queue).get("size").map_or(Ok(0), |size| size.parse::<u64>());
            let there = sizes.get(queue).copied().unwrap_or(0);
            if counted != Ok(there) {
                problems.push(format!("in the lanes of {queue} are {there} jobs, and counted {counted:?}"));
            }
        }
    }
}
