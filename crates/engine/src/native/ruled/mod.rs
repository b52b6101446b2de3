//! The body of `exchange.lua` with the parts for lanes and rules in front, for queues whose jobs have priorities and
//! groups, and for those under caps and rates of queues and kinds as long as these have room.
//!
//! What rules hold up is left to the text, as are their other parts, rules of groups, and lanes where kinds have rules.
//! The commands here are those of the text, in its order.

mod limit;
mod names;
mod release;
mod rule;
mod scan;
mod take;
mod turns;

use windlass_resp::Value;

pub use self::names::Base;
pub use self::turns::floor;

use self::names::Names;
use self::release::Release;
use self::rule::Rule;
use self::scan::Scan;
use self::take::{PIECE, Take};
use super::check::Check;
use super::exchange::{Fenced, Parts, Queue, Request, canonical};
use super::push::has_ids_left;
use super::{GROUP, NUMBER_END, number, wake};
use crate::error::Result;
use crate::number::parse_integer;
use crate::script::Scene;
use crate::types::{Consumer, Group, Hash, SortedSet, Stream};

/// The field of a gate that says that its queue has lanes or rules.
pub const RULED: &[u8] = b"ruled";
/// The field of a gate that names the last entry that came from a lane.
pub const LANED: &[u8] = b"l";
/// The history of a job that has none.
pub const HISTORY: &[u8] = b"{\"state\":\"enqueued\"}";
/// The fields of a gate that mean something unusual.
const UNUSUAL: [&[u8]; 3] = [b"paused", b"suspect", b"recovered"];

pub fn exchange(scene: &mut Scene, keys: &[&[u8]], argv: &[&[u8]]) -> Option<Value> {
    let request = Request::parse(keys, argv).filter(|request| request.free.is_some())?;
    let base = Base::of(keys.first()?)?;
    let (asleep, rules_key) = (base.key("asleep", b""), base.key("rules", b""));
    let (jobs, caps_key) = (base.key("jobs", b""), base.key("caps", b""));
    let release_keys = release::Keys::new(&base, base.ended(&request)?);
    let names = request.queues.iter().map(|queue| base.queue(queue)).collect::<Option<Vec<_>>>()?;
    let mut scan = Scan::default();
    let (next, fenced, release, plans) = {
        let mut check = Check::begin(scene)?;
        let next = until_next_opens(&mut check, &asleep)?;
        let rules = check.value::<Hash>(&rules_key)?;
        let caps = check.value::<Hash>(&caps_key)?;
        check.value::<Hash>(&jobs)?;
        check.value::<Hash>(request.moved)?;
        let has_kinds = has_some(rules, b"kinds")?;
        if rules.is_some_and(|rules| rules.get(b"breakers").is_some()) {
            return None;
        }
        let mut plans = Vec::with_capacity(names.len());
        for (queue, names) in request.queues.iter().zip(&names) {
            let mut plan = names.check(&mut check, queue, rules)?;
            if has_kinds && plan.is_ruled {
                // Where some are passed over, a page may show more than are taken.
                let seen = request.count() + if plan.is_fresh { 0 } else { PIECE };
                scan.look(&mut check, &base, queue, names, rules?, seen)?;
                (plan.next, plan.has_rules) = (Some(scan.queues.len() - 1), true);
            }
            plans.push(plan);
        }
        let streams = || request.queues.iter().map(|queue| queue.stream);
        if rules.is_some()
            && streams().enumerate().any(|(at, stream)| streams().take(at).any(|other| other == stream))
        {
            // What one taking leaves of a limit the other would find.
            return None;
        }
        let fenced = request.check_ended(&mut check)?;
        let release = Release::look(&mut check, &release_keys, (caps, rules), &request, &fenced)?;
        scan.check(&check, caps, &release)?;
        (next, fenced, release, plans)
    };
    let answer =
        act(scene, &request, fenced, |scene| release.act(scene, &release_keys, &caps_key), &plans, &scan);
    // Which lanes have a turn is found out on the way, so that theirs are the keys which nobody has looked at.
    Some(answer.map_or_else(
        |error| Value::Error(error.into_text()),
        |mut answer| {
            answer.push(Value::Array(vec![Value::Integer(0), Value::Integer(next)]));
            Value::Array(answer)
        },
    ))
}

fn act<'a>(
    scene: &mut Scene,
    request: &Request<'a>,
    fenced: Fenced<'_>,
    release: impl FnOnce(&mut Scene) -> Result<()>,
    plans: &[Plan<'a>],
    scan: &'a Scan,
) -> Result<Parts> {
    let mut answer = request.end(scene, fenced)?;
    release(scene)?;
    request.take_each(scene, &mut answer, |scene, number, queue, room, answer| {
        let plan = &plans[number as usize - 1];
        if !plan.is_ruled {
            return request.take(scene, number, queue, room, answer);
        }
        answer.push(Value::Array(vec![Value::Integer(number), Value::from("ruled")]));
        let left = room.left.min(own_room(scene, queue, plan)?);
        let spare = room.left - left;
        room.left = left;
        if left > 0 {
            let mut take = Take::begin(scene, request, queue, plan, scan, room)?;
            take.run(scene)?;
            let (entries, leaves_work) = take.finish(scene)?;
            if leaves_work {
                wake(scene, queue.wake)?;
            }
            room.count(&entries);
            if !entries.is_empty() {
                answer.push(Value::Array(vec![Value::Integer(number), Value::Array(entries)]));
            }
        }
        if room.has_bytes() {
            room.left += spare;
        }
        Ok(())
    })?;
    Ok(answer)
}

/// What is known of a queue before anything is taken from it.
struct Plan<'a> {
    names: &'a Names,
    /// Whether it has lanes or rules.
    is_ruled: bool,
    /// Whether any rule is for it, its groups or any kind.
    has_rules: bool,
    rule: Option<Rule>,
    /// Whether the gate names an entry that came from a lane.
    was_laned: bool,
    /// Whether what came from lanes was passed by its group: then new entries may be read as such.
    is_fresh: bool,
    /// Where its next entries are among those that were looked at, if any kind has a rule.
    next: Option<usize>,
}

/// How many jobs of a queue may become active: its cap less what workers have.
fn own_room(scene: &mut Scene, queue: &Queue<'_>, plan: &Plan<'_>) -> Result<usize> {
    let Some(cap) = plan.rule.and_then(|rule| rule.cap) else { return Ok(usize::MAX) };
    let mut call = scene.view(&[]);
    let group = call.get::<Stream>(queue.stream)?.and_then(|stream| stream.group(GROUP));
    let consumers = group.into_iter().flat_map(Group::consumers);
    let workers = consumers.filter(|consumer| !consumer.name.starts_with(b"~"));
    Ok((cap as usize).saturating_sub(workers.map(Consumer::pending_len).sum()))
}

/// Whether a field that counts rules counts any.
fn has_some(rules: Option<&Hash>, field: &[u8]) -> Option<bool> {
    rules.and_then(|rules| rules.get(field)).map_or(Some(false), |count| Some(number(count)? > 0))
}

/// How long until something that waits for a limit may go on, or -1. None when it may go on now.
fn until_next_opens<'a>(check: &mut Check<'a>, asleep: &'a [u8]) -> Option<i64> {
    let Some((_, at)) = check.value::<SortedSet>(asleep)?.and_then(|asleep| asleep.iter().next()) else {
        return Some(-1);
    };
    let wait = at - check.now_ms() as f64;
    (wait >= 1.0 && wait < NUMBER_END as f64).then_some(wait as i64)
}

impl Names {
    /// Looks whether everything of a queue is as usual, as far as rules say something of it that is known here.
    fn check<'n: 'c, 'q: 'c, 'c>(
        &'n self,
        check: &mut Check<'c>,
        queue: &Queue<'q>,
        rules: Option<&Hash>,
    ) -> Option<Plan<'n>> {
        let mut plan = Plan {
            names: self,
            is_ruled: false,
            has_rules: false,
            rule: None,
            was_laned: false,
            is_fresh: false,
            next: None,
        };
        let stream = check.value::<Stream>(queue.stream)??;
        let group = stream.group(GROUP)?;
        check.value::<SortedSet>(queue.wake)?;
        let Some(gate) = check.value::<Hash>(queue.gate)? else { return Some(plan) };
        if UNUSUAL.iter().any(|field| gate.get(field).is_some()) || !has_ids_left(stream) {
            return None;
        }
        plan.is_ruled = gate.get(RULED).is_some();
        plan.was_laned = gate.get(LANED).is_some();
        plan.is_fresh = match gate.get(LANED) {
            Some(laned) => canonical(laned)? <= group.last_id,
            None => true,
        };
        if let Some(rules) = rules {
            if has_some(Some(rules), &self.key_rules)? || rules.get(&self.key_rule).is_some() {
                return None;
            }
            if let Some(text) = rules.get(&self.queue_rule) {
                plan.rule = Some(Rule::parse(text)?);
                plan.has_rules = true;
            }
            check.value::<Hash>(&self.permits)?;
        }
        if let Some(rate) = plan.rule.and_then(|rule| rule.rate) {
            // One that admits none sleeps, and says until when.
            let tokens = limit::tokens(rate, check.lasting::<Hash>(&self.rate)?, check.now_ms())?;
            if tokens < 1.0 {
                return None;
            }
        }
        check.value::<SortedSet>(&self.turns)?;
        check.value::<Hash>(&self.waits)?;
        let is_number =
            |text: &[u8]| parse_integer(text).is_some_and(|number| number.unsigned_abs() < NUMBER_END);
        let is_usual = |pace: &Hash| pace.iter().all(|(_, value)| is_number(value));
        check.value::<Hash>(&self.pace)?.is_none_or(is_usual).then_some(plan)
    }
}
