//! What must hold whenever the store is at rest: each acknowledged job is in exactly one state, and the counters are
//! what is there.

use std::collections::{BTreeMap, HashMap};

use redis::FromRedisValue;

use super::world::{QUEUE, World};

impl World {
    /// Looks at all that the store holds.
    pub async fn check(&mut self) -> anyhow::Result<()> {
        let broker = self.broker();
        let keys = broker.keys();
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let stream: Vec<(String, HashMap<String, String>)> =
            self.ask(redis::cmd("XRANGE").arg(keys.stream(QUEUE)).arg("-").arg("+")).await?;
        for (entry, mut fields) in stream {
            let id = fields.remove("i").unwrap_or_else(|| format!("{QUEUE}/{entry}"));
            places.entry(id).or_default().push("queue".into());
        }
        let mut members = 0;
        for set in keys.sets() {
            let ids: Vec<String> = self.ask(redis::cmd("ZRANGE").arg(&set).arg(0).arg(-1)).await?;
            members += ids.len();
            ids.into_iter().for_each(|id| places.entry(id).or_default().push(set.clone()));
        }
        let records: u64 = self.ask(redis::cmd("HLEN").arg(keys.jobs())).await?;
        if records != members as u64 {
            self.found.problems.push(format!("{records} records are stored for {members} members of sets"));
        }
        for (id, places) in places.iter().filter(|(_, places)| places.len() > 1) {
            self.found.problems.push(format!("{id} is in {}", places.join(" and ")));
        }
        for (id, known) in &self.jobs {
            let is_there = places.contains_key(id);
            if known.is_acknowledged && !known.is_ended && !known.may_be_ended && !is_there {
                self.found.lost += 1;
                self.found.problems.push(format!("{id} was pushed, did not end, and is nowhere"));
            }
            if known.is_ended && is_there {
                self.found.undone += 1;
                self.found.problems.push(format!("{id} ended and is in {}", places[id].join(" and ")));
            }
        }
        self.check_counter().await
    }

    /// The counter of successes is between what was told and what may have been.
    async fn check_counter(&mut self) -> anyhow::Result<()> {
        let stats = self.broker().keys().stats();
        let completed: Option<u64> = self.ask(redis::cmd("HGET").arg(stats).arg("completed")).await?;
        let completed = completed.unwrap_or(0);
        let least = self.jobs.values().filter(|known| known.is_ended).count() as u64;
        let most = self.jobs.values().filter(|known| known.is_ended || known.may_be_ended).count() as u64;
        if !(least..most + 1).contains(&completed) {
            self.found
                .problems
                .push(format!("{completed} are counted as completed, and {least} to {most} are"));
        }
        Ok(())
    }

    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> anyhow::Result<T> {
        Ok(command.query_async(&mut self.broker().connection().clone()).await?)
    }
}
