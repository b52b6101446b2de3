//! MONITOR: every command that runs, told to who asked, but for an operator's and for secrets.

use windlass_resp::Value;

use crate::args::Args;
use crate::command::{Command, Flags};
use crate::engine::Message;
use crate::session::Session;
use crate::state::State;
use crate::time::Time;

/// What stands in place of a secret.
const REDACTED: &[u8] = b"(redacted)";

impl State {
    /// Tells who monitors of a command, unless it is one that is not shown.
    pub fn show(&mut self, session: &Session, command: &Command, args: Args<'_>, now: Time) {
        if self.monitors.is_empty()
            || command.flags.has(Flags::SKIP_MONITOR)
            || command.flags.has(Flags::ADMIN)
        {
            return;
        }
        self.show_all(session, command, args, now);
    }

    /// As [`show`](Self::show), for a script, which is shown before the commands that it calls.
    pub fn show_script(&mut self, session: &Session, command: &Command, args: Args<'_>, now: Time) {
        if !self.monitors.is_empty() {
            self.show_all(session, command, args, now);
        }
    }

    fn show_all(&mut self, session: &Session, command: &Command, args: Args<'_>, now: Time) {
        let (seconds, micros) = (now.micros() / 1_000_000, now.micros() % 1_000_000);
        let origin = if session.is_script { "lua" } else { &session.address };
        let mut line = format!("{seconds}.{micros:06} [{} {origin}]", session.db);
        for arg in without_secrets(command, args) {
            line.push(' ');
            quote(arg, &mut line);
        }
        for session in self.monitors.clone() {
            self.deliver(session, Message::Push(Value::Simple(line.clone().into())));
        }
    }
}

/// The arguments, with passwords replaced.
pub fn without_secrets<'a>(command: &Command, args: Args<'a>) -> Vec<&'a [u8]> {
    let mut shown = args.0.to_vec();
    let mut hide = |from: usize, count: usize| {
        shown.iter_mut().skip(from).take(count).for_each(|arg| *arg = REDACTED);
    };
    match command.name {
        "auth" => hide(1, usize::MAX),
        "hello" => {
            if let Some(at) = (2..args.len()).find(|at| args.is(*at, "AUTH")) {
                hide(at + 1, 2);
            }
        }
        "acl|setuser" => hide(3, usize::MAX),
        "config|set" => {
            for at in (2..args.len()).step_by(2).filter(|at| args.is(*at, "REQUIREPASS")) {
                hide(at + 1, 1);
            }
        }
        _ => {}
    }
    shown
}

/// Appends a text in quotes, with escapes where it is not plain.
fn quote(text: &[u8], line: &mut String) {
    line.push('"');
    for byte in text {
        match byte {
            b'"' | b'\\' => line.extend(['\\', *byte as char]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(*byte as char),
            _ => line.push_str(&format!("\\x{byte:02x}")),
        }
    }
    line.push('"');
}
