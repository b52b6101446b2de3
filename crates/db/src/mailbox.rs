//! What reaches a session unasked: replies of waits, messages of channels, the order to close.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use windlass_engine::Message;
use windlass_resp::Value;

use crate::progress::Position;

/// The bytes that an entry costs beside its content.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// One session's messages, in order, each with the position of the log that it could have seen.
#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// True while there are entries; changed only with the lock.
    has_entries: AtomicBool,
    /// Bytes that were sent to the client and that it has not taken.
    unread: AtomicUsize,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    waker: Option<Waker>,
    is_closed: bool,
    is_overrun: bool,
}

struct Entry {
    message: Message,
    position: Position,
    bytes: usize,
}

/// What [`Mailbox::take`] found.
pub(crate) enum Taken {
    /// The first message.
    Message(Message, Position),
    /// The first message has to wait until the log is safe up to this position.
    Held(Position),
    /// Nothing; the waker is kept.
    Nothing,
}

impl Mailbox {
    /// Notes how many bytes that were sent to the client lie unread.
    pub fn note_unread(&self, bytes: usize) {
        self.unread.store(bytes, Ordering::Relaxed);
    }

    /// How many bytes lie unread, of messages that are not sent yet as well.
    pub fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed) + self.state.lock().bytes
    }

    /// Puts a message at the end; answers whom to wake. A session that leaves more than `bytes_max` unread is told
    /// to close instead, and gets no more.
    pub fn put(&self, message: Message, position: Position, bytes_max: usize) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        let bytes = ENTRY_BYTES
            + match &message {
                Message::Reply(value) | Message::Push(value) => value_bytes(value),
                Message::Silent | Message::Close => 0,
            };
        let mut entry = Entry { message, position, bytes };
        if state.bytes + bytes > bytes_max {
            state.is_overrun = true;
            state.entries.clear();
            state.bytes = 0;
            entry = Entry { message: Message::Close, position: Position::START, bytes: ENTRY_BYTES };
        }
        state.is_closed = entry.message == Message::Close;
        state.bytes += entry.bytes;
        state.entries.push_back(entry);
        self.has_entries.store(true, Ordering::Release);
        state.waker.take()
    }

    /// True once the session was told to close because of what it left unread.
    pub fn is_overrun(&self) -> bool {
        self.state.lock().is_overrun
    }

    /// True when there is no message. One that comes at this moment may be missed; what a call brought about is there when
    /// the call has ended.
    pub fn is_empty(&self) -> bool {
        !self.has_entries.load(Ordering::Acquire)
    }

    /// Takes the first message if the log is safe up to its position, which `reached` says.
    pub fn take(&self, reached: Position, waker: Option<&Waker>) -> Taken {
        let mut state = self.state.lock();
        match state.entries.front() {
            Some(entry) if entry.position <= reached => {
                let entry = state.entries.pop_front().expect("just seen");
                state.bytes -= entry.bytes;
                // A session of the process goes on after CLIENT KILL, and may wait again.
                state.is_closed &= state.is_overrun || entry.message != Message::Close;
                self.has_entries.store(!state.entries.is_empty(), Ordering::Release);
                Taken::Message(entry.message, entry.position)
            }
            Some(entry) => Taken::Held(entry.position),
            None => {
                match (&mut state.waker, waker) {
                    (Some(kept), Some(waker)) => kept.clone_from(waker),
                    (kept, waker) => *kept = waker.cloned(),
                }
                Taken::Nothing
            }
        }
    }
}

/// About the bytes of memory that a value takes.
fn value_bytes(value: &Value) -> usize {
    let content = match value {
        Value::Simple(text) | Value::Error(text) => text.len(),
        Value::Bulk(bytes) => bytes.len(),
        Value::Verbatim(_, text) => text.len(),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => items.iter().map(value_bytes).sum(),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| value_bytes(key) + value_bytes(value)).sum(),
        Value::Nil
        | Value::NilArray
        | Value::Integer(_)
        | Value::Double(_)
        | Value::Boolean(_)
        | Value::Head(_) => 0,
    };
    size_of::<Value>() + content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(text: &str) -> Message {
        Message::Push(Value::from(text))
    }

    #[test]
    fn a_message_is_held_until_its_position_is_reached() {
        let mailbox = Mailbox::default();
        mailbox.put(push("a"), Position(10), 1 << 20);
        assert!(matches!(mailbox.take(Position(9), None), Taken::Held(Position(10))));
        let Taken::Message(message, position) = mailbox.take(Position(10), None) else { panic!("held") };
        assert_eq!((message, position), (push("a"), Position(10)));
        assert!(matches!(mailbox.take(Position(10), None), Taken::Nothing));
    }

    #[test]
    fn a_session_that_does_not_read_is_closed() {
        let mailbox = Mailbox::default();
        for _ in 0..100 {
            mailbox.put(push(&"x".repeat(100)), Position::START, 1000);
        }
        let Taken::Message(message, _) = mailbox.take(Position::START, None) else { panic!("nothing") };
        assert_eq!(message, Message::Close);
        assert!(matches!(mailbox.take(Position::START, None), Taken::Nothing));
        assert!(mailbox.is_overrun());
    }
}
