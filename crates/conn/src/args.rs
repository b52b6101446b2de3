//! The arguments of redis-rs's commands, without encoding them.

use redis::{Arg, Cmd};
use windlass_resp::{Decoder, Limits};

/// Commands with so many arguments need no memory of their own for the list.
const ARGS_INLINE: usize = 8;

/// The arguments of a command, the first of which is its name; there is always one.
pub struct Args<'a> {
    few: [&'a [u8]; ARGS_INLINE],
    count: usize,
    /// All of them, if they are more than that.
    many: Vec<&'a [u8]>,
}

impl<'a> Args<'a> {
    /// The arguments of `cmd`, whose packed form, where [`packed`] gives one, is `packed`.
    pub fn of(cmd: &'a Cmd, packed: Option<&'a [u8]>) -> Self {
        let mut args = Self { few: [b""; ARGS_INLINE], count: 1, many: Vec::new() };
        if let Some(packed) = packed {
            let mut decoder = Decoder::default();
            let decoded = decoder.decode(packed, Limits::DEFAULT);
            debug_assert!(matches!(decoded, Ok(Some(_))), "redis-rs packs whole commands");
            args.many = decoder.ranges().map(|range| &packed[range]).collect();
            return args;
        }
        let simple = cmd.args_iter().map(|arg| match arg {
            Arg::Simple(bytes) => bytes,
            _ => b"",
        });
        if simple.len() > ARGS_INLINE {
            args.many = simple.collect();
            return args;
        }
        args.count = simple.len().max(1);
        for (place, arg) in args.few.iter_mut().zip(simple) {
            *place = arg;
        }
        args
    }

    pub fn as_slice(&self) -> &[&'a [u8]] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

/// The packed form of a command that has a cursor, whose number is shown only there; none for all others.
pub fn packed(cmd: &Cmd) -> Option<Vec<u8>> {
    let has_cursor = cmd.args_iter().any(|arg| !matches!(arg, Arg::Simple(_)));
    has_cursor.then(|| cmd.get_packed_command())
}
