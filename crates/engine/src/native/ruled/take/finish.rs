//! Writes down what one taking took.

use windlass_resp::Value;

use super::{Take, VISITS_MAX};
use crate::command::stream::effect::Target;
use crate::command::stream::group;
use crate::command::stream::read::Reader;
use crate::error::Result;
use crate::native::GROUP;
use crate::native::exchange::canonical;
use crate::native::ruled::{LANED, RULED};
use crate::script::Scene;
use crate::types::{Hash, SortedSet, Stream};

impl Take<'_> {
    /// Writes down what was taken; answers it, and whether there is work left that nobody is woken for.
    pub fn finish(mut self, scene: &mut Scene) -> Result<(Vec<Value>, bool)> {
        let names = self.names;
        self.leaves_work |= self.visits >= VISITS_MAX || self.bytes <= 0;
        self.turns.turn(scene, names, self.left)?;
        if let Some(laned) = self.laned.as_deref().filter(|_| !self.has_plain) {
            // With nothing left to be read before, what was added here is all that the group has not come to.
            self.last = canonical(laned).expect("an entry that was added has an id");
        }
        run_list(scene, &[b"HDEL", &names.jobs], &self.dropped)?;
        run_list(scene, &[b"HSET", &names.moved], &self.moved)?;
        match &self.laned {
            Some(laned) if self.has_plain => scene.run(&[b"HSET", self.gate, LANED, laned]).map(drop)?,
            _ if self.was_laned && (self.is_fresh || !self.has_plain) => {
                scene.run(&[b"HDEL", self.gate, LANED]).map(drop)?;
            }
            _ => {}
        }
        run_list(scene, &[b"HSET", &names.permits], &self.permits)?;
        if self.popped != 0 {
            scene.run(&[b"HINCRBY", &names.pace, b"size", (-self.popped).to_string().as_bytes()])?;
        }
        self.pace.write(scene, names)?;
        if !self.claimed.is_empty() {
            let mut claim: Vec<&[u8]> = vec![b"XCLAIM", self.stream, GROUP, self.consumer, b"0"];
            claim.extend(self.claimed.iter().map(Vec::as_slice));
            claim.extend([b"RETRYCOUNT".as_slice(), b"1", b"FORCE", b"JUSTID"]);
            scene.run(&claim)?;
        }
        if self.added > 0 {
            let target = Target { key: self.stream, group: GROUP };
            let reader = Reader { target, consumer: self.consumer };
            self.entries.extend(reader.take(&mut scene.view(&[]), self.added)?.unwrap_or_default());
        }
        if self.last != self.first {
            let last = self.last.text();
            group::set_id(&mut scene.view(&[b"XGROUP", b"SETID", self.stream, GROUP, &last]))?;
        }
        if let Some(own) = &mut self.own {
            own.took = self.entries.len();
            own.write(scene, &names.caps, &names.rate)?;
        }
        for (limit, kind) in &self.limits {
            limit.write(scene, &names.caps, &self.kinds[*kind].rate_key)?;
        }
        if self.entries.is_empty() && self.turns.heads.is_empty() && !self.has_rules {
            self.leave(scene)?;
        }
        Ok((self.entries, self.leaves_work))
    }

    /// A queue without rules, lanes and jobs is an ordinary one again.
    fn leave(&self, scene: &mut Scene) -> Result<()> {
        let mut call = scene.view(&[]);
        let has_jobs = call.get::<Stream>(self.stream)?.is_some_and(|stream| !stream.is_empty());
        let has_turns = call.get::<SortedSet>(&self.names.turns)?.is_some();
        if has_jobs || has_turns || call.get::<Hash>(&self.names.waits)?.is_some() {
            return Ok(());
        }
        scene.run(&[b"HDEL", self.gate, RULED, LANED])?;
        scene.run(&[b"DEL", &self.names.pace]).map(drop)
    }
}

/// Runs a command with these arguments at its end, if there are any.
fn run_list(scene: &mut Scene, command: &[&[u8]], list: &[Vec<u8>]) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let command: Vec<&[u8]> = command.iter().copied().chain(list.iter().map(Vec::as_slice)).collect();
    scene.run(&command).map(drop)
}
