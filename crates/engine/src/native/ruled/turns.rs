//! Whose turn is next: the heads of the lanes, and what is to be written down of them.

use super::names::Names;
use crate::error::Result;
use crate::script::Scene;
use crate::types::{Hash, SortedSet};

/// How far one job moves its lane's turn, and how far the ranks are apart.
pub const UNIT: f64 = 1024.0;
const RANK_UNIT: f64 = (1_u64 << 44) as f64;
/// The rank of what has none.
pub const RANK_DEFAULT: u32 = 129;
/// Lanes that are read at a time.
const PAGE: usize = 128;

/// Where the turns of a rank begin.
pub fn floor(rank: u32) -> f64 {
    f64::from(rank) * RANK_UNIT
}

/// A lane with its turn.
pub struct Head {
    pub lane: Vec<u8>,
    pub score: f64,
    /// Where its change is among those that are to be written down, if its turn has changed.
    change: Option<usize>,
}

/// The turns of a queue's lanes, as far as they were read.
#[derive(Default)]
pub struct Turns {
    pub heads: Vec<Head>,
    /// Whether there may be lanes behind the last that was read.
    pub is_part: bool,
    /// Lanes whose turn has changed, in the order of their first change, with their turns; none for one that has none
    /// any more.
    changed: Vec<(Vec<u8>, Option<f64>)>,
    /// Lanes that have no turn any more.
    gone: Vec<Vec<u8>>,
}

impl Turns {
    /// Writes the turns down, and reads those that are next for as many jobs as there is room for.
    pub fn turn(&mut self, scene: &mut Scene, names: &Names, left: usize) -> Result<()> {
        let scores: Vec<(String, &[u8])> = self
            .changed
            .iter()
            .filter_map(|(lane, score)| Some((whole((*score)?), lane.as_slice())))
            .collect();
        if !scores.is_empty() {
            let mut command: Vec<&[u8]> = vec![b"ZADD", &names.turns];
            command.extend(scores.iter().flat_map(|(score, lane)| [score.as_bytes(), lane]));
            scene.run(&command)?;
        }
        if !self.gone.is_empty() {
            let mut command: Vec<&[u8]> = vec![b"ZREM", &names.turns];
            command.extend(self.gone.iter().map(Vec::as_slice));
            scene.run(&command)?;
        }
        self.changed.clear();
        self.gone.clear();
        self.heads.clear();
        if left == 0 {
            return Ok(());
        }
        let count = (left + 1).min(PAGE);
        let mut call = scene.view(&[]);
        if let Some(turns) = call.get::<SortedSet>(&names.turns)? {
            let page = turns.iter().take(count);
            self.heads.extend(page.map(|(lane, score)| Head { lane: lane.to_vec(), score, change: None }));
        }
        self.is_part = self.heads.len() == count;
        Ok(())
    }

    /// The lane has its next turn at `head.score`.
    pub fn set(&mut self, mut head: Head) {
        match head.change {
            Some(at) => self.changed[at].1 = Some(head.score),
            None => {
                head.change = Some(self.changed.len());
                self.changed.push((head.lane.clone(), Some(head.score)));
            }
        }
        let at = self.heads.partition_point(|other| other.score <= head.score);
        // Behind the last that was read there may be others before it.
        if at < self.heads.len() || !self.is_part {
            self.heads.insert(at, head);
        }
    }

    /// The lane is empty.
    pub fn leave(&mut self, head: Head) {
        if let Some(at) = head.change {
            self.changed[at].1 = None;
        }
        self.gone.push(head.lane);
    }
}

/// How far a queue's turns have come, by rank; and what its plain jobs, as one more lane, have.
#[derive(Default)]
pub struct Pace {
    known: Vec<(Field, f64)>,
    /// What is to be written down, in the order of the first change.
    changed: Vec<Field>,
}

/// What a pace is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Rank(u32),
    Plain,
}

impl Field {
    fn text(self) -> String {
        match self {
            Self::Rank(rank) => rank.to_string(),
            Self::Plain => "plain".to_owned(),
        }
    }
}

impl Pace {
    pub fn get(&mut self, scene: &mut Scene, names: &Names, field: Field) -> Result<f64> {
        if let Some((_, value)) = self.known.iter().find(|(other, _)| *other == field) {
            return Ok(*value);
        }
        let mut call = scene.view(&[]);
        let pace = call.get::<Hash>(&names.pace)?;
        let text = pace.and_then(|pace| pace.get(field.text().as_bytes()));
        let value = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0.0);
        self.known.push((field, value));
        Ok(value)
    }

    pub fn set(&mut self, field: Field, value: f64) {
        match self.known.iter_mut().find(|(other, _)| *other == field) {
            Some(known) => known.1 = value,
            None => self.known.push((field, value)),
        }
        if !self.changed.contains(&field) {
            self.changed.push(field);
        }
    }

    /// Writes down what has changed.
    pub fn write(&self, scene: &mut Scene, names: &Names) -> Result<()> {
        let value =
            |field: &Field| self.known.iter().find(|(other, _)| other == field).map(|(_, value)| *value);
        let texts: Vec<String> = self
            .changed
            .iter()
            .flat_map(|field| [field.text(), whole(value(field).unwrap_or_default())])
            .collect();
        if texts.is_empty() {
            return Ok(());
        }
        let mut command: Vec<&[u8]> = vec![b"HSET", &names.pace];
        command.extend(texts.iter().map(String::as_bytes));
        scene.run(&command).map(drop)
    }
}

/// A whole number as the store is told it.
pub fn whole(number: f64) -> String {
    let exact = number as i64;
    // Digits of a float cost many times as much.
    if exact as f64 == number && exact != 0 { exact.to_string() } else { format!("{number:.0}") }
}
