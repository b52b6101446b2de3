//! MULTI, EXEC and WATCH.

use windlass_resp::Value;

use super::acl::denied_in_exec;
use super::{Answer, Command, Flags, Group, Keys};
use crate::args::Args;
use crate::blob::Blob;
use crate::engine::Engine;
use crate::error::Error;
use crate::session::{Session, Transaction};
use crate::state::Call;
use crate::time::Time;

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "discard",
        1,
        flags![NO_SCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, IMMEDIATE],
        Keys::None,
        "Drop the commands queued since MULTI",
        discard,
    ),
    GROUP.engine_row(
        "exec",
        1,
        flags![NO_SCRIPT, LOADING, STALE, SKIP_SLOWLOG, IMMEDIATE],
        Keys::None,
        "Run the commands queued since MULTI, all at one moment",
        exec,
    ),
    GROUP.row(
        "multi",
        1,
        flags![NO_SCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, IMMEDIATE],
        Keys::None,
        "Start a transaction",
        multi,
    ),
    GROUP.row(
        "unwatch",
        1,
        flags![NO_SCRIPT, LOADING, STALE, FAST, ALLOW_BUSY],
        Keys::None,
        "Forget the watched keys",
        unwatch,
    ),
    GROUP.row(
        "watch",
        -2,
        flags![NO_SCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, IMMEDIATE],
        Keys::Range(1, -1, 1),
        "Make the next EXEC depend on keys that stay as they are",
        watch,
    ),
];

/// What makes the rows of this family.
const GROUP: Group = Group("transactions");

fn multi(call: &mut Call<'_>) -> Answer {
    if call.session.transaction.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    call.session.transaction = Some(Transaction::default());
    Ok(Value::OK)
}

fn exec(engine: &mut Engine, session: &mut Session, _: Args<'_>, now: Time) -> Option<Value> {
    let Some(transaction) = session.transaction.take() else {
        return Some(Error::new("ERR EXEC without MULTI").into());
    };
    // A watched key that has ended counts as changed, although nobody has removed it yet.
    for (db, key) in session.watched.clone() {
        session.is_watch_broken |= engine.state.expire_if_due(db, &key, now);
    }
    let is_broken = session.is_watch_broken;
    engine.state.unwatch(session);
    if transaction.has_failed {
        return Some(Error::EXEC_ABORT.into());
    }
    if is_broken {
        return Some(Value::NilArray);
    }
    // The commands were queued while writes still ran.
    if let Some(reason) = &engine.state.write_refusal
        && transaction
            .queue
            .iter()
            .any(|queued| engine.state.commands.find(&queued[0]).is_some_and(|c| c.flags.has(Flags::WRITE)))
    {
        return Some(reason.clone().into());
    }
    let mut replies = Vec::with_capacity(transaction.queue.len());
    for queued in &transaction.queue {
        let args: Vec<&[u8]> = queued.iter().map(|arg| &**arg).collect();
        let command = engine.state.commands.resolve(Args(&args)).expect("only known commands are queued");
        if let Some(denial) = engine.state.users.denial(&session.user, command, Args(&args)) {
            replies.push(denied_in_exec(&denial).into());
            continue;
        }
        replies.extend(engine.run(session, command, Args(&args), now, false));
    }
    // Whatever its scripts were, a transaction is more than one of them.
    engine.state.is_exchange = false;
    Some(Value::Array(replies))
}

fn discard(call: &mut Call<'_>) -> Answer {
    if call.session.transaction.take().is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    call.state.unwatch(call.session);
    Ok(Value::OK)
}

fn watch(call: &mut Call<'_>) -> Answer {
    if call.session.transaction.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    for key in call.args.from(1) {
        call.entry(key);
        let place = (call.session.db, Blob::from(*key));
        if !call.session.watched.contains(&place) {
            call.state.watchers.entry(place.clone()).or_default().push(call.session.id);
            call.session.watched.push(place);
        }
    }
    Ok(Value::OK)
}

fn unwatch(call: &mut Call<'_>) -> Answer {
    call.state.unwatch(call.session);
    Ok(Value::OK)
}
