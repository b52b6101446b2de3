//! Publishing and subscribing.

use super::Command;
use crate::pubsub::PubSub;
use crate::session::Session;

pub const COMMANDS: &[Command] = &[];

/// Ends every subscription of a session.
pub fn unsubscribe_all(pubsub: &mut PubSub, session: &mut Session) {
    for channel in std::mem::take(&mut session.channels) {
        PubSub::remove(&mut pubsub.channels, &channel, session.id);
    }
    for pattern in std::mem::take(&mut session.patterns) {
        PubSub::remove(&mut pubsub.patterns, &pattern, session.id);
    }
}
