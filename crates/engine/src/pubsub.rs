//! Who listens to which channel.

use std::collections::{BTreeMap, BTreeSet};

use windlass_resp::Value;

use crate::blob::Blob;
use crate::engine::Message;
use crate::pattern;
use crate::session::{Session, SessionId};
use crate::state::State;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel.
    Channel,
    /// All channels whose names match.
    Pattern,
    /// A shard channel, which has nothing to do with the channel of the same name.
    Shard,
}

/// Who listens, by name.
type Listeners = BTreeMap<Blob, BTreeSet<SessionId>>;

/// The subscriptions of all sessions.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: Listeners,
    patterns: Listeners,
    shards: Listeners,
}

impl PubSub {
    /// Who listens to names of a kind.
    pub fn of(&self, kind: Kind) -> &Listeners {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Listeners {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    /// Adds a subscription, unless the session has it.
    pub fn subscribe(&mut self, kind: Kind, session: &mut Session, name: &[u8]) {
        if session.subscriptions_mut(kind).insert(Blob::from(name)) {
            self.of_mut(kind).entry(Blob::from(name)).or_default().insert(session.id);
        }
    }

    /// Takes a subscription away; a name without listeners goes.
    pub fn unsubscribe(&mut self, kind: Kind, session: &mut Session, name: &[u8]) {
        if session.subscriptions_mut(kind).remove(name)
            && let Some(listeners) = self.of_mut(kind).get_mut(name)
        {
            listeners.remove(&session.id);
            if listeners.is_empty() {
                self.of_mut(kind).remove(name);
            }
        }
    }

    /// Ends every subscription of a session.
    pub fn unsubscribe_all(&mut self, session: &mut Session) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in session.subscriptions(kind).clone() {
                self.unsubscribe(kind, session, &name);
            }
        }
    }
}

impl State {
    /// Sends a message to who listens to a channel, by name or by pattern; answers how often it went out.
    pub fn publish(&mut self, channel: &[u8], text: &[u8]) -> usize {
        let part = |text: &[u8]| Value::bulk(text);
        let mut messages: Vec<(SessionId, Value)> = Vec::new();
        for session in self.pubsub.channels.get(channel).into_iter().flatten() {
            messages.push((*session, Value::Push(vec![Value::from("message"), part(channel), part(text)])));
        }
        for (name, sessions) in
            self.pubsub.patterns.iter().filter(|(name, _)| pattern::matches(name, channel))
        {
            for session in sessions {
                let message = vec![Value::from("pmessage"), part(name), part(channel), part(text)];
                messages.push((*session, Value::Push(message)));
            }
        }
        self.push_all(messages)
    }

    /// Sends a message to who listens to a shard channel; answers how many.
    pub fn publish_shard(&mut self, channel: &[u8], text: &[u8]) -> usize {
        let message = Value::Push(vec![Value::from("smessage"), Value::bulk(channel), Value::bulk(text)]);
        let listeners = self.pubsub.shards.get(channel).into_iter().flatten();
        let messages = listeners.map(|session| (*session, message.clone())).collect();
        self.push_all(messages)
    }

    fn push_all(&mut self, messages: Vec<(SessionId, Value)>) -> usize {
        let count = messages.len();
        for (session, message) in messages {
            self.deliver(session, Message::Push(message));
        }
        count
    }
}
