//! The body of `push_lane.lua`: adds ready jobs to lanes.

use windlass_resp::Value;

use super::check::Check;
use super::ruled::{Base, HISTORY, RULED, floor};
use super::{NUMBER_END, number, wake};
use crate::blob::Blob;
use crate::error::Result;
use crate::number::parse_integer;
use crate::script::Scene;
use crate::types::{Hash, SortedSet};

/// The most jobs of one call; beyond that Lua has limits of its own.
const JOBS_MAX: usize = 1024;
/// The greatest rank whose digits a lane's name has room for.
const RANK_MAX: u32 = 999;

/// Jobs of one lane, by their places in the call.
struct Lane<'a> {
    rank: u32,
    group: &'a [u8],
    name: Vec<u8>,
    key: Vec<u8>,
    jobs: Vec<usize>,
}

/// The keys of a queue that has lanes.
struct Names {
    gate: Vec<u8>,
    waits: Vec<u8>,
    turns: Vec<u8>,
    pace: Vec<u8>,
}

pub fn push(scene: &mut Scene, keys: &[&[u8]], argv: &[&[u8]]) -> Option<Value> {
    let (&[seq, jobs, mark], [queue, form, rest @ ..]) = (keys, argv) else { return None };
    let wants_ids = match *form {
        b"ids" => true,
        b"count" => false,
        _ => return None,
    };
    let (rest, odd) = rest.as_chunks::<3>();
    let base = Base::of(seq)?;
    let is_own =
        seq == base.key("seq", b"") && jobs == base.key("jobs", b"") && mark == base.key("wake:", queue);
    if !odd.is_empty() || rest.is_empty() || rest.len() > JOBS_MAX || !is_own {
        return None;
    }
    let lanes = gather(&base, queue, rest)?;
    let names = Names {
        gate: base.key("gate:", queue),
        waits: base.key("waits:", queue),
        turns: base.key("turns:", queue),
        pace: base.key("pace:", queue),
    };
    let last = names.check(scene, (seq, jobs, mark), &lanes, rest.len())?;
    let ids: Vec<Vec<u8>> = (1..=rest.len() as u64)
        .map(|at| [queue, b"/s".as_slice(), (last + at).to_string().as_bytes()].concat())
        .collect();
    let added = names.add(scene, (seq, jobs, mark), last, &lanes, rest, &ids);
    added.expect("all keys were seen to be as the commands need them");
    Some(if wants_ids { Value::Array(ids.into_iter().map(Value::Bulk).collect()) } else { rest.len().into() })
}

/// The jobs by their lanes, in the order of the first job of each.
fn gather<'a>(base: &Base<'_>, queue: &[u8], jobs: &[[&'a [u8]; 3]]) -> Option<Vec<Lane<'a>>> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    for (at, [rank_text, group, _]) in jobs.iter().enumerate() {
        let rank =
            number(rank_text).and_then(|rank| u32::try_from(rank).ok()).filter(|rank| *rank <= RANK_MAX)?;
        // The jobs of one call mostly go the same way.
        let known = lanes.iter_mut().rev().find(|lane| lane.rank == rank && lane.group == *group);
        if let Some(lane) = known {
            lane.jobs.push(at);
            continue;
        }
        if rank.to_string().as_bytes() != *rank_text {
            return None;
        }
        let name = [queue, format!("/{rank:03}//").as_bytes(), group].concat();
        let key = base.key("lane:", &name);
        lanes.push(Lane { rank, group, name, key, jobs: vec![at] });
    }
    Some(lanes)
}

impl Names {
    /// Looks whether each step will be done as usual; answers the last number that was given to a job.
    fn check(
        &self,
        scene: &Scene,
        (seq, jobs, mark): (&[u8], &[u8], &[u8]),
        lanes: &[Lane<'_>],
        count: usize,
    ) -> Option<u64> {
        let mut check = Check::begin(scene)?;
        let last = check.value::<Blob>(seq)?.map_or(Some(0), |seq| number(seq))?;
        check.value::<Hash>(jobs)?;
        check.value::<SortedSet>(mark)?;
        check.value::<Hash>(&self.gate)?;
        check.value::<Hash>(&self.waits)?;
        check.value::<SortedSet>(&self.turns)?;
        let pace = check.value::<Hash>(&self.pace)?;
        let is_number = |field: &[u8]| {
            let value = pace.and_then(|pace| pace.get(field)).map_or(Some(0), |text| parse_integer(text));
            value.is_some_and(|value| value.unsigned_abs() < NUMBER_END / 2)
        };
        if !is_number(b"size") || last + count as u64 >= NUMBER_END {
            return None;
        }
        for lane in lanes {
            check.last_value::<SortedSet>(&lane.key)?;
            if !is_number(lane.rank.to_string().as_bytes()) {
                return None;
            }
        }
        Some(last)
    }

    fn add(
        &self,
        scene: &mut Scene,
        (seq, jobs, mark): (&[u8], &[u8], &[u8]),
        last: u64,
        lanes: &[Lane<'_>],
        pushed: &[[&[u8]; 3]],
        ids: &[Vec<u8>],
    ) -> Result<()> {
        scene.run(&[b"INCRBY", seq, pushed.len().to_string().as_bytes()])?;
        let records: Vec<Vec<u8>> =
            pushed.iter().map(|[_, _, envelope]| [HISTORY, b"\n", envelope].concat()).collect();
        let mut command: Vec<&[u8]> = vec![b"HSET", jobs];
        command.extend(ids.iter().zip(&records).flat_map(|(id, record)| [id.as_slice(), record]));
        scene.run(&command)?;
        for lane in lanes {
            let had = scene.view(&[]).get::<SortedSet>(&lane.key)?.is_some();
            let places: Vec<String> =
                lane.jobs.iter().map(|at| (last + 1 + *at as u64).to_string()).collect();
            let mut command: Vec<&[u8]> = vec![b"ZADD", &lane.key];
            let members = lane.jobs.iter().map(|at| ids[*at].as_slice());
            command.extend(places.iter().zip(members).flat_map(|(place, id)| [place.as_bytes(), id]));
            if let Value::Integer(added) = scene.run(&command)?
                && added != 0
            {
                scene.run(&[b"HINCRBY", &self.pace, b"size", added.to_string().as_bytes()])?;
            }
            if !had {
                self.join(scene, lane)?;
            }
        }
        wake(scene, mark)
    }

    /// A lane that was empty takes its turn, unless it has one already.
    fn join(&self, scene: &mut Scene, lane: &Lane<'_>) -> Result<()> {
        scene.run(&[b"HSET", &self.gate, RULED, b"1"])?;
        let mut call = scene.view(&[]);
        let waits = call.get::<Hash>(&self.waits)?.is_some_and(|waits| waits.get(&lane.name).is_some());
        if waits || call.get::<SortedSet>(&self.turns)?.is_some_and(|turns| turns.score(&lane.name).is_some())
        {
            return Ok(());
        }
        let rank = lane.rank.to_string();
        let now = match scene.run(&[b"HINCRBY", &self.pace, rank.as_bytes(), b"1"])? {
            Value::Integer(now) => now,
            _ => 0,
        };
        // As Lua reckons it.
        let score = floor(lane.rank) + now as f64;
        scene.run(&[b"ZADD", &self.turns, format!("{score:.0}").as_bytes(), &lane.name]).map(drop)
    }
}
