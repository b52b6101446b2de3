//! One taking from a queue whose lanes take turns.

mod finish;
mod plain;

use windlass_resp::Value;

use super::super::GROUP;
use super::super::exchange::{Queue, Request, Room};
use super::super::push::append;
use super::limit::Limit;
use super::names::Names;
use super::rule::Rule;
use super::scan::{Kind, Scan};
use super::turns::{Field, Pace, RANK_DEFAULT, Turns, UNIT, floor, whole};
use super::{HISTORY, Plan};
use crate::error::Result;
use crate::script::Scene;
use crate::types::{Hash, Id, Stream};

/// Jobs that are moved at a time, and how often somebody has a turn in one taking.
pub const PIECE: usize = 32;
const VISITS_MAX: usize = 2000;

pub struct Take<'a> {
    stream: &'a [u8],
    consumer: &'a [u8],
    gate: &'a [u8],
    names: &'a Names,
    left: usize,
    /// How many may be limited.
    free: usize,
    bytes: i64,
    turns: Turns,
    pace: Pace,
    /// Whether there may be more behind the last entry that was looked at, which the group has come to.
    has_plain: bool,
    last: Id,
    first: Id,
    /// Whether what was taken is not all plain.
    is_mixed: bool,
    leaves_work: bool,
    /// Whether the asker has no slot for what comes next.
    is_over: bool,
    visits: usize,
    popped: i64,
    picked: Vec<Picked>,
    /// The keys of the lanes of what was picked.
    lanes: Vec<Vec<u8>>,
    entries: Vec<Value>,
    /// How many were added that are to be read as new entries.
    added: usize,
    claimed: Vec<Vec<u8>>,
    dropped: Vec<Vec<u8>>,
    /// Ids with their redirects.
    moved: Vec<Vec<u8>>,
    /// Ids with what they hold of limits.
    permits: Vec<Vec<u8>>,
    /// The last entry that came from a lane and was claimed.
    laned: Option<Vec<u8>>,
    /// Whether the gate names such an entry.
    was_laned: bool,
    /// Whether the group has come to all that was there: then what is added can be read.
    is_end: bool,
    /// Whether new entries may be read as such.
    is_fresh: bool,
    has_rules: bool,
    /// The limit of the queue.
    own: Option<Limit>,
    /// The next entries with the numbers of their kinds, if any kind has a rule.
    next: Option<&'a [(Id, Option<usize>)]>,
    kinds: &'a [Kind],
    /// The limits of kinds that were met, each with the number of its kind.
    limits: Vec<(Limit, usize)>,
}

/// A job out of its lane.
struct Picked {
    id: Vec<u8>,
    /// Its place there, as it was answered.
    place: Value,
    /// The number of the lane's key.
    lane: usize,
}

impl<'a> Take<'a> {
    pub fn begin(
        scene: &mut Scene,
        request: &Request<'a>,
        queue: &Queue<'a>,
        plan: &Plan<'a>,
        scan: &'a Scan,
        room: &Room,
    ) -> Result<Self> {
        let Plan { names, rule, next, .. } = *plan;
        let own = match rule.filter(Rule::limits) {
            Some(rule) => Some(Limit::read(scene, &names.queue_rule, (false, rule.rate), &names.rate)?),
            None => None,
        };
        let mut left = room.left;
        if let Some(tokens) = own.as_ref().and_then(|own| own.tokens(scene.now.millis())) {
            left = left.min(room.free).min(tokens as usize);
        }
        let mut call = scene.view(&[]);
        let stream = call.get::<Stream>(queue.stream)?;
        let last = stream.and_then(|stream| stream.group(GROUP)).map_or(Id::MIN, |group| group.last_id);
        Ok(Self {
            stream: queue.stream,
            consumer: request.consumer,
            gate: queue.gate,
            names,
            left,
            free: room.free,
            bytes: room.bytes_left(),
            turns: Turns::default(),
            pace: Pace::default(),
            has_plain: true,
            last,
            first: last,
            is_mixed: false,
            leaves_work: false,
            is_over: false,
            visits: 0,
            popped: 0,
            picked: Vec::new(),
            lanes: Vec::new(),
            entries: Vec::new(),
            added: 0,
            claimed: Vec::new(),
            dropped: Vec::new(),
            moved: Vec::new(),
            permits: Vec::new(),
            laned: None,
            was_laned: plan.was_laned,
            is_end: false,
            is_fresh: plan.is_fresh,
            has_rules: plan.has_rules,
            own,
            next: next.map(|next| &*scan.queues[next]),
            kinds: &scan.kinds,
            limits: Vec::new(),
        })
    }

    /// Takes by turns while there is room.
    pub fn run(&mut self, scene: &mut Scene) -> Result<()> {
        self.turns.turn(scene, self.names, self.left)?;
        if !self.turns.heads.is_empty() {
            self.is_mixed = true;
            self.is_end = self.is_at_end(scene)?;
            self.has_plain = !self.is_end;
        }
        while !self.is_over && self.visits < VISITS_MAX {
            self.visits += 1;
            if self.picked.len() >= self.left.min(PIECE) || self.turns.heads.is_empty() {
                self.admit(scene)?;
            }
            if self.left == 0 || self.bytes <= 0 {
                break;
            }
            if self.turns.heads.is_empty() && self.turns.is_part {
                self.turns.turn(scene, self.names, self.left)?;
            }
            let plain = self.plain_start(scene)?;
            let head = self.turns.heads.first().map(|head| head.score);
            match (plain, head) {
                (Some(plain), head) if head.is_none_or(|head| plain <= head) => {
                    if self.picked.is_empty() {
                        self.plain_turn(scene, plain, head)?;
                    } else {
                        self.admit(scene)?;
                    }
                }
                (plain, Some(_)) => self.lane_turn(scene, plain)?,
                _ => break,
            }
        }
        self.admit(scene)
    }

    /// When the plain jobs have their turn, if there may be any.
    fn plain_start(&mut self, scene: &mut Scene) -> Result<Option<f64>> {
        if !self.has_plain {
            return Ok(None);
        }
        let rank = self.pace.get(scene, self.names, Field::Rank(RANK_DEFAULT))?;
        let plain = self.pace.get(scene, self.names, Field::Plain)?;
        Ok(Some(floor(RANK_DEFAULT) + rank.max(plain)))
    }

    /// Gives the first lane its turn: as many jobs as come before anybody else's.
    fn lane_turn(&mut self, scene: &mut Scene, plain: Option<f64>) -> Result<()> {
        let mut head = self.turns.heads.remove(0);
        let rank = rank_of(&head.lane);
        let floor = floor(rank);
        let start = head.score.max(floor + self.pace.get(scene, self.names, Field::Rank(rank))?);
        let mut wanted = (self.left - self.picked.len()).min(PIECE - self.picked.len());
        let next = self.turns.heads.first().map_or(f64::INFINITY, |head| head.score);
        let mut other = next.min(plain.unwrap_or(f64::INFINITY));
        if other.is_infinite() && self.turns.is_part {
            other = start;
        }
        if other.is_finite() {
            wanted = wanted.min(turns_until(other, start) + 1);
        }
        let key = [self.names.lane.as_slice(), &head.lane].concat();
        let popped = match scene.run(&[b"ZPOPMIN", &key, wanted.to_string().as_bytes()])? {
            Value::Array(popped) => popped,
            _ => Vec::new(),
        };
        let count = popped.len() / 2;
        if count == 0 {
            self.turns.leave(head);
            return Ok(());
        }
        let mut popped = popped.into_iter();
        while let (Some(id), Some(place)) = (popped.next(), popped.next()) {
            self.picked.push(Picked { id: text(id), place, lane: self.lanes.len() });
        }
        self.lanes.push(key);
        self.popped += count as i64;
        self.pace.set(Field::Rank(rank), start - floor + (count - 1) as f64 * UNIT);
        head.score = start + count as f64 * UNIT;
        self.turns.set(head);
        Ok(())
    }

    /// Moves the picked jobs from their lanes into the stream.
    fn admit(&mut self, scene: &mut Scene) -> Result<()> {
        let lanes = std::mem::take(&mut self.lanes);
        for Picked { id, place, lane } in std::mem::take(&mut self.picked) {
            let record =
                scene.view(&[]).get::<Hash>(&self.names.jobs)?.and_then(|jobs| jobs.get(&id)).cloned();
            let Some(record) = record else { continue };
            if self.bytes <= 0 {
                let added = scene.run(&[b"ZADD", &lanes[lane], &score(place), &id])?;
                self.popped -= if let Value::Integer(added) = added { added } else { 0 };
                self.leaves_work = true;
                continue;
            }
            // A record without a line end is all envelope.
            let (history, envelope) = match record.iter().position(|byte| *byte == b'\n') {
                Some(cut) => (&record[..cut], &record[cut + 1..]),
                None => (&b"{}"[..], &record[..]),
            };
            let mut fields = vec![b"j", envelope, b"i", &*id];
            if !self.is_end {
                fields.extend([b"l".as_slice(), b"1"]);
            }
            if history != HISTORY {
                fields.extend([b"s".as_slice(), history]);
            }
            let entry = if self.is_end {
                self.added += 1;
                append(scene, self.stream, &fields)?.text().to_vec()
            } else {
                let entry = self.add(scene, &fields)?;
                self.claimed.push(entry.clone());
                entry
            };
            self.is_mixed = true;
            self.moved.push(id.clone());
            self.moved.push([&*self.names.queue, b"/", &entry].concat());
            self.dropped.push(id);
            self.bytes -= record.len() as i64;
            self.left -= 1;
            self.free = self.free.saturating_sub(1);
        }
        Ok(())
    }

    /// Adds an entry, which is taken; answers its id as text.
    fn add(&mut self, scene: &mut Scene, fields: &[&[u8]]) -> Result<Vec<u8>> {
        let entry = append(scene, self.stream, fields)?.text().to_vec();
        let fields = fields.iter().map(Value::bulk).collect();
        self.entries.push(Value::Array(vec![Value::bulk(&entry), Value::Array(fields)]));
        self.laned = Some(entry.clone());
        Ok(entry)
    }
}

/// How many turns of one job there are from `start` before `other`.
fn turns_until(other: f64, start: f64) -> usize {
    ((other - start) / UNIT).floor().max(0.0) as usize
}

/// The rank in a lane's name.
fn rank_of(lane: &[u8]) -> u32 {
    let rank = lane.split(|byte| *byte == b'/').nth(1).unwrap_or_default();
    std::str::from_utf8(rank).ok().and_then(|rank| rank.parse().ok()).unwrap_or(RANK_DEFAULT)
}

/// A score that was answered, as it is told again.
fn score(reply: Value) -> Vec<u8> {
    if let Value::Double(score) = reply { whole(score).into_bytes() } else { text(reply) }
}

/// A reply that is text.
fn text(reply: Value) -> Vec<u8> {
    if let Value::Bulk(text) = reply { text } else { Vec::new() }
}
