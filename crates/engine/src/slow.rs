//! What took long: the log of slow calls and the events that LATENCY shows. How long a call took is told by who has a clock.

use std::collections::{BTreeMap, VecDeque};

use crate::args::Args;
use crate::blob::Blob;
use crate::command::{Command, Flags};
use crate::monitor::without_secrets;
use crate::session::Session;
use crate::settings::Settings;
use crate::time::Time;

/// How many arguments of a call are kept, the last of which may say how many more there were.
const ARGS_MAX: usize = 32;
/// How many bytes of an argument are kept.
const ARG_BYTES_MAX: usize = 128;
/// How many events of a name are kept.
const EVENTS_MAX: usize = 160;

/// A call that took long.
#[derive(Debug)]
pub struct SlowCall {
    pub number: u64,
    pub at_s: u64,
    pub took_us: u64,
    pub args: Vec<Blob>,
    pub address: String,
    pub name: Blob,
}

/// When something took long, in seconds since the epoch, and how many milliseconds.
pub type Delay = (u64, u64);

/// The delays of one name.
#[derive(Debug, Default)]
pub struct Delays {
    pub last: VecDeque<Delay>,
    pub max_ms: u64,
}

/// What is kept of calls that took long.
#[derive(Debug, Default)]
pub struct Slow {
    /// The newest first.
    pub calls: VecDeque<SlowCall>,
    pub delays: BTreeMap<&'static str, Delays>,
    next_number: u64,
}

impl Slow {
    /// True when a call that took so long may have to be noted: of nearly all it is known at once that they need not.
    pub fn concerns(&self, settings: &Settings, took_us: u64) -> bool {
        let is_slow = u64::try_from(settings.slow_min_us).is_ok_and(|min| took_us >= min);
        let is_delay = settings.latency_min_ms > 0 && took_us / 1000 >= settings.latency_min_ms;
        is_slow || is_delay || self.calls.len() > settings.slow_len_max
    }

    /// Notes a call, if it took long enough.
    pub fn note(
        &mut self,
        settings: &Settings,
        (session, command, args): (&Session, &Command, Args<'_>),
        took_us: u64,
        now: Time,
    ) {
        let is_slow = u64::try_from(settings.slow_min_us).is_ok_and(|min| took_us >= min);
        if is_slow && !command.flags.has(Flags::SKIP_SLOWLOG) && settings.slow_len_max > 0 {
            let call = SlowCall {
                number: self.next_number,
                at_s: now.seconds(),
                took_us,
                args: shortened(command, args),
                address: session.address.clone(),
                name: session.name.clone(),
            };
            self.next_number += 1;
            self.calls.push_front(call);
        }
        self.calls.truncate(settings.slow_len_max);
        let took_ms = took_us / 1000;
        if settings.latency_min_ms > 0 && took_ms >= settings.latency_min_ms {
            let name = if command.flags.has(Flags::FAST) { "fast-command" } else { "command" };
            self.delay(name, now.seconds(), took_ms);
        }
    }

    /// Notes that keys were ended, evicted or freed, if that took long enough.
    pub fn note_tick(&mut self, settings: &Settings, took_us: u64, now: Time) {
        if settings.latency_min_ms > 0 && took_us / 1000 >= settings.latency_min_ms {
            self.delay("expire-cycle", now.seconds(), took_us / 1000);
        }
    }

    /// Notes a delay; two in the same second are one, the longer.
    fn delay(&mut self, name: &'static str, at_s: u64, took_ms: u64) {
        let delays = self.delays.entry(name).or_default();
        delays.max_ms = delays.max_ms.max(took_ms);
        match delays.last.back_mut() {
            Some(last) if last.0 == at_s => last.1 = last.1.max(took_ms),
            _ => delays.last.push_back((at_s, took_ms)),
        }
        if delays.last.len() > EVENTS_MAX {
            delays.last.pop_front();
        }
    }
}

/// The arguments as the log keeps them: not too many, none too long, no secrets.
fn shortened(command: &Command, args: Args<'_>) -> Vec<Blob> {
    let shown = without_secrets(command, args);
    let kept = if shown.len() > ARGS_MAX { ARGS_MAX - 1 } else { shown.len() };
    let short = |arg: &&[u8]| {
        if arg.len() <= ARG_BYTES_MAX {
            return Blob::from(*arg);
        }
        let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
        Blob::from([&arg[..ARG_BYTES_MAX], more.as_bytes()].concat())
    };
    let mut list: Vec<Blob> = shown[..kept].iter().map(short).collect();
    if kept < shown.len() {
        list.push(Blob::from(format!("... ({} more arguments)", shown.len() - kept).into_bytes()));
    }
    list
}
