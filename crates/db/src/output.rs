//! What is on its way to a client: replies and messages in order, each held until the log is safe up to what it could
//! have seen, and how much of it may lie unread.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use windlass_engine::{ClientLimits, OutputLimit};
use windlass_resp::{Protocol, Value, encode};

use crate::input::give_back;
use crate::progress::Position;
use crate::session::Session;

/// A part of the buffer that has left is cut off once it is longer than this and than the rest.
const CUT_BYTES: usize = 64 << 10;
/// For so many marks a client who has everything keeps memory.
const MARKS_KEPT: usize = 4;

/// Replies on their way out, in order, the first of them free to leave.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of the bytes have left.
    sent: usize,
    /// How many of the bytes may leave.
    free: usize,
    /// Up to which byte the rest may leave once the log is safe up to a position; both ascend.
    marks: VecDeque<(usize, Position)>,
    /// How many marks there were before the replies that are now put together.
    marks_before: usize,
    /// At most so many of the bytes are messages, which nobody can hold back.
    message_bytes: usize,
    /// Since when more lies unread than may for long, and how long it may.
    excess: Option<(Instant, Duration)>,
}

impl Output {
    /// What is put in from now on leaves together: one write of the log carries it all.
    pub fn begin_together(&mut self) {
        self.marks_before = self.marks.len();
    }

    /// Puts a reply at the end.
    pub fn push(&mut self, value: &Value, protocol: Protocol, position: Position) {
        encode(value, protocol, &mut self.bytes);
        let end = self.bytes.len();
        let is_together = self.marks.len() > self.marks_before;
        match self.marks.back_mut() {
            // What is already safe waits for what stands before it, no longer.
            Some(last) if last.1 >= position || is_together => *last = (end, last.1.max(position)),
            // Nothing is held, and this was safe from the first.
            None if position == Position::START => self.free = end,
            _ => self.marks.push_back((end, position)),
        }
    }

    /// Puts a message at the end, which the client did not ask for.
    pub fn push_message(&mut self, value: &Value, protocol: Protocol, position: Position) {
        let before = self.bytes.len();
        self.push(value, protocol, position);
        self.message_bytes += self.bytes.len() - before;
    }

    /// Lets go what the log has caught up with.
    pub fn release(&mut self, session: &Session) {
        while let Some((end, position)) = self.marks.front()
            && session.database().is_durable(*position)
        {
            self.free = *end;
            self.marks.pop_front();
        }
    }

    /// The position that the first held bytes wait for.
    pub fn held(&self) -> Option<Position> {
        self.marks.front().map(|(_, position)| *position)
    }

    /// What may leave.
    pub fn ready(&self) -> &[u8] {
        &self.bytes[self.sent..self.free]
    }

    /// Forgets what has left.
    pub fn remove(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            give_back(&mut self.bytes);
            if self.marks.capacity() > MARKS_KEPT && self.marks.is_empty() {
                self.marks = VecDeque::new();
            }
            (self.sent, self.free, self.message_bytes) = (0, 0, 0);
            return;
        }
        // Otherwise one who reads, but is never quite done, would be cut in the end.
        self.message_bytes = self.message_bytes.min(self.len());
        if self.sent > self.bytes.len() / 2 && self.sent > CUT_BYTES {
            self.bytes.drain(..self.sent);
            self.marks.iter_mut().for_each(|(end, _)| *end -= self.sent);
            self.free -= self.sent;
            self.sent = 0;
        }
    }

    /// The bytes that have not left.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// True when everything has left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when more lies unread than may: at once, or for as long as it has by now. All bytes count against the limit
    /// of replies, messages also against theirs.
    pub fn is_in_excess(&mut self, limits: &ClientLimits) -> bool {
        let classes = [(self.len(), limits.replies), (self.message_bytes, limits.messages)];
        if classes.iter().any(|(bytes, limit)| limit.hard > 0 && *bytes > limit.hard) {
            return true;
        }
        let is_soft = |(bytes, limit): &&(usize, OutputLimit)| limit.soft > 0 && *bytes > limit.soft;
        let Some((_, limit)) = classes.iter().find(is_soft) else {
            self.excess = None;
            return false;
        };
        let time = Duration::from_secs(limit.soft_s);
        let (since, _) = *self.excess.get_or_insert_with(|| (Instant::now(), time));
        since.elapsed() > time
    }

    /// When the present excess has lasted for too long.
    pub fn excess_deadline(&self) -> Option<Instant> {
        // A moment later: what is asked then is whether more time has passed, not as much.
        self.excess.map(|(since, time)| since + time + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClientLimits = ClientLimits {
        count_max: 1,
        idle_s: 0,
        keepalive_s: 0,
        replies: OutputLimit { hard: 1000, soft: 0, soft_s: 0 },
        messages: OutputLimit { hard: 500, soft: 100, soft_s: 60 },
        request_max: 0,
        argument_max: 0,
        is_protected: true,
    };

    fn pushed(messages: usize, replies: usize) -> Output {
        let mut output = Output::default();
        let text = |bytes: usize| Value::from("x".repeat(bytes).as_str());
        if messages > 0 {
            output.push_message(&text(messages), Protocol::Resp2, Position::START);
        }
        if replies > 0 {
            output.push(&text(replies), Protocol::Resp2, Position::START);
        }
        output
    }

    #[test]
    fn replies_that_are_put_together_leave_together() {
        let mut output = Output::default();
        let put = |output: &mut Output, position| {
            output.push(&Value::Nil, Protocol::Resp3, Position(position));
            output.marks.iter().map(|(end, position)| (*end, position.0)).collect::<Vec<_>>()
        };
        output.begin_together();
        assert_eq!(put(&mut output, 10), [(3, 10)]);
        assert_eq!(put(&mut output, 20), [(6, 20)]);
        output.begin_together();
        assert_eq!(put(&mut output, 20), [(9, 20)], "a read waits for what stands before it, no longer");
        assert_eq!(put(&mut output, 30), [(9, 20), (12, 30)], "what was put before waits for no more");
        assert_eq!(put(&mut output, 0), [(9, 20), (15, 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_hard_limits_hold_at_once() {
        assert!(!pushed(0, 900).is_in_excess(&LIMITS));
        assert!(pushed(0, 1000).is_in_excess(&LIMITS));
        assert!(pushed(500, 0).is_in_excess(&LIMITS));
        let unlimited = ClientLimits { replies: OutputLimit::default(), ..LIMITS };
        assert!(!pushed(0, 1 << 20).is_in_excess(&unlimited));
    }

    #[tokio::test(start_paused = true)]
    async fn the_soft_limit_holds_after_its_time_without_a_pause() {
        let mut output = pushed(300, 0);
        assert!(!output.is_in_excess(&LIMITS));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!output.is_in_excess(&LIMITS));
        // A client that has read in between has its time anew.
        output.free = output.bytes.len();
        output.remove(output.len());
        assert!(!output.is_in_excess(&LIMITS));
        assert_eq!(output.excess_deadline(), None);
        output.push_message(&Value::from("x".repeat(300).as_str()), Protocol::Resp2, Position::START);
        assert!(!output.is_in_excess(&LIMITS));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!output.is_in_excess(&LIMITS));
        tokio::time::sleep_until(output.excess_deadline().expect("it is in excess")).await;
        assert!(output.is_in_excess(&LIMITS));
    }
}
