//! What a worker holds, and what is to be done next: plain data without any I/O.
//!
//! A job is held from its taking until the store has been told of its end. In between it is ready, then begun. A job
//! that has begun counts against the concurrency until the store knows its end: so what a crash makes run again is no
//! more than the concurrency, too, and the jobs that had begun are the first of those that the store has as taken.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use crate::broker::{BATCH_JOBS_MAX, Extra, Held, Taken};
use crate::context::{Leash, Pull};
use crate::id::EntryId;

/// How many exchanges are under way at most: one that the store works on, one on its way to it.
const EXCHANGES_MAX: usize = 2;

/// A held job: the number of its queue, its entry and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HoldKey {
    pub(crate) queue: usize,
    pub(crate) held: Held,
}

impl HoldKey {
    pub(super) fn of(taken: &Taken) -> Self {
        Self { queue: taken.queue, held: Held::of(taken) }
    }
}

/// An entry of a queue, by the queue's number: a held job however often it was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EntryKey {
    pub(crate) queue: usize,
    pub(crate) entry: EntryId,
}

/// A job that is ready to be run.
pub(super) struct Ticket {
    pub(super) taken: Taken,
    pub(super) leash: Arc<Leash>,
}

/// A success on its way to the store.
pub(super) struct Finish {
    pub(super) held: Held,
    /// Whether it came from a queue with lanes or rules.
    pub(super) is_ruled: bool,
    pub(super) extra: Option<Extra>,
}

/// One exchange with the store: successes of one queue to be told, and how much to take.
pub(super) struct Plan {
    pub(super) queue: usize,
    pub(super) finishes: Vec<Finish>,
    /// How many jobs to take at most.
    pub(super) count: usize,
    /// How many of them can begin at once.
    pub(super) free: usize,
    pub(super) may_suspect: bool,
    /// The queue whose wake mark was consumed.
    pub(super) mark: Option<usize>,
}

/// What an executor does next.
pub(super) enum Step {
    Run(Ticket),
    Exchange(Plan),
    /// There is nothing to do.
    Wait,
    /// There never will be.
    End,
}

/// What the worker holds.
pub(crate) struct Hand {
    pub(super) concurrency: usize,
    held: HashMap<HoldKey, Arc<Leash>>,
    /// The batches of held jobs that have begun, or are about to.
    batches: HashMap<HoldKey, Arc<str>>,
    pub(super) suspect: Option<HoldKey>,
    tickets: VecDeque<Ticket>,
    /// How many taken jobs have not ended here.
    in_hand: usize,
    /// How many jobs have begun whose end the store does not know.
    begun: usize,
    finishes: Vec<Vec<Finish>>,
    waiting_finishes: usize,
    /// How many exchanges are under way.
    exchanges: usize,
    /// How many jobs the exchange under way may bring. One at a time asks, so that jobs come in the order of the store.
    asked: usize,
    ended_since_asked: usize,
    /// Whether the queues are known to have more, as far as anybody said since they were last asked.
    may_have_more: bool,
    mark: Option<usize>,
    /// False once the worker is to take no more and begin no more.
    is_taking: bool,
    is_closed: bool,
    /// How many executors are at work on a processor, and how many may be.
    awake: usize,
    awake_max: usize,
    /// Executors that have nothing to do, the last to come on top.
    idle: Vec<Waker>,
}

impl Hand {
    /// A hand with nothing in it, for as many executors as jobs may run at once, `awake_max` of them at a time on a
    /// processor.
    pub(super) fn new(concurrency: usize, queues: usize, awake_max: usize) -> Self {
        Self {
            concurrency,
            batches: HashMap::new(),
            held: HashMap::new(),
            suspect: None,
            tickets: VecDeque::new(),
            in_hand: 0,
            begun: 0,
            finishes: (0..queues).map(|_| Vec::new()).collect(),
            waiting_finishes: 0,
            exchanges: 0,
            asked: 0,
            ended_since_asked: 0,
            may_have_more: true,
            mark: None,
            is_taking: true,
            is_closed: false,
            awake: concurrency,
            awake_max,
            idle: Vec::new(),
        }
    }

    /// What an executor does next. Successes gather while there are jobs to run, up to half of the concurrency: the
    /// other half then runs while the store is told.
    pub(super) fn step(&mut self) -> Step {
        let is_half = self.waiting_finishes >= self.concurrency.div_ceil(2).min(BATCH_JOBS_MAX);
        if is_half && self.exchanges < EXCHANGES_MAX {
            return Step::Exchange(self.plan());
        }
        if self.is_taking
            && self.begun < self.concurrency
            && let Some(ticket) = self.tickets.pop_front()
        {
            self.begun += 1;
            return Step::Run(ticket);
        }
        match self.wants_exchange() {
            true => Step::Exchange(self.plan()),
            false if self.is_closed => Step::End,
            false => Step::Wait,
        }
    }

    /// Whether an executor that does not run a job has something to tell or to ask.
    pub(super) fn wants_exchange(&self) -> bool {
        let wants_more = self.may_have_more && self.room() > 0;
        self.exchanges == 0 && (self.waiting_finishes > 0 || self.mark.is_some() || wants_more)
    }

    /// Begins an exchange.
    pub(super) fn plan(&mut self) -> Plan {
        let queue = (0..self.finishes.len()).max_by_key(|queue| self.finishes[*queue].len()).unwrap_or(0);
        let finishes = &mut self.finishes[queue];
        let rest = finishes.split_off(finishes.len().min(BATCH_JOBS_MAX));
        let mut finishes = std::mem::replace(finishes, rest);
        finishes.sort_unstable_by_key(|finish| finish.held);
        self.waiting_finishes -= finishes.len();
        self.exchanges += 1;
        let count = self.room();
        if count > 0 {
            self.asked = count;
            self.ended_since_asked = 0;
            // Whoever knows of more from now on says so again.
            self.may_have_more = false;
        }
        let ends_suspect = |key: &HoldKey| key.queue == queue && finishes.iter().any(|f| f.held == key.held);
        let may_suspect = self.suspect.as_ref().is_none_or(ends_suspect);
        let free = self.concurrency.saturating_sub(self.in_hand).min(count);
        Plan { queue, finishes, count, free, may_suspect, mark: self.mark.take() }
    }

    /// How many jobs the next exchange may bring: the free slots, and as a prefetch no more than ended while the last
    /// was under way, nor than the concurrency. So short jobs keep the store busy, and a worker with long ones takes
    /// nothing that it cannot begin.
    pub(super) fn room(&self) -> usize {
        if !self.is_taking || self.asked > 0 {
            return 0;
        }
        let prefetch = self.ended_since_asked.min(self.concurrency);
        (self.concurrency + prefetch).saturating_sub(self.in_hand).min(BATCH_JOBS_MAX)
    }

    /// An exchange that told of `finishes` jobs and asked for `count` has been answered with `got` of them.
    pub(super) fn end_exchange(&mut self, finishes: usize, count: usize, got: usize) {
        self.exchanges -= 1;
        self.begun -= finishes;
        if count > 0 {
            self.asked = 0;
            self.may_have_more |= got >= count;
        }
    }

    /// Has the queues asked again, although they gave less than was asked for.
    pub(super) fn look_again(&mut self) {
        self.may_have_more = true;
    }

    /// Whether somebody said that there is more since the queues were last asked.
    pub(super) fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// A wake mark of `queue` was consumed for this worker; none when the wait for one ended by itself.
    pub(super) fn add_mark(&mut self, queue: Option<usize>) {
        self.mark = queue.or(self.mark);
        self.may_have_more = true;
    }

    /// Whether a wake mark is to be waited for.
    pub(super) fn wants_mark(&self) -> bool {
        !self.may_have_more && self.room() > 0
    }

    /// Takes a job, to be run when its turn comes. One that is held already by the same token is none: a lapsed lease
    /// came back.
    pub(super) fn take(&mut self, taken: Taken) {
        let key = HoldKey::of(&taken);
        if self.held.contains_key(&key) {
            return;
        }
        let leash = Arc::new(Leash::default());
        self.held.insert(key, leash.clone());
        self.in_hand += 1;
        if taken.is_suspect {
            self.suspect = Some(key);
        }
        self.tickets.push_back(Ticket { taken, leash });
    }

    /// An executor is done with a job. Answers false when the job is not held any more.
    pub(super) fn come_back(&mut self, key: &HoldKey) -> bool {
        self.in_hand -= 1;
        self.ended_since_asked += 1;
        match self.held.get(key) {
            Some(leash) => {
                leash.end();
                true
            }
            None => false,
        }
    }

    pub(super) fn add_finish(&mut self, queue: usize, finish: Finish) {
        self.finishes[queue].push(finish);
        self.waiting_finishes += 1;
    }

    /// A job that had begun makes room: the store knows its end, or it did not end here.
    pub(super) fn leave_place(&mut self) {
        self.begun -= 1;
    }

    /// A job is held no more. Answers whether it was the suspect, so that another may come.
    pub(super) fn drop_held(&mut self, key: &HoldKey) -> bool {
        self.held.remove(key);
        self.batches.remove(key);
        let was_suspect = self.suspect.as_ref() == Some(key);
        if was_suspect {
            self.suspect = None;
            self.may_have_more = true;
        }
        was_suspect
    }

    /// The lease of a job is lost. One that has not begun will not begin; one that runs is asked to stop.
    /// Answers what held it; `None` for a job that has ended already: whether its end counted, the store tells by itself.
    pub(super) fn lose(&mut self, key: &HoldKey) -> Option<Arc<Leash>> {
        let leash = self.held.get(key).filter(|leash| !leash.has_ended())?.clone();
        leash.pull(if leash.is_started() { Pull::Cancel } else { Pull::Drop });
        self.drop_held(key);
        Some(leash)
    }

    /// A held job that has not begun.
    pub(super) fn waiting(&self, key: &HoldKey) -> Option<&Taken> {
        self.tickets.iter().map(|ticket| &ticket.taken).find(|taken| HoldKey::of(taken) == *key)
    }

    /// Asks those jobs to stop that are cancelled. One that has not begun ends without having run.
    pub(crate) fn cancel(&self, is_cancelled: impl Fn(&EntryKey) -> bool) {
        for (HoldKey { queue, held }, leash) in &self.held {
            if is_cancelled(&EntryKey { queue: *queue, entry: held.entry }) {
                leash.cancel();
            }
        }
    }

    /// A job that is about to begin is one of a batch.
    pub(super) fn note_batch(&mut self, key: HoldKey, batch: &str) {
        if self.held.contains_key(&key) {
            self.batches.insert(key, batch.into());
        }
    }

    /// The batches of the jobs that run here.
    pub(crate) fn batches(&self) -> HashSet<Arc<str>> {
        self.batches.values().cloned().collect()
    }

    /// Asks those jobs to stop that are of a batch.
    pub(crate) fn cancel_batch(&self, batch: &str) {
        let keys = self.batches.iter().filter(|(_, of)| &***of == batch).map(|(key, _)| key);
        keys.filter_map(|key| self.held.get(key)).for_each(|leash| leash.cancel());
    }

    /// What is held, by queue and sorted.
    pub(crate) fn all_held(&self) -> Vec<(usize, Vec<Held>)> {
        let mut keys: Vec<_> = self.held.keys().copied().collect();
        keys.sort_unstable();
        keys.chunk_by(|a, b| a.queue == b.queue)
            .map(|keys| (keys[0].queue, keys.iter().map(|key| key.held).collect()))
            .collect()
    }

    /// How many jobs run or wait to run here.
    pub(crate) fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// Whether jobs are taken and begun.
    pub(super) fn is_taking(&self) -> bool {
        self.is_taking
    }

    /// Takes and begins nothing more. Answers the jobs that are ready and now will not begin.
    pub(super) fn stop_taking(&mut self) -> Vec<HoldKey> {
        self.is_taking = false;
        let tickets = self.tickets.drain(..);
        let keys: Vec<_> = tickets.map(|ticket| HoldKey::of(&ticket.taken)).collect();
        self.in_hand -= keys.len();
        keys
    }

    /// Whether jobs may still arrive.
    pub(super) fn is_asking(&self) -> bool {
        self.asked > 0
    }

    /// Cuts every running job short.
    pub(super) fn pull_all(&self) {
        for leash in self.held.values() {
            leash.pull(Pull::Drop);
        }
    }

    /// Has executors end that find nothing to do. Answers them.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.is_closed = true;
        self.awake += self.idle.len();
        std::mem::take(&mut self.idle)
    }

    /// Whether nothing is held and nothing under way.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.in_hand == 0 && self.exchanges == 0
    }

    /// Whether the store knows of every end that came about here, however it is told of it.
    pub(super) fn is_told(&self) -> bool {
        self.begun <= self.in_hand
    }

    /// An executor has nothing to do until it is woken.
    pub(super) fn rest(&mut self, waker: &Waker) {
        self.idle.push(waker.clone());
        self.awake = self.awake.saturating_sub(1);
    }

    /// The executor to be woken because there is more to do than those awake are at.
    pub(super) fn next_idle(&mut self) -> Option<Waker> {
        let can_begin = self.is_taking && self.begun < self.concurrency && !self.tickets.is_empty();
        if self.awake >= self.awake_max || !(can_begin || self.wants_exchange()) {
            return None;
        }
        let waker = self.idle.pop()?;
        self.awake += 1;
        Some(waker)
    }

    /// What an executor is at waits for something else.
    pub(super) fn doze(&mut self) {
        self.awake = self.awake.saturating_sub(1);
    }

    /// What an executor was at goes on.
    pub(super) fn wake(&mut self) {
        self.awake += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(hand: &mut Hand, entry: &str) -> HoldKey {
        let entry = EntryId::parse(entry).expect("it is an id");
        let taken = Taken {
            queue: 0,
            entry,
            count: 1,
            is_suspect: false,
            envelope: Vec::new(),
            id: None,
            history: None,
            is_ruled: false,
        };
        hand.take(taken);
        let Step::Run(ticket) = hand.step() else { panic!("a job is ready") };
        HoldKey::of(&ticket.taken)
    }

    #[test]
    fn an_end_is_told_when_the_store_knows_it_and_not_when_it_came_about() {
        let mut hand = Hand::new(4, 1, 4);
        let fails = begin(&mut hand, "1-0");
        let succeeds = begin(&mut hand, "2-0");
        let runs_on = begin(&mut hand, "3-0");
        assert!(hand.is_told());

        // A failure is told by itself.
        assert!(hand.come_back(&fails));
        assert!(!hand.is_told());
        hand.drop_held(&fails);
        hand.leave_place();
        assert!(hand.is_told());

        // A success goes with an exchange.
        assert!(hand.come_back(&succeeds));
        hand.add_finish(0, Finish { held: succeeds.held, is_ruled: false, extra: None });
        assert!(!hand.is_told());
        let plan = hand.plan();
        assert!(!hand.is_told());
        hand.drop_held(&succeeds);
        hand.end_exchange(plan.finishes.len(), plan.count, 0);
        assert!(hand.is_told());
        assert_eq!(hand.all_held(), [(0, vec![runs_on.held])]);
    }
}
