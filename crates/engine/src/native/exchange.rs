//! The body of `fence.lua` and `after.lua` with `exchange.lua`: ends jobs of one queue and takes new ones from a worker's queues.

use windlass_resp::Value;

use super::check::Check;
use super::push::has_ids_left;
use super::ruled::LANED;
use super::{GROUP, number, wake};
use crate::command::stream::effect::Target;
use crate::command::stream::read::Reader;
use crate::error::Result;
use crate::number::parse_integer;
use crate::object::Kind;
use crate::script::Scene;
use crate::state::Call;
use crate::types::{ENTRY_BYTES_MAX, Hash, Id, NewId, SortedSet, Stream};

/// The most jobs that one call ends or takes; beyond that Lua has limits of its own.
const JOBS_MAX: usize = 4096;
/// The most queues that one call takes from.
const QUEUES_MAX: usize = 64;
/// The keys of the queue whose jobs ended.
const ENDED_KEYS: usize = 5;
/// The arguments before the ended jobs.
const OPTIONS: usize = 6;
/// The jobs that are taken at a time, and the bytes after which no more are.
const PIECE_JOBS: usize = 32;
const TAKEN_BYTES: usize = 4 * 1024 * 1024;
/// The fewest ended jobs of which those in front of all that is pending go by one trim.
const TRIM_MIN: usize = 8;
/// A number with fewer digits fits into 64 bits.
const DIGITS_END: usize = 20;
/// The field of the statistics that counts successes.
const COMPLETED: &[u8] = b"completed";

pub fn exchange(scene: &mut Scene, keys: &[&[u8]], argv: &[&[u8]]) -> Option<Value> {
    let request = Request::parse(keys, argv).filter(|request| request.free.is_none())?;
    let fenced = request.check(scene)?;
    let answer = request.act(scene, fenced);
    Some(answer.expect("all keys were seen to be as the commands need them"))
}

/// A call, with its parts in order.
pub struct Request<'a> {
    pub consumer: &'a [u8],
    pub stream: &'a [u8],
    pub suspect: &'a [u8],
    pub moved: &'a [u8],
    pub stats: &'a [u8],
    gate: &'a [u8],
    ended: Vec<Ended<'a>>,
    count: usize,
    /// How many jobs the asker can begin at once, when the parts for lanes and rules are in front.
    pub free: Option<usize>,
    /// The number of the queue whose mark the asker consumed, from 1.
    woken: u64,
    pub queues: Vec<Queue<'a>>,
    /// The entries of ended jobs that have redirects, with their ids.
    pub moved_ids: Vec<[&'a [u8]; 2]>,
    pub results: Vec<JobResult<'a>>,
}

/// A job that ended, as the asker holds it.
#[derive(Clone, Copy)]
struct Ended<'a> {
    text: &'a [u8],
    id: Id,
    deliveries: u64,
}

/// A queue to take from.
pub struct Queue<'a> {
    pub gate: &'a [u8],
    pub stream: &'a [u8],
    pub wake: &'a [u8],
}

/// What may still be taken.
pub struct Room {
    pub left: usize,
    /// The bytes of what was taken.
    pub bytes: usize,
    /// How many of them may be limited.
    pub free: usize,
}

/// The parts of an answer that say what was taken.
pub type Parts = Vec<Value>;

/// The result of a job that ended.
pub struct JobResult<'a> {
    entry: &'a [u8],
    /// How long it is kept, in milliseconds.
    ttl_ms: &'a [u8],
    text: &'a [u8],
    pub key: &'a [u8],
}

/// What the fence said: which of the ended jobs the consumer still holds.
#[derive(Default)]
pub struct Fenced<'a> {
    held: Vec<Ended<'a>>,
    refused: Vec<Value>,
}

impl<'a> Request<'a> {
    /// Reads a call that is made as the script says; none for any other.
    pub fn parse(keys: &[&'a [u8]], argv: &[&'a [u8]]) -> Option<Self> {
        let (&[consumer, ended, count, asker, woken, moved], rest) = argv.split_first_chunk::<OPTIONS>()?;
        let [ended, count, moved] =
            [number(ended)?, number(count)?, number(moved)?].map(|number| number as usize);
        let free = match asker {
            b"0" | b"1" => None,
            [b'0' | b'1', b'r', free @ ..] => Some(number(free)? as usize),
            _ => return None,
        };
        if ended > JOBS_MAX || count > JOBS_MAX || moved > ended {
            return None;
        }
        let (pairs, rest) = rest.split_at_checked(2 * ended)?;
        let (moved_ids, results) = rest.split_at_checked(2 * moved)?;
        let (&[stream, suspect, moved, stats, gate], keys) = keys.split_first_chunk::<ENDED_KEYS>()?;
        let (results, odd) = results.as_chunks::<3>();
        let (queues, result_keys) = keys.split_at_checked(keys.len().checked_sub(results.len())?)?;
        let (queues, odd_keys) = queues.as_chunks::<4>();
        let is_even = odd.is_empty() && odd_keys.is_empty() && queues.len() <= QUEUES_MAX;
        if !is_even || (ended == 0 && !results.is_empty()) {
            return None;
        }
        let ended: Vec<Ended<'_>> = pairs.chunks_exact(2).map(Ended::parse).collect::<Option<_>>()?;
        let queues = queues.iter().map(|&[gate, stream, wake, _]| Queue { gate, stream, wake });
        let results = results.iter().zip(result_keys).map(|(&[entry, ttl_ms, text], &key)| {
            Some(JobResult { entry, ttl_ms, text, key }).filter(|_| number(ttl_ms).is_some_and(|ttl| ttl > 0))
        });
        Some(Self {
            consumer,
            stream,
            suspect,
            moved,
            stats,
            gate,
            count,
            free,
            woken: number(woken)?,
            queues: queues.collect(),
            moved_ids: moved_ids.as_chunks::<2>().0.to_vec(),
            results: results.collect::<Option<_>>()?,
            // The script looks at the range from the first to the last, and so needs them in order.
            ended: ended.is_sorted_by(|a, b| a.id < b.id).then_some(ended)?,
        })
    }

    /// Looks whether each step will be done as usual, and which of the ended jobs are held.
    fn check<'s>(&'s self, scene: &'s Scene) -> Option<Fenced<'a>> {
        let mut check = Check::begin(scene)?;
        for queue in &self.queues {
            check.absent(queue.gate)?;
            check.value::<Stream>(queue.stream)??.group(GROUP)?;
            check.value::<SortedSet>(queue.wake)?;
        }
        self.check_ended(&mut check)
    }

    /// The same of the jobs that ended.
    pub fn check_ended<'s>(&'s self, check: &mut Check<'s>) -> Option<Fenced<'a>> {
        if self.ended.is_empty() {
            return Some(Fenced::default());
        }
        let fenced = self.fence(check.value::<Stream>(self.stream)??)?;
        match self.free {
            None => check.absent(self.gate)?,
            Some(_) => check.value::<Hash>(self.gate).map(drop)?,
        }
        let completed = check.value::<Hash>(self.stats)?.and_then(|stats| stats.get(COMPLETED));
        completed.map_or(Some(0), |text| parse_integer(text))?.checked_add(fenced.held.len() as i64)?;
        if fenced.again().next().is_some() {
            check.value::<Hash>(self.suspect)?;
        }
        if !self.moved_ids.is_empty() {
            check.value::<Hash>(self.moved)?;
        }
        for result in &self.results {
            let stream = check.last_value::<Stream>(result.key)?;
            if !stream.is_none_or(has_ids_left) || result.text.len() >= ENTRY_BYTES_MAX / 2 {
                return None;
            }
        }
        Some(fenced)
    }

    /// Parts the ended jobs into those that are pending under the consumer with the count that it knows, and others.
    fn fence(&self, stream: &Stream) -> Option<Fenced<'a>> {
        let group = stream.group(GROUP)?;
        let consumer = group.find_consumer(self.consumer);
        let mut fenced = Fenced::default();
        for ended in &self.ended {
            let pending = group.pending(ended.id).filter(|pending| Some(pending.consumer) == consumer);
            if pending.is_some_and(|pending| pending.deliveries == ended.deliveries) {
                fenced.held.push(*ended);
            } else {
                fenced.refused.push(Value::bulk(ended.text));
            }
        }
        Some(fenced)
    }

    fn act(&self, scene: &mut Scene, fenced: Fenced<'_>) -> Result<Value> {
        let mut answer = self.end(scene, fenced)?;
        self.take_each(scene, &mut answer, |scene, number, queue, room, answer| {
            self.take(scene, number, queue, room, answer)
        })?;
        Ok(Value::Array(answer))
    }

    /// Ends what is held; answers how the answer begins.
    pub fn end(&self, scene: &mut Scene, fenced: Fenced<'_>) -> Result<Parts> {
        scene.state.is_exchange = true;
        if !fenced.held.is_empty() {
            self.finish(scene, &fenced)?;
        }
        let now_ms = Value::Integer(i64::try_from(scene.now.millis()).unwrap_or(i64::MAX));
        Ok(vec![now_ms, Value::Array(fenced.refused)])
    }

    /// Has `take` take from each queue in turn, as long as there is room.
    pub fn take_each(
        &self,
        scene: &mut Scene,
        answer: &mut Parts,
        mut take: impl FnMut(&mut Scene, i64, &Queue<'a>, &mut Room, &mut Parts) -> Result<()>,
    ) -> Result<()> {
        let mut room = Room { left: self.count, bytes: 0, free: self.free.unwrap_or(0) };
        for (number, queue) in (1..).zip(&self.queues) {
            if room.left > 0 {
                take(scene, number, queue, &mut room, answer)?;
                if room.left == 0 {
                    wake(scene, queue.wake)?;
                }
            } else if self.woken == number as u64 {
                // The mark that brought the asker here was for a queue that it had no room to look at.
                wake(scene, queue.wake)?;
            }
        }
        Ok(())
    }

    /// How many it takes at most.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes new entries of an ordinary queue.
    pub fn take(
        &self,
        scene: &mut Scene,
        number: i64,
        queue: &Queue<'_>,
        room: &mut Room,
        answer: &mut Parts,
    ) -> Result<()> {
        let target = Target { key: queue.stream, group: GROUP };
        let reader = Reader { target, consumer: self.consumer };
        while room.left > 0 {
            let wanted = room.left.min(PIECE_JOBS);
            let Some(entries) = reader.take(&mut scene.view(&[]), wanted)? else { break };
            let taken = entries.len();
            room.count(&entries);
            answer.push(Value::Array(vec![Value::Integer(number), Value::Array(entries)]));
            if taken < wanted {
                break;
            }
        }
        Ok(())
    }

    /// As XACK, XTRIM and XDEL of what is held, then what the jobs have beside them.
    fn finish(&self, scene: &mut Scene, fenced: &Fenced<'_>) -> Result<()> {
        let held = &*fenced.held;
        let trimmed = self.acknowledge(&mut scene.view(&[]), held)?;
        if trimmed > 0 {
            scene.run(&[b"XTRIM", self.stream, b"MINID", held[trimmed].text])?;
        }
        self.delete(&mut scene.view(&[]), &held[trimmed..])?;
        let mut count = itoa::Buffer::new();
        scene.run(&[b"HINCRBY", self.stats, COMPLETED, count.format(held.len()).as_bytes()])?;
        let is_held = |entry: &[u8]| {
            let id = canonical(entry);
            id.is_some_and(|id| fenced.held.binary_search_by(|ended| ended.id.cmp(&id)).is_ok())
        };
        for result in self.results.iter().filter(|result| is_held(result.entry)) {
            result.keep(scene)?;
        }
        let moved = self.moved_ids.iter().filter(|[entry, _]| is_held(entry)).map(|[_, id]| *id);
        forget(scene, self.suspect, fenced.again())?;
        forget(scene, self.moved, moved)
    }

    /// As XACK; answers how many of the entries go by a trim.
    fn acknowledge(&self, call: &mut Call<'_>, held: &[Ended<'_>]) -> Result<usize> {
        let mut stream = call.get_mut::<Stream>(self.stream)?.expect("it holds what is pending");
        let first = stream.edit_group(GROUP, |group| {
            let acked = held.iter().filter(|ended| group.ack(ended.id)).count();
            assert_eq!(acked, held.len(), "what the fence let through is pending");
            group.pending_range(Id::MIN, Id::MAX).next().map(|(id, _)| id)
        });
        drop(stream);
        log_with(call, &[b"XACK", self.stream, GROUP], held);
        let first = first.flatten().unwrap_or(Id::MAX);
        let before = held.partition_point(|ended| ended.id < first);
        let is_laned = call.get::<Hash>(self.gate)?.is_some_and(|gate| gate.get(LANED).is_some());
        Ok(if before >= TRIM_MIN && !is_laned { before - 1 } else { 0 })
    }

    /// As XDEL.
    fn delete(&self, call: &mut Call<'_>, held: &[Ended<'_>]) -> Result<()> {
        let mut stream = call.get_mut::<Stream>(self.stream)?.expect("its group is there");
        let removed = held.iter().filter(|ended| stream.remove(ended.id)).count();
        drop(stream);
        if removed > 0 {
            call.modified(self.stream);
            log_with(call, &[b"XDEL", self.stream], held);
        }
        Ok(())
    }
}

/// Logs a command that ends with the entries.
fn log_with(call: &mut Call<'_>, head: &[&[u8]], held: &[Ended<'_>]) {
    let effect: Vec<&[u8]> = head.iter().copied().chain(held.iter().map(|ended| ended.text)).collect();
    call.log_as(&effect);
}

/// Deletes these fields of a hash, if there are any to delete.
fn forget<'a>(scene: &mut Scene, key: &'a [u8], fields: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let command: Vec<&[u8]> = [b"HDEL".as_slice(), key].into_iter().chain(fields).collect();
    if command.len() > 2 { scene.run(&command).map(drop) } else { Ok(()) }
}

impl<'a> Fenced<'a> {
    /// The entries that are held, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.held.iter().map(|ended| ended.text)
    }

    /// Those of them that were delivered before.
    fn again(&self) -> impl Iterator<Item = &'a [u8]> {
        self.held.iter().filter(|ended| ended.deliveries > 1).map(|ended| ended.text)
    }
}

impl Room {
    /// Counts entries against what may be taken; with enough of them there is no room left.
    pub fn count(&mut self, entries: &[Value]) {
        self.bytes += entries.iter().map(field_bytes).sum::<usize>();
        self.left = if self.has_bytes() { self.left.saturating_sub(entries.len()) } else { 0 };
        self.free = self.free.saturating_sub(entries.len());
    }

    /// Whether more bytes may be taken.
    pub fn has_bytes(&self) -> bool {
        self.bytes < TAKEN_BYTES
    }

    /// How many bytes may still be taken.
    pub fn bytes_left(&self) -> i64 {
        TAKEN_BYTES as i64 - self.bytes as i64
    }
}

impl<'a> Ended<'a> {
    fn parse(pair: &[&'a [u8]]) -> Option<Self> {
        let (text, deliveries) = (pair[0], number(pair[1])?);
        Some(Self { text, id: canonical(text)?, deliveries })
    }
}

impl JobResult<'_> {
    /// As XADD and PEXPIRE.
    fn keep(&self, scene: &mut Scene) -> Result<()> {
        let key = self.key;
        let (now_ms, fields) = (scene.now.millis(), [b"state".as_slice(), COMPLETED, b"v", self.text]);
        let mut call = scene.view(&[]);
        if call.entry(key).is_some() {
            scene.run(&[&[b"XADD".as_slice(), key, b"*"], fields.as_slice()].concat())?;
            return scene.run(&[b"PEXPIRE", key, self.ttl_ms]).map(drop);
        }
        // Nearly always it is the job's first result, and made with its expiry in one step.
        let mut stream = Stream::new(0);
        let id = stream.next_id(NewId::Auto, now_ms).expect("a new stream has all ids left");
        stream.push(id, &fields);
        let expires_ms = now_ms + number(self.ttl_ms).expect("the time was seen to be a number");
        call.set(key, stream.wrap(), Some(expires_ms));
        let [name, state, value_name, value] = fields;
        call.log_as(&[b"XADD", key, &id.text(), name, state, value_name, value]);
        call.log_as(&[b"PEXPIREAT", key, itoa::Buffer::new().format(expires_ms).as_bytes()]);
        Ok(())
    }
}

/// How many bytes the fields of an entry have, as it is answered.
fn field_bytes(entry: &Value) -> usize {
    let Value::Array(parts) = entry else { return 0 };
    let Some(Value::Array(fields)) = parts.get(1) else { return 0 };
    fields.iter().map(|field| if let Value::Bulk(bytes) = field { bytes.len() } else { 0 }).sum()
}

/// An id in the form in which it is answered: only so does the script find it again.
pub fn canonical(text: &[u8]) -> Option<Id> {
    let (ms, rest) = canonical_part(text)?;
    let (seq, rest) = canonical_part(rest.strip_prefix(b"-")?)?;
    rest.is_empty().then_some(Id::new(ms, seq))
}

/// The number at the start of a text, and what follows it; none for one that begins with a zero or may be too large.
fn canonical_part(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut len) = (0_u64, 0);
    while let Some(digit) = text.get(len).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        len += 1;
    }
    let is_canonical = (1..DIGITS_END).contains(&len) && (len == 1 || text[0] != b'0');
    is_canonical.then(|| (number, &text[len..]))
}
