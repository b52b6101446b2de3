//! The arguments of redis-rs's commands, without encoding them.

use redis::{Arg, Cmd};
use windlass_resp::{Decoder, Limits};

/// Commands with so many arguments need no memory of their own for the list.
const ARGS_INLINE: usize = 8;

/// Calls `run` with the arguments of a command, on the stack if there are few.
pub async fn with_args<R>(cmd: &Cmd, run: impl AsyncFnOnce(&[&[u8]]) -> R) -> R {
    let count = cmd.args_iter().len();
    if count == 0 {
        return run(&[b""]).await;
    }
    if cmd.args_iter().any(|arg| !matches!(arg, Arg::Simple(_))) {
        // The number behind a cursor is shown only in the packed form.
        let packed = cmd.get_packed_command();
        let mut decoder = Decoder::default();
        let decoded = decoder.decode(&packed, Limits::DEFAULT);
        debug_assert!(matches!(decoded, Ok(Some(_))), "redis-rs packs whole commands");
        return run(&decoder.args(&packed).collect::<Vec<_>>()).await;
    }
    let args = cmd.args_iter().filter_map(|arg| match arg {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    if count > ARGS_INLINE {
        return run(&args.collect::<Vec<_>>()).await;
    }
    let mut list: [&[u8]; ARGS_INLINE] = [b""; ARGS_INLINE];
    for (place, arg) in list.iter_mut().zip(args) {
        *place = arg;
    }
    run(&list[..count]).await
}
