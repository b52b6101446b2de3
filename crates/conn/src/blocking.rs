//! Which commands wait, and how long: a wait must not be taken for a server that does not answer.

use std::time::Duration;

/// How long a command may keep silent because it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It answers at once.
    None,
    /// At most so long.
    AtMost(Duration),
    /// As long as nothing happens.
    ForEver,
}

impl Wait {
    /// How long two commands may keep silent one after the other.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::ForEver, _) | (_, Self::ForEver) => Self::ForEver,
            (Self::None, wait) | (wait, Self::None) => wait,
            (Self::AtMost(one), Self::AtMost(two)) => Self::AtMost(one.saturating_add(two)),
        }
    }
}

/// How long the command may wait. Arguments that the store will refuse count as no wait.
pub fn wait_of(args: &[&[u8]]) -> Wait {
    let Some(name) = args.first() else { return Wait::None };
    let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
    if is(&["BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BZPOPMIN", "BZPOPMAX"]) {
        seconds(args.last())
    } else if is(&["BLMPOP", "BZMPOP"]) {
        seconds(args.get(1))
    } else if is(&["XREAD", "XREADGROUP"]) {
        let streams = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"STREAMS")).unwrap_or(args.len());
        let block = args[..streams].iter().position(|arg| arg.eq_ignore_ascii_case(b"BLOCK"));
        block.map_or(Wait::None, |at| millis(args.get(at + 1)))
    } else if is(&["WAIT", "WAITAOF"]) {
        millis(args.last())
    } else {
        Wait::None
    }
}

fn seconds(arg: Option<&&[u8]>) -> Wait {
    number(arg).map_or(Wait::None, |seconds| at_most(Duration::try_from_secs_f64(seconds).ok()))
}

fn millis(arg: Option<&&[u8]>) -> Wait {
    number(arg).map_or(Wait::None, |millis| at_most(Duration::try_from_secs_f64(millis / 1000.0).ok()))
}

fn at_most(duration: Option<Duration>) -> Wait {
    match duration {
        Some(Duration::ZERO) => Wait::ForEver,
        Some(duration) => Wait::AtMost(duration),
        None => Wait::None,
    }
}

fn number(arg: Option<&&[u8]>) -> Option<f64> {
    std::str::from_utf8(arg?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_of_a_command_is_read_from_its_arguments() {
        let cases = [
            ("GET k", Wait::None),
            ("BLPOP a b 0", Wait::ForEver),
            ("blpop a 0.5", Wait::AtMost(Duration::from_millis(500))),
            ("BLMPOP 2 1 k LEFT", Wait::AtMost(Duration::from_secs(2))),
            ("BZPOPMIN k x", Wait::None),
            ("XREAD STREAMS BLOCK 0", Wait::None),
            ("XREAD COUNT 1 BLOCK 250 STREAMS s $", Wait::AtMost(Duration::from_millis(250))),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", Wait::ForEver),
            ("WAIT 1 100", Wait::AtMost(Duration::from_millis(100))),
            ("BLPOP", Wait::None),
        ];
        for (command, expected) in cases {
            let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            assert_eq!(wait_of(&args), expected, "{command}");
        }
    }
}
