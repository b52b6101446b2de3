//! Each job is in exactly one place, and what points to it points to where it is.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass::State;

use super::snapshot::Snapshot;

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the stream of its queue, as this entry, pending under this consumer.
    Stream(String, Option<String>),
    /// In the set of a state.
    Set(State),
    /// In a lane.
    Lane(String),
}

impl Place {
    /// Whether the job has ended and is kept.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Set(State::Dead | State::Discarded | State::Cancelled))
    }
}

impl Snapshot {
    /// Every place of every job; one that has ended well is nowhere.
    pub fn places(&self) -> &BTreeMap<String, Vec<Place>> {
        self.places.get_or_init(|| self.find_places())
    }

    /// The envelope of every job that is there; null where it cannot be read.
    pub fn envelopes(&self) -> &BTreeMap<String, Value> {
        self.envelopes.get_or_init(|| self.read_envelopes())
    }

    fn find_places(&self) -> BTreeMap<String, Vec<Place>> {
        let mut places = BTreeMap::<String, Vec<Place>>::new();
        for (queue, entries) in &self.streams {
            for entry in entries {
                let id = entry.fields.get("i").cloned().unwrap_or_else(|| format!("{queue}/{}", entry.id));
                places.entry(id).or_default().push(Place::Stream(entry.id.clone(), entry.holder.clone()));
            }
        }
        for state in State::STORED {
            for id in self.members(state.as_str()) {
                places.entry(id.into()).or_default().push(Place::Set(state));
            }
        }
        for (lane, ids) in &self.lanes {
            for id in ids.keys() {
                places.entry(id.clone()).or_default().push(Place::Lane(lane.clone()));
            }
        }
        places
    }

    fn read_envelopes(&self) -> BTreeMap<String, Value> {
        let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
        let stored = self.hash("jobs").iter().map(|(id, record)| {
            (id.clone(), record.split_once('\n').map_or(Value::Null, |(_, envelope)| read(envelope)))
        });
        let queued = self.streams.iter().flat_map(|(queue, entries)| {
            entries.iter().map(move |entry| {
                let id = entry.fields.get("i").cloned().unwrap_or_else(|| format!("{queue}/{}", entry.id));
                (id, entry.fields.get("j").map_or(Value::Null, |envelope| read(envelope)))
            })
        });
        stored.chain(queued).collect()
    }

    pub(super) fn check_places(&self, problems: &mut Vec<String>) {
        let places = self.places();
        for (id, places) in places.iter().filter(|(_, places)| places.len() != 1) {
            problems.push(format!("{id} is in {places:?}"));
        }
        self.check_records(places, problems);
        self.check_redirects(problems);
        self.check_queues(problems);
        self.check_ends(places, problems);
        self.check_locks(places, problems);
        problems.extend(self.strange.iter().map(|key| format!("{key} was left behind")));
        let (crons, next) = (self.hash("cron"), self.sets.get("cron-next"));
        for name in next.into_iter().flat_map(|next| next.keys()).filter(|name| !crons.contains_key(*name)) {
            problems.push(format!("{name} is due and no cron entry"));
        }
    }

    /// `jobs` holds what is stored, in the state of its set, and nothing else.
    fn check_records(&self, places: &BTreeMap<String, Vec<Place>>, problems: &mut Vec<String>) {
        let jobs = self.hash("jobs");
        for (id, record) in jobs {
            let history = record.split_once('\n').map_or("", |(history, _)| history);
            let history: Value = serde_json::from_str(history).unwrap_or_default();
            let state = match places.get(id).and_then(|places| places.first()) {
                Some(Place::Set(state)) => state.as_str(),
                Some(Place::Lane(_)) => "enqueued",
                place => {
                    problems.push(format!("{id} has a record and is in {place:?}"));
                    continue;
                }
            };
            if history["state"] != state {
                problems.push(format!("{id} is {state} and its record says {history}"));
            }
        }
        for (id, places) in places {
            if !matches!(places[0], Place::Stream(..)) && !jobs.contains_key(id) {
                problems.push(format!("{id} is in {places:?} without a record"));
            }
        }
    }

    /// `moved` names the entries of the jobs that are in a stream under another id, and nothing else.
    fn check_redirects(&self, problems: &mut Vec<String>) {
        let moved = self.hash("moved");
        let mut found = BTreeMap::new();
        for (queue, entries) in &self.streams {
            for entry in entries {
                if let Some(id) = entry.fields.get("i") {
                    found.insert(id.clone(), format!("{queue}/{}", entry.id));
                }
            }
        }
        if *moved != found {
            problems.push(format!("redirects are {moved:?}, and what is moved is {found:?}"));
        }
    }

    /// What is in a queue is found there: it is known, its gate says what is unusual, and what is noted of its entries is
    /// of entries that are there.
    fn check_queues(&self, problems: &mut Vec<String>) {
        for (queue, gone) in self.gone.iter().filter(|(_, gone)| !gone.is_empty()) {
            problems.push(format!("{gone:?} of {queue} are pending without a job"));
        }
        for (queue, entries) in &self.streams {
            if !entries.is_empty() && !self.queues.contains(queue) {
                problems.push(format!("{queue} has jobs and is not known"));
            }
            let gate = self.hash_of("gate", queue);
            for (consumer, field) in [("~recovered", "recovered"), ("~suspect", "suspect")] {
                let waits = entries.iter().any(|entry| entry.holder.as_deref() == Some(consumer));
                if waits && !gate.contains_key(field) {
                    problems.push(format!("{queue} has {field} jobs and its gate does not say so"));
                }
            }
            for suspect in self.hash_of("suspect", queue).keys() {
                if !entries.iter().any(|entry| entry.id == *suspect && entry.holder.is_some()) {
                    problems.push(format!("{suspect} of {queue} is a suspect and not there"));
                }
            }
        }
    }

    /// An end is told once, that of a success of a job that is nowhere; counters say how many there were.
    fn check_ends(&self, places: &BTreeMap<String, Vec<Place>>, problems: &mut Vec<String>) {
        let stat = |name: &str| self.hash("stats").get(name).map_or(0, |count| count.parse().unwrap_or(0));
        for (id, states) in &self.results {
            let has_ended = |places: &[Place]| places[0].has_ended();
            let is_right = match places.get(id) {
                None => states.len() == 1,
                Some(places) => states.len() == 1 && states[0] != "completed" && has_ended(places),
            };
            if !is_right {
                problems.push(format!("{id} is in {:?} and told as {states:?}", places.get(id)));
            }
        }
        for (id, envelope) in self.envelopes() {
            let has_ended = places.get(id).is_some_and(|places| places[0].has_ended());
            if has_ended && envelope["result"].is_number() && !self.results.contains_key(id) {
                problems.push(format!("{id} has ended, and nobody who waits for it is told"));
            }
        }
        for state in ["dead", "discarded", "cancelled"] {
            if stat(state) < self.members(state).count() {
                problems.push(format!(
                    "{} are {state}, {} were counted",
                    self.members(state).count(),
                    stat(state)
                ));
            }
        }
    }

    /// A lock names a job that is there, or expires; no two jobs that wait have the same.
    fn check_locks(&self, places: &BTreeMap<String, Vec<Place>>, problems: &mut Vec<String>) {
        for (lock, (id, expires)) in &self.locks {
            if !expires && !places.contains_key(id) {
                problems.push(format!("{lock} keeps equal jobs out for {id}, which is not there"));
            }
        }
        let mut waiting = BTreeMap::<String, Vec<String>>::new();
        for (id, envelope) in self.envelopes() {
            let is_waiting = places.get(id).is_some_and(|places| match &places[0] {
                Place::Stream(_, holder) => holder.as_ref().is_none_or(|holder| holder.starts_with('~')),
                place => !place.has_ended(),
            });
            if let (true, Some(lock)) = (is_waiting, envelope["unique"].as_str()) {
                waiting.entry(lock.into()).or_default().push(id.clone());
            }
        }
        for (lock, ids) in waiting.into_iter().filter(|(_, ids)| ids.len() > 1) {
            problems.push(format!("{ids:?} are equal by {lock}"));
        }
    }
}
