//! What commands on groups log.
//!
//! A delivery is logged as an XCLAIM that forces the outcome, as Redis does, but one for a whole batch of entries
//! that share time and count; what a group has read is set by XGROUP SETID, because XCLAIM cannot say it. When a
//! consumer was last seen is not logged: a replay derives it from what was delivered to it.

use crate::state::Call;
use crate::types::{Id, IdText};

/// Most ids in one XCLAIM or XACK of the log.
const IDS_MAX: usize = 1024;

/// An entry that was delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    pub id: Id,
    pub delivered_ms: u64,
    pub deliveries: u64,
}

impl Delivered {
    /// True when one XCLAIM can say both.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.delivered_ms == other.delivered_ms && self.deliveries == other.deliveries
    }
}

/// How far a group has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub last_id: Id,
    pub entries_read: Option<u64>,
}

/// The group that a command works on.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub key: &'a [u8],
    pub group: &'a [u8],
}

impl Target<'_> {
    pub fn log_consumer(self, call: &mut Call<'_>, consumer: &[u8]) {
        call.log_as(&[b"XGROUP", b"CREATECONSUMER", self.key, self.group, consumer]);
    }

    /// That `delivered` are pending under `consumer`.
    pub fn log_delivered(self, call: &mut Call<'_>, consumer: &[u8], delivered: &[Delivered]) {
        for batch in delivered.chunk_by(Delivered::is_alike).flat_map(|run| run.chunks(IDS_MAX)) {
            claim(self, consumer, batch, |effect| call.log_as(effect));
        }
    }

    /// As [`log_delivered`](Self::log_delivered), of entries that share time and count.
    pub fn log_delivered_alike(
        self,
        call: &mut Call<'_>,
        consumer: &[u8],
        texts: &[IdText],
        (delivered_ms, deliveries): (u64, u64),
    ) {
        for batch in texts.chunks(IDS_MAX) {
            claim_texts(self, consumer, batch, (delivered_ms, deliveries), |effect| call.log_as(effect));
        }
    }

    /// That entries are no longer pending.
    pub fn log_dropped(self, call: &mut Call<'_>, ids: &[Id]) {
        for batch in ids.chunks(IDS_MAX) {
            let texts: Vec<IdText> = batch.iter().map(|id| id.text()).collect();
            let mut effect: Vec<&[u8]> = vec![b"XACK", self.key, self.group];
            effect.extend(texts.iter().map(|text| &**text));
            call.log_as(&effect);
        }
    }

    /// How far the group has come.
    pub fn log_progress(self, call: &mut Call<'_>, progress: Progress) {
        set_progress(self, progress, |effect| call.log_as(effect));
    }
}

/// Gives the XCLAIM that makes `batch`, which share time and count, pending under `consumer`.
pub fn claim(target: Target<'_>, consumer: &[u8], batch: &[Delivered], emit: impl FnOnce(&[&[u8]])) {
    let Some(first) = batch.first() else { return };
    let texts: Vec<IdText> = batch.iter().map(|entry| entry.id.text()).collect();
    claim_texts(target, consumer, &texts, (first.delivered_ms, first.deliveries), emit);
}

/// As [`claim`], with the ids as text; beside them when they were delivered and how many times.
fn claim_texts(
    target: Target<'_>,
    consumer: &[u8],
    texts: &[IdText],
    (delivered_ms, deliveries): (u64, u64),
    emit: impl FnOnce(&[&[u8]]),
) {
    let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut effect: Vec<&[u8]> = Vec::with_capacity(texts.len() + 11);
    effect.extend([b"XCLAIM", target.key, target.group, consumer, b"0"]);
    effect.extend(texts.iter().map(|text| &**text));
    effect.extend([b"TIME", time.format(delivered_ms).as_bytes()]);
    effect.extend([b"RETRYCOUNT", count.format(deliveries).as_bytes(), b"FORCE", b"JUSTID"]);
    emit(&effect);
}

/// Gives the XGROUP SETID that says how far a group has come.
pub fn set_progress(target: Target<'_>, progress: Progress, emit: impl FnOnce(&[&[u8]])) {
    let read = progress.entries_read.map_or(-1, |read| i64::try_from(read).unwrap_or(i64::MAX));
    let (text, mut number) = (progress.last_id.text(), itoa::Buffer::new());
    let read = number.format(read).as_bytes();
    emit(&[b"XGROUP", b"SETID", target.key, target.group, &text, b"ENTRIESREAD", read]);
}
