//! What the entries that may be taken need of limits of their kinds, looked at before anything changes.

use super::super::check::Check;
use super::super::exchange::Queue;
use super::super::{GROUP, NUMBER_END};
use super::limit::{has_room, tokens};
use super::names::{Base, Names};
use super::release::Release;
use super::rule::Rule;
use super::turns::RANK_DEFAULT;
use crate::number::parse_integer;
use crate::types::{Hash, Id, SortedSet, Stream};

/// What precedes the kind in an envelope of ours.
const KIND_PREFIX: &[u8] = b"{\"v\":1,\"kind\":\"";

/// The kinds of what may be taken.
#[derive(Default)]
pub struct Scan {
    pub kinds: Vec<Kind>,
    /// For each queue its next entries, each with the number of its kind; none for one that came from a lane.
    pub queues: Vec<Vec<(Id, Option<usize>)>>,
}

/// A kind, and what its entries need.
pub struct Kind {
    name: Vec<u8>,
    pub limit: Vec<u8>,
    pub rate_key: Vec<u8>,
    /// Its rule, if that limits anything.
    pub rule: Option<Rule>,
    wanted: usize,
}

impl Scan {
    /// Looks at the next `count` jobs of a queue that has no lanes; none when the text has to.
    pub fn look<'a>(
        &mut self,
        check: &mut Check<'a>,
        base: &Base<'_>,
        queue: &Queue<'a>,
        names: &'a Names,
        rules: &Hash,
        count: usize,
    ) -> Option<()> {
        let has_lanes =
            check.value::<SortedSet>(&names.turns)?.is_some() || check.value::<Hash>(&names.waits)?.is_some();
        let stream = check.value::<Stream>(queue.stream)??;
        let from = stream.group(GROUP)?.last_id.next();
        if has_lanes {
            return None;
        }
        let (mut entries, mut seen, mut left) = (Vec::new(), Vec::new(), count);
        for (id, fields) in from.map(|from| stream.range(from, Id::MAX)).into_iter().flatten() {
            if left == 0 {
                break;
            }
            let (mut envelope, mut is_laned, mut name) = (None, false, None::<&[u8]>);
            for part in fields {
                match name.take() {
                    None => name = Some(part),
                    Some(b"j") => envelope = Some(part),
                    Some(b"l") => is_laned = true,
                    Some(_) => {}
                }
            }
            if is_laned {
                entries.push((id, None));
                continue;
            }
            let kind = self.kind(base, kind_of(envelope?)?, rules)?;
            let known = &mut self.kinds[kind];
            known.wanted += 1;
            // Those of a kind that wait in its lane came before.
            if known.rule.is_some() && !seen.contains(&kind) {
                seen.push(kind);
                let rank = format!("/{RANK_DEFAULT:03}/");
                let lane = [&names.lane, &names.queue, rank.as_bytes(), &known.name, b"/"].concat();
                if check.holds(&lane) {
                    return None;
                }
            }
            entries.push((id, Some(kind)));
            left -= 1;
        }
        self.queues.push(entries);
        Some(())
    }

    fn kind(&mut self, base: &Base<'_>, name: &[u8], rules: &Hash) -> Option<usize> {
        if let Some(at) = self.kinds.iter().position(|kind| kind.name == name) {
            return Some(at);
        }
        let limit = [b"kind:", name].concat();
        let rule = match rules.get(&limit) {
            Some(text) => Some(Rule::parse(text)?).filter(Rule::limits),
            None => None,
        };
        let rate_key = base.key("rate:", &limit);
        self.kinds.push(Kind { name: name.to_vec(), limit, rate_key, rule, wanted: 0 });
        Some(self.kinds.len() - 1)
    }

    /// Holds that every limit has room for all that may be taken, with what the ended jobs give back.
    pub fn check(&self, check: &Check<'_>, caps: Option<&Hash>, release: &Release) -> Option<()> {
        for kind in &self.kinds {
            let Some(rule) = &kind.rule else { continue };
            let held =
                caps.and_then(|caps| caps.get(&kind.limit)).map_or(Some(0), |held| parse_integer(held))?;
            let held = held.checked_sub_unsigned(release.count_of(&kind.limit) as u64)?;
            let tokens = match rule.rate {
                Some(rate) => Some(tokens(rate, check.lasting::<Hash>(&kind.rate_key)?, check.now_ms())?),
                None => None,
            };
            // Each queue's taking reckons with rounded fractions of the one before.
            let wanted = kind.wanted + self.queues.len();
            if held.unsigned_abs() >= NUMBER_END || !has_room(rule, held as f64, tokens, wanted as f64) {
                return None;
            }
        }
        Some(())
    }
}

/// The kind in an envelope of ours.
fn kind_of(envelope: &[u8]) -> Option<&[u8]> {
    let rest = envelope.strip_prefix(KIND_PREFIX)?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let end = rest.iter().position(|byte| !is_name(byte))?;
    (end > 0 && rest[end] == b'"').then(|| &rest[..end])
}
