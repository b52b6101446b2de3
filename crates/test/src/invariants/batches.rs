//! Batches count what is there, and everything that is due of one has happened.

use std::collections::BTreeMap;

use super::places::Place;
use super::snapshot::{Fields, Snapshot};

impl Snapshot {
    pub(super) fn check_batches(&self, problems: &mut Vec<String>) {
        let jobs = self.jobs_of_batches();
        for (id, batch) in &self.batches {
            self.check_counts(id, batch, jobs.get(id).map_or(&[], Vec::as_slice), problems);
            self.check_ended(id, batch, problems);
            self.check_nesting(id, batch, problems);
        }
        for id in jobs.keys().filter(|id| !self.batches.contains_key(*id)) {
            problems.push(format!("the batch {id} is forgotten and has jobs"));
        }
        for id in self.members("nested").filter(|id| !self.batches.contains_key(*id)) {
            problems.push(format!("the batch {id} is nested, open and not there"));
        }
    }

    /// Where the jobs of each batch are.
    fn jobs_of_batches(&self) -> BTreeMap<String, Vec<Place>> {
        let (envelopes, mut jobs) = (self.envelopes(), BTreeMap::<String, Vec<Place>>::new());
        for (id, places) in self.places() {
            if let Some(batch) = envelopes.get(id).and_then(|job| job["flow"]["batch"].as_str()) {
                jobs.entry(batch.into()).or_default().push(places[0].clone());
            }
        }
        // What has ended may outlive its batch.
        jobs.retain(|id, places| {
            self.batches.contains_key(id) || places.iter().any(|place| !place.has_ended())
        });
        jobs
    }

    fn check_counts(&self, id: &str, batch: &Fields, jobs: &[Place], problems: &mut Vec<String>) {
        let [total, pending, succeeded, dead, cancelled] =
            ["total", "pending", "succeeded", "dead", "cancelled"].map(|name| number(batch, name));
        if total != pending + succeeded + dead + cancelled {
            problems.push(format!("the batch {id} counts {batch:?}"));
        }
        let going = jobs.iter().filter(|job| !job.has_ended()).count() as i64;
        if pending != going {
            problems.push(format!("of the batch {id} {going} jobs go on, and counted are {pending}"));
        }
        // Ended jobs that were removed stay counted.
        if dead + cancelled < jobs.len() as i64 - going {
            problems
                .push(format!("the batch {id} has {jobs:?} and counts {dead} dead, {cancelled} cancelled"));
        }
        if let Some(items) = batch.get("items") {
            let kept = self.items.get(id).map_or(0, |items| items.len() as i64);
            let bytes: usize = self.items.get(id).map_or(0, |items| items.values().map(String::len).sum());
            if kept > number(batch, "items") || kept < succeeded + dead + cancelled {
                problems.push(format!("the group {id} keeps {kept} of {items} results: {batch:?}"));
            }
            if bytes as i64 != number(batch, "bytes") {
                problems.push(format!("the results of the group {id} take {bytes} bytes: {batch:?}"));
            }
        }
    }

    /// What is to happen at the end of a batch has happened once its end was there.
    fn check_ended(&self, id: &str, batch: &Fields, problems: &mut Vec<String>) {
        let is_over = batch.get("state").is_some_and(|state| state == "closed")
            && number(batch, "pending") == 0
            && number(batch, "children") == 0;
        if is_over && !batch.contains_key("completed_at") {
            problems.push(format!("the batch {id} is over and has not completed: {batch:?}"));
        }
        let has_succeeded =
            number(batch, "succeeded") == number(batch, "total") && number(batch, "unsuccessful") == 0;
        if is_over && has_succeeded && !batch.contains_key("succeeded_at") {
            problems.push(format!("the batch {id} is over and has not succeeded: {batch:?}"));
        }
        if number(batch, "dead") > 0 && !batch.contains_key("died_at") {
            problems.push(format!("the batch {id} has dead jobs and no time of that: {batch:?}"));
        }
    }

    fn check_nesting(&self, id: &str, batch: &Fields, problems: &mut Vec<String>) {
        let children =
            || self.batches.values().filter(|child| child.get("parent").is_some_and(|parent| parent == id));
        let count = |without: &str| children().filter(|child| !child.contains_key(without)).count() as i64;
        let (going, failed) = (count("completed_at"), count("succeeded_at"));
        if (number(batch, "children"), number(batch, "unsuccessful")) != (going, failed) {
            problems.push(format!(
                "in the batch {id} are nested {going} that go on, {failed} without success: {batch:?}"
            ));
        }
        let is_open = batch.get("state").is_some_and(|state| state == "open");
        if is_open && batch.contains_key("parent") {
            if !self.members("nested").any(|open| open == id) {
                problems.push(format!("the nested batch {id} is open and nobody will close it"));
            }
        } else if self.members("nested").any(|open| open == id) {
            problems.push(format!("the batch {id} is not open any more and among those that are"));
        }
        let by_opener = batch
            .get("opener")
            .is_some_and(|opener| self.opened.get(opener).is_some_and(|opened| opened.contains(id)));
        if by_opener && !is_open {
            problems.push(format!("the batch {id} is not open any more and its opener has it as that"));
        }
    }
}

fn number(batch: &Fields, name: &str) -> i64 {
    batch.get(name).map_or(0, |number| number.parse().unwrap_or(-1))
}
