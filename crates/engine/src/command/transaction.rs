//! MULTI, EXEC and WATCH.

use windlass_resp::Value;

use super::acl::denied_in_exec;
use super::{Answer, Command, Flags, Group, Keys};
use crate::args::Args;
use crate::blob::Blob;
use crate::engine::{Delivery, Engine, Message};
use crate::error::Error;
use crate::session::{Session, SessionId, Silence, Transaction};
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

/// Commands that can be queued and that EXEC refuses, and how.
const REFUSED: [(&str, &str); 2] = [
    ("monitor", "ERR MONITOR isn't allowed for DENY BLOCKING client"),
    ("ssubscribe", "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"),
];

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
    let queue: Vec<Vec<&[u8]>> =
        transaction.queue.iter().map(|queued| queued.iter().map(|arg| &**arg).collect()).collect();
    // CLIENT REPLY keeps replies back within the array, too: as in Redis, whose head has then promised more than comes,
    // or was kept back itself.
    let is_piecewise = session.silence != Silence::None
        || queue.iter().map(|args| Args(args)).any(|args| args.is(0, "CLIENT") && args.is(1, "REPLY"));
    if is_piecewise && session.silence == Silence::None {
        engine.state.deliver(session.id, Message::Push(Value::Head(queue.len())));
    }
    let mut replies = Vec::with_capacity(queue.len());
    for args in &queue {
        let command = engine.state.commands.resolve(Args(args)).expect("only known commands are queued");
        let delivered = engine.state.deliveries.len();
        let reply = if let Some(denial) = engine.state.users.denial(&session.user, command, Args(args)) {
            Some(denied_in_exec(&denial).into())
        } else if let Some((_, text)) = REFUSED.iter().find(|(name, _)| *name == command.name) {
            Some(Error::new(*text).into())
        } else {
            engine.run(session, command, Args(args), now, false)
        };
        if !is_piecewise {
            if engine.state.deliveries.len() > delivered {
                replies.extend(take_messages(&mut engine.state.deliveries, delivered, session.id));
            }
            replies.extend(reply);
        } else if let Some(reply) = reply.filter(|_| session.silence == Silence::None) {
            engine.state.deliver(session.id, Message::Push(reply));
        }
    }
    // Redis announces an answer for each command. A SUBSCRIBE of two channels has two, and what is too many follows.
    for message in replies.split_off(queue.len().min(replies.len())) {
        engine.state.deliver(session.id, Message::Push(message));
    }
    // Whatever its scripts were, a transaction is more than one of them.
    engine.state.is_exchange = false;
    (!is_piecewise).then_some(Value::Array(replies))
}

/// Takes out what a command of a transaction sent to its own session: that is its answer, or stands before it.
fn take_messages(deliveries: &mut Vec<Delivery>, from: usize, to: SessionId) -> Vec<Value> {
    let mut messages = Vec::new();
    for delivery in deliveries.split_off(from) {
        match delivery {
            Delivery { session, message: Message::Push(message @ Value::Push(_)) } if session == to => {
                messages.push(message);
            }
            other => deliveries.push(other),
        }
    }
    messages
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
