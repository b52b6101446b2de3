//! What clients and workers do: calls that may be lost on their way, and replies that may be lost on the way back.

use std::time::Duration;

use windlass::JobId;
use windlass::State;
use windlass::broker::{Due, Ended, Fail, Held, Request};
use windlass_db::faults::Random;

use super::super::guard::Guard;
use super::world::{LEASE_MS, QUEUE, Token, Worker, World};

/// One call in so many is lost on its way, and one reply in so many on the way back.
const LOSS: usize = 40;

impl World {
    /// Whether a call is lost on its way, or its reply on the way back.
    fn loss(&self, random: &mut Random) -> (bool, bool) {
        let (is_lost, is_unheard) = (random.once_in(LOSS), random.once_in(LOSS));
        (self.has_losses && is_lost, self.has_losses && is_unheard)
    }

    /// A reply that waited for its sync: what came before it is safe, too.
    fn synced(&mut self) {
        self.unsynced.clear();
    }

    pub async fn push(&mut self, random: &mut Random) {
        let envelopes: Vec<_> =
            (0..1 + random.below(4)).map(|_| format!("{{\"n\":{}}}", random.draw())).collect();
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        if let Ok(ids) = self.broker().push(QUEUE, &envelopes).await
            && !is_unheard
        {
            self.synced();
            ids.into_iter().for_each(|id| self.acknowledge(&id, 0));
        }
    }

    pub async fn schedule(&mut self, random: &mut Random) {
        let delay = random.below(5_000) as u64;
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        let due = Due::In(Duration::from_millis(delay));
        if let Ok(ids) = self.broker().schedule(QUEUE, &[(due, "{}")]).await
            && !is_unheard
        {
            self.synced();
            let due_ms = self.now_ms() + delay;
            ids.iter().for_each(|id| self.acknowledge(id, due_ms));
            if self.guard == Some(Guard::Due) {
                for id in &ids {
                    // Moved to its queue by hand, with its time still to come.
                    let _ = self.broker().requeue(id).await;
                }
            }
        }
    }

    pub fn acknowledge(&mut self, id: &JobId, due_ms: u64) {
        self.acknowledged += 1;
        let known = self.jobs.entry(id.as_str().to_owned()).or_default();
        (known.is_acknowledged, known.due_ms) = (true, due_ms);
    }

    pub async fn fetch(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        let consumer = self.workers[worker].name.clone();
        let count = 1 + random.below(4);
        let request = Request { consumer: &consumer, count, may_suspect: true, woken: None };
        let Ok(taken) = self.broker().fetch(&[QUEUE], request).await else { return };
        let now = self.now_ms();
        for job in taken {
            let id = job.job_id(QUEUE).as_str().to_owned();
            self.look_at_taken(&id, worker, now);
            if !is_unheard {
                let (held, valid_until_ms) = (Held::of(&job), now + LEASE_MS);
                // One that lapsed and came back to the same worker is one.
                self.workers[worker].tokens.retain(|token| token.id != id);
                self.workers[worker].tokens.push(Token { held, id, valid_until_ms });
            }
        }
    }

    /// Holds that the job may be taken.
    fn look_at_taken(&mut self, id: &str, worker: usize, now: u64) {
        let known = self.jobs.entry(id.to_owned()).or_default();
        let due = std::mem::take(&mut known.due_ms);
        if known.is_ended {
            self.found.undone += 1;
            self.found.problems.push(format!("{id} was taken although its end had been acknowledged"));
        }
        if now < due {
            self.found.problems.push(format!("{id} was taken at {now}, before {due}"));
        }
        if let Some(other) = self.holder(id, worker, now) {
            self.found.held_twice += 1;
            self.found.problems.push(format!("{id} was taken while {other} had it"));
        }
    }

    /// Another worker that has the job, by a token that is valid.
    fn holder(&self, id: &str, worker: usize, now: u64) -> Option<String> {
        let others = self.workers.iter().enumerate().filter(|(number, _)| *number != worker);
        let mut holders = others.filter(|(_, other)| {
            let lives = other.beat_ms + LEASE_MS > now;
            lives && other.tokens.iter().any(|token| token.id == id && token.valid_until_ms > now)
        });
        holders.next().map(|(_, other)| other.name.clone())
    }

    pub async fn finish(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        let count = 1 + random.below(3);
        let tokens = &mut self.workers[worker].tokens;
        let mut ended: Vec<Token> = tokens.drain(..count.min(tokens.len())).collect();
        if ended.is_empty() {
            return;
        }
        if is_lost {
            // The worker does not know; it asks no more, and the lease ends.
            return;
        }
        ended.sort_by_key(|token| token.held);
        for token in &ended {
            self.jobs.entry(token.id.clone()).or_default().may_be_ended = true;
        }
        let held: Vec<Held> = ended.iter().map(|token| token.held).collect();
        let consumer = self.workers[worker].name.clone();
        let refused = match self.guard {
            Some(Guard::Fence) => self.end_unfenced(&ended).await,
            _ => self.broker().finish(&consumer, Ended { queue: QUEUE, held: &held, extras: &[] }).await,
        };
        let now = self.now_ms();
        let Ok(refused) = refused else { return };
        if is_unheard {
            return;
        }
        for token in ended {
            let known = self.jobs.entry(token.id.clone()).or_default();
            if refused.contains(&token.held) {
                continue;
            }
            if known.is_ended {
                self.found.held_twice += 1;
                self.found.problems.push(format!("{} was ended twice", token.id));
            }
            known.is_ended = true;
            self.acknowledged += 1;
            self.unsynced.insert(token.id.clone());
            if let Some(other) = self.holder(&token.id, worker, now) {
                self.found.held_twice += 1;
                self.found.problems.push(format!("{} was ended by one while {other} had it", token.id));
            }
        }
    }

    /// Ends jobs by Redis's own commands, which look at no holder.
    pub async fn end_unfenced(&self, ended: &[Token]) -> windlass::Result<Vec<Held>> {
        let broker = self.broker();
        let stream = broker.keys().stream(QUEUE);
        for token in ended {
            let Some((_, entry)) = token.id.split_once('/').filter(|(_, entry)| !entry.starts_with('s'))
            else {
                continue;
            };
            for name in ["XACK", "XDEL"] {
                let mut command = redis::cmd(name);
                command.arg(&stream);
                if name == "XACK" {
                    command.arg(windlass::GROUP);
                }
                command.arg(entry).query_async::<u64>(&mut broker.connection().clone()).await?;
            }
        }
        Ok(Vec::new())
    }

    pub async fn fail(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        let Some(token) = self.workers[worker].tokens.pop() else { return };
        if is_lost {
            return;
        }
        let delay = random.below(3_000) as u64;
        let Ok(id) = JobId::parse(&token.id) else { return };
        let fail = Fail {
            held: token.held,
            id,
            state: State::Retry,
            history: br#"{"state":"retry","failed":1}"#.to_vec(),
            delay: Duration::from_millis(delay),
            result: None,
        };
        let consumer = self.workers[worker].name.clone();
        let failed = self.broker().fail(QUEUE, &consumer, &fail, &self.config.retention).await;
        if let Ok(true) = failed
            && !is_unheard
        {
            self.synced();
            self.jobs.entry(token.id).or_default().due_ms = self.now_ms() + delay;
        }
    }

    pub async fn renew(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        let broker = self.broker();
        let now = self.now_ms();
        let Worker { name, tokens, .. } = &mut self.workers[worker];
        tokens.sort_by_key(|token| token.held);
        let held: Vec<Held> = tokens.iter().map(|token| token.held).collect();
        let fields = [("busy", held.len().to_string())];
        if broker.beat(name, Duration::from_millis(LEASE_MS), &fields).await.is_err() {
            return;
        }
        let lost = match held.is_empty() {
            true => Vec::new(),
            false => match broker.renew(QUEUE, name, &held).await {
                Ok(lost) => lost,
                Err(_) => return,
            },
        };
        if is_unheard {
            return;
        }
        let worker = &mut self.workers[worker];
        worker.beat_ms = now;
        worker.tokens.retain(|token| !lost.contains(&token.held));
        worker.tokens.iter_mut().for_each(|token| token.valid_until_ms = now + LEASE_MS);
        self.synced();
    }

    pub async fn release(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, _) = self.loss(random);
        let mut tokens = std::mem::take(&mut self.workers[worker].tokens);
        tokens.sort_by_key(|token| token.held);
        let held: Vec<Held> = tokens.iter().map(|token| token.held).collect();
        if !is_lost && !held.is_empty() {
            // Whether or not it was heard, the worker has them no more.
            let _ = self.broker().release(QUEUE, &self.workers[worker].name, &held).await;
        }
    }
}
