//! Executes the records of a log, of which there are millions when a database is opened.

use windlass_resp::Value;

use crate::args::Args;
use crate::command::Run;
use crate::engine::Engine;
use crate::error::Error;
use crate::session::SessionId;
use crate::time::Time;

impl Engine {
    /// Executes a record of the log. No time passes in a replay: what ended has its own record. Neither password nor
    /// memory limit applies to what was already accepted.
    ///
    /// # Errors
    /// The error reply of a record that does not fit the state.
    pub fn replay(&mut self, id: SessionId, args: &[&[u8]]) -> Result<(), Error> {
        let slot = self.state.sessions.get_mut(&id).expect("a replay needs an open session");
        let mut session = slot.take().expect("a session that replays executes nothing else");
        session.is_authenticated = true;
        let plain = self.state.commands.resolve(Args(args)).ok().and_then(|command| match command.run {
            Run::Call(body) if session.transaction.is_none() => Some((command, body)),
            _ => None,
        });
        let done = plain.map(|(command, body)| {
            // Nobody waits, watches or listens to whom a replay is to tell anything: what surrounds a command that a
            // client sends would take longer than most of those in a log.
            self.state.call(&mut session, command, body, Args(args), Time::default()).0
        });
        self.state.sessions.insert(id, Some(session));
        let reply = match done {
            Some(answer) => {
                self.state.effects.end_group();
                self.serve_ready(Time::default());
                self.state.deliveries.clear();
                Some(answer?)
            }
            None => {
                let memory_max = std::mem::take(&mut self.state.config.memory_max);
                let outcome = self.execute(id, args, Time::default());
                self.state.config.memory_max = memory_max;
                outcome.reply
            }
        };
        match reply {
            Some(Value::Error(text)) => Err(Error::new(text)),
            _ => Ok(()),
        }
    }
}
