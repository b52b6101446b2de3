//! What is counted of ended jobs is what is there.

use std::collections::BTreeMap;

use windlass::State;

use super::snapshot::Snapshot;

impl Snapshot {
    /// `kept` has the number of ended jobs of each queue and state, and the bytes of their records.
    pub(super) fn check_kept(&self, problems: &mut Vec<String>) {
        let mut there = BTreeMap::<String, (usize, usize)>::new();
        for state in State::STORED.into_iter().filter(|state| state.is_final()) {
            for id in self.members(state.as_str()) {
                let queue = id.split('/').next().unwrap_or_default();
                let (jobs, bytes) = there.entry(format!("{state}/{queue}")).or_default();
                *jobs += 1;
                *bytes += self.hash("jobs").get(id).map_or(0, String::len);
            }
        }
        let there = there.into_iter().map(|(field, (jobs, bytes))| (field, format!("{jobs} {bytes}")));
        let there: BTreeMap<_, _> = there.collect();
        if there != *self.hash("kept") {
            problems.push(format!("kept are {there:?}, and counted {:?}", self.hash("kept")));
        }
    }
}
