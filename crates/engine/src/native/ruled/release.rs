//! What ended jobs give back of limits.

use std::collections::HashMap;

use super::super::check::Check;
use super::super::exchange::{Fenced, Request};
use super::super::{NUMBER_END, wake};
use super::names::Base;
use super::rule::Rule;
use crate::error::Result;
use crate::number::parse_integer;
use crate::script::Scene;
use crate::types::{Hash, LexBound, SortedSet};

/// The keys that it is about.
pub struct Keys {
    permits: Vec<u8>,
    blocked: Vec<u8>,
    wake: Vec<u8>,
    rule: Vec<u8>,
    queue: Vec<u8>,
}

/// What is given back.
#[derive(Default)]
pub struct Release {
    /// Jobs that held something.
    ids: Vec<Vec<u8>>,
    /// Limits with how often each was held, in the order in which they were found.
    freed: Vec<(Vec<u8>, i64)>,
    /// Whether somebody who takes is to be woken: the room under the queue's cap is not filled by the asker.
    wakes: bool,
}

impl Keys {
    pub fn new(base: &Base<'_>, queue: &[u8]) -> Self {
        Self {
            permits: base.key("permits:", queue),
            blocked: base.key("blocked", b""),
            wake: base.key("wake:", queue),
            rule: [b"queue:", queue].concat(),
            queue: queue.to_vec(),
        }
    }
}

impl Release {
    /// Looks at what the jobs that end hold; none when somebody waits for that.
    pub fn look<'a>(
        check: &mut Check<'a>,
        keys: &'a Keys,
        (caps, rules): (Option<&Hash>, Option<&Hash>),
        request: &Request<'_>,
        fenced: &Fenced<'_>,
    ) -> Option<Self> {
        let mut release = Self::default();
        let permits = check.value::<Hash>(&keys.permits)?;
        let blocked = check.value::<SortedSet>(&keys.blocked)?;
        if fenced.entries().len() == 0 {
            return Some(release);
        }
        if request.count() == 0 {
            let rule = rules.and_then(|rules| rules.get(&keys.rule));
            release.wakes = rule.map_or(Some(Rule::default()), |text| Rule::parse(text))?.cap.is_some();
            check.value::<SortedSet>(&keys.wake)?;
        }
        let Some(permits) = permits else { return Some(release) };
        let moved: HashMap<&[u8], &[u8]> =
            request.moved_ids.iter().map(|[entry, id]| (*entry, *id)).collect();
        for entry in fenced.entries() {
            let id = match moved.get(entry) {
                Some(id) => id.to_vec(),
                None => [&keys.queue, b"/".as_slice(), entry].concat(),
            };
            let Some(held) = permits.get(&id) else { continue };
            for limit in held.split(|byte| *byte == b'\n').filter(|limit| !limit.is_empty()) {
                match release.freed.iter_mut().find(|(other, _)| other == limit) {
                    Some((_, count)) => *count += 1,
                    None => release.freed.push((limit.to_vec(), 1)),
                }
            }
            release.ids.push(id);
        }
        for (limit, _) in &release.freed {
            let held = caps.and_then(|caps| caps.get(limit)).map_or(Some(0), |held| parse_integer(held))?;
            let (first, last) = ([limit, b"\n".as_slice()].concat(), [limit, b"\n\xff".as_slice()].concat());
            let range = (LexBound::Inclusive(&first), LexBound::Exclusive(&last));
            let is_awaited =
                blocked.is_some_and(|blocked| !blocked.ranks_by_lex(range.0, range.1).is_empty());
            if is_awaited || held.unsigned_abs() >= NUMBER_END {
                return None;
            }
        }
        Some(release)
    }

    /// How much of a limit is given back.
    pub fn count_of(&self, limit: &[u8]) -> i64 {
        self.freed.iter().find(|(other, _)| other == limit).map_or(0, |(_, count)| *count)
    }

    /// Gives it back.
    pub fn act(&self, scene: &mut Scene, keys: &Keys, caps: &[u8]) -> Result<()> {
        if !self.ids.is_empty() {
            let ids = self.ids.iter().map(Vec::as_slice);
            let command: Vec<&[u8]> = [b"HDEL".as_slice(), &keys.permits].into_iter().chain(ids).collect();
            scene.run(&command)?;
        }
        for (limit, count) in &self.freed {
            let left = scene.run(&[b"HINCRBY", caps, limit, (-count).to_string().as_bytes()])?;
            if matches!(left, windlass_resp::Value::Integer(..=0)) {
                scene.run(&[b"HDEL", caps, limit])?;
            }
        }
        if self.wakes { wake(scene, &keys.wake) } else { Ok(()) }
    }
}
