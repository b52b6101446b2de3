//! What the stream has gets its turn.

use windlass_resp::Value;

use super::super::super::GROUP;
use super::super::super::exchange::canonical;
use super::super::limit::Limit;
use super::super::turns::{Field, RANK_DEFAULT, UNIT, floor};
use super::{PIECE, Take, turns_until};
use crate::command::stream::effect::Target;
use crate::command::stream::id_value;
use crate::command::stream::read::Reader;
use crate::error::Result;
use crate::script::Scene;
use crate::types::{Id, Stream};

/// A new entry of the stream.
struct Plain {
    entry: Id,
    fields: Vec<Value>,
    /// Whether it came from a lane: somebody has it.
    is_laned: bool,
}

/// What an entry has, by its fields.
struct PlainRef<'a> {
    entry: Id,
    fields: &'a [Value],
}

impl Take<'_> {
    /// Takes from the stream those that come before the turn of the first lane.
    pub(super) fn plain_turn(&mut self, scene: &mut Scene, start: f64, other: Option<f64>) -> Result<()> {
        let mut wanted = self.left.min(PIECE);
        if let Some(other) = other {
            wanted = wanted.min(turns_until(other, start) + 1);
        }
        if self.is_fresh
            && !self.is_mixed
            && self.last == self.first
            && (self.next.is_none() || self.free > 0)
        {
            return self.read_new(scene, start, wanted);
        }
        // More may be passed over in one turn than taken.
        let page = if self.is_fresh { wanted } else { PIECE };
        let found = self.read(scene, page)?;
        self.has_plain = found.len() == page;
        let mut count = 0;
        for plain in found {
            let limit = if plain.is_laned { None } else { self.limit(scene, plain.entry)? };
            if self.bytes <= 0 || (count >= wanted && !plain.is_laned) {
                self.has_plain = true;
                break;
            }
            if limit.is_some() && self.free == 0 {
                (self.has_plain, self.is_over, self.leaves_work) = (true, true, true);
                break;
            }
            self.last = plain.entry;
            if !plain.is_laned {
                self.take_plain(scene, plain, limit)?;
                count += 1;
            }
        }
        self.note_turns(start, count);
        Ok(())
    }

    /// Takes new entries by reading them, after which they are pending.
    fn read_new(&mut self, scene: &mut Scene, start: f64, wanted: usize) -> Result<()> {
        let wanted = if self.next.is_some() { wanted.min(self.free) } else { wanted };
        let target = Target { key: self.stream, group: GROUP };
        let reader = Reader { target, consumer: self.consumer };
        let found = reader.take(&mut scene.view(&[]), wanted)?.unwrap_or_default();
        self.has_plain = found.len() == wanted;
        self.is_end = !self.has_plain;
        for entry in &found {
            let Some(plain) = PlainRef::new(entry) else { continue };
            (self.last, self.first) = (plain.entry, plain.entry);
            if let Some(limit) = self.limit(scene, plain.entry)? {
                self.hold(limit, plain.id(&self.names.queue));
            }
            self.bytes -= plain.fields.iter().map(|field| bytes_of(field).len()).sum::<usize>() as i64;
        }
        self.left -= found.len();
        self.free = self.free.saturating_sub(found.len());
        self.note_turns(start, found.len());
        self.entries.extend(found);
        Ok(())
    }

    /// So many plain jobs have had their turns.
    fn note_turns(&mut self, start: f64, count: usize) {
        if count > 0 {
            let tag = start - floor(RANK_DEFAULT);
            self.pace.set(Field::Rank(RANK_DEFAULT), tag + (count - 1) as f64 * UNIT);
            self.pace.set(Field::Plain, tag + count as f64 * UNIT);
        }
    }

    /// A job takes one of a limit.
    fn hold(&mut self, limit: usize, id: Vec<u8>) {
        let (limit, _) = &mut self.limits[limit];
        limit.took += 1;
        if limit.is_held {
            self.permits.extend([id, limit.name.clone()]);
        }
    }

    /// Takes an entry as it is, or behind those that were taken from lanes before it: workers begin jobs in the order
    /// of their entries.
    fn take_plain(&mut self, scene: &mut Scene, plain: Plain, limit: Option<usize>) -> Result<()> {
        let old = plain.entry.text();
        let mut bytes = plain.fields.iter().map(|field| bytes_of(field).len()).sum::<usize>();
        let view = PlainRef { entry: plain.entry, fields: &plain.fields };
        let id = (limit.is_some() || self.is_mixed).then(|| view.id(&self.names.queue));
        if let (Some(limit), Some(id)) = (limit, &id) {
            self.hold(limit, id.clone());
        }
        if let Some(id) = id.filter(|_| self.is_mixed) {
            let mut list = vec![b"j", view.field(b"j").unwrap_or_default(), b"i", &id, b"l", b"1"];
            if let Some(history) = view.field(b"s") {
                list.extend([b"s".as_slice(), history]);
            }
            bytes = list.iter().map(|part| part.len()).sum();
            scene.run(&[b"XDEL", self.stream, &old])?;
            let entry = self.add(scene, &list)?;
            self.moved.push(id);
            self.moved.push([&*self.names.queue, b"/", &entry].concat());
            self.claimed.push(entry);
        } else {
            self.claimed.push(old.to_vec());
            self.entries.push(Value::Array(vec![id_value(plain.entry), Value::Array(plain.fields)]));
        }
        self.bytes -= bytes as i64;
        self.left -= 1;
        self.free = self.free.saturating_sub(1);
        Ok(())
    }

    /// Whether the group has come to all that is in the stream.
    pub(super) fn is_at_end(&self, scene: &mut Scene) -> Result<bool> {
        let mut call = scene.view(&[]);
        let stream = call.get::<Stream>(self.stream)?;
        let behind =
            stream.zip(self.last.next()).and_then(|(stream, from)| stream.range(from, Id::MAX).next());
        Ok(behind.is_none())
    }

    /// Entries behind the last that was looked at.
    fn read(&self, scene: &mut Scene, count: usize) -> Result<Vec<Plain>> {
        let mut call = scene.view(&[]);
        let (Some(stream), Some(from)) = (call.get::<Stream>(self.stream)?, self.last.next()) else {
            return Ok(Vec::new());
        };
        let plain = |(entry, fields)| Plain::new(entry, fields);
        Ok(stream.range(from, Id::MAX).take(count).map(plain).collect())
    }

    /// The limit of the kind of an entry, by its place among those that were met.
    fn limit(&mut self, scene: &mut Scene, entry: Id) -> Result<Option<usize>> {
        let Some(next) = self.next else { return Ok(None) };
        let at = next.iter().position(|(id, _)| *id == entry).expect("what may be taken was looked at");
        self.next = Some(&next[at..]);
        let Some(kind) = next[at].1 else { return Ok(None) };
        let Some(rule) = self.kinds[kind].rule else { return Ok(None) };
        if let Some(limit) = self.limits.iter().position(|(_, other)| *other == kind) {
            return Ok(Some(limit));
        }
        let kind_of = &self.kinds[kind];
        let limit = Limit::read(scene, &kind_of.limit, (rule.cap.is_some(), rule.rate), &kind_of.rate_key)?;
        self.limits.push((limit, kind));
        Ok(Some(self.limits.len() - 1))
    }
}

impl Plain {
    fn new<'a>(entry: Id, fields: impl Iterator<Item = &'a [u8]>) -> Self {
        let fields: Vec<Value> = fields.map(Value::bulk).collect();
        let is_laned = fields.iter().step_by(2).any(|name| bytes_of(name) == b"l");
        Self { entry, fields, is_laned }
    }
}

impl<'a> PlainRef<'a> {
    /// An entry as it is answered.
    fn new(entry: &'a Value) -> Option<Self> {
        let Value::Array(parts) = entry else { return None };
        let [Value::Bulk(id), Value::Array(fields)] = parts.as_slice() else { return None };
        Some(Self { entry: canonical(id)?, fields })
    }

    /// A field by its name; the last of that name.
    fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        let (pairs, _) = self.fields.as_chunks::<2>();
        pairs.iter().rev().find(|[other, _]| bytes_of(other) == name).map(|[_, value]| bytes_of(value))
    }

    /// The id of the job.
    fn id(&self, queue: &[u8]) -> Vec<u8> {
        let own = || [queue, b"/", &*self.entry.text()].concat();
        self.field(b"i").map_or_else(own, <[u8]>::to_vec)
    }
}

fn bytes_of(field: &Value) -> &[u8] {
    if let Value::Bulk(bytes) = field { bytes } else { b"" }
}
