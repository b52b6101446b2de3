//! What can be done to a job, and what becomes of it: the one table of states and verbs, from which `docs/states.md` is
//! drawn and every cell of which the conformance suite tries.
//!
//! A new verb is a variant of [`Verb`], its row in [`ROWS`], the page's table, which the test below prints, and an arm in
//! the suite.

use std::fmt;

use Actor::{Hand, Service, Worker};

use crate::state::State;

/// Something that is done to a job: by a worker that has it, by a service, or by hand.
///
/// What becomes of the job is [`State::after`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Its time has come by the store's clock.
    Promote,
    /// A worker comes that knows its kind.
    Unpark,
    /// Its worker died, and may have died of it: it will run alone.
    Suspect,
    /// Its worker died, and had not begun it.
    Recover,
    /// Its worker died, and it has ended too many processes.
    Quarantine,
    /// It is too old, or there are too many of its queue and state; a parked one has waited too long.
    Prune,
    /// A worker takes it.
    Take,
    /// Its handler succeeds.
    Succeed,
    /// An attempt fails, and there are more.
    Fail,
    /// The last attempt fails, or the handler says that more are of no use.
    FailLast,
    /// The handler puts it off.
    Snooze,
    /// The handler says that it is not needed.
    Discard,
    /// It was asked to stop, and then fails or does not begin; or the handler cancels it.
    Stop,
    /// It has not begun by the time at which it expires.
    Expire,
    /// The worker does not know its kind.
    Park,
    /// The same in a queue that asks for kinds, and another worker knows it. A queue with lanes or rules does not ask.
    HandOver,
    /// The worker stops.
    Release,
    /// [`Inspector::retry`](crate::Inspector::retry).
    Requeue,
    /// [`Inspector::retry_all`](crate::Inspector::retry_all) with a filter that it fits.
    RequeueAll,
    /// [`Inspector::reschedule_in`](crate::Inspector::reschedule_in), `reschedule_at`.
    Reschedule,
    /// [`Inspector::edit`](crate::Inspector::edit), `edit_with`.
    Edit,
    /// [`Inspector::edit_and_retry`](crate::Inspector::edit_and_retry).
    EditAndRetry,
    /// [`Inspector::remove`](crate::Inspector::remove).
    Remove,
    /// [`Inspector::cancel`](crate::Inspector::cancel), [`Handle::cancel`](crate::Handle::cancel).
    Cancel,
    /// [`Inspector::kill`](crate::Inspector::kill).
    Kill,
    /// [`Batch::cancel`](crate::Batch::cancel) of the batch that it is one of; if it is enqueued it will [stop](Self::Stop) when
    /// it is taken.
    CancelBatch,
    /// A push of an equal job, that [is to replace it](crate::Unique::replace) until it is done; here without a delay, with
    /// one it is scheduled.
    Replace,
}

/// Who does a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Actor {
    /// A service of some worker, by itself.
    Service,
    /// The worker that takes or has the job.
    Worker,
    /// A person or a program, through [`Inspector`](crate::Inspector), [`Handle`](crate::Handle) and the like.
    Hand,
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Becomes {
    /// It is in this state then, which may be the one that it was in. Of what is completed only the result is kept, if any.
    In(State),
    /// Nothing of it is kept, but a result that it had.
    Gone,
    /// It goes on, and is asked to stop.
    Asked,
    /// Nothing, and this is what the caller is answered.
    Refused(&'static str),
}

/// One verb.
struct Row {
    verb: Verb,
    by: Actor,
    /// The scripts that do it, without `.lua`.
    scripts: &'static [&'static str],
    /// What becomes of a job, by its state in the order of [`State::ALL`].
    becomes: [Becomes; State::ALL.len()],
}

const SCH: Becomes = Becomes::In(State::Scheduled);
const ENQ: Becomes = Becomes::In(State::Enqueued);
const ACT: Becomes = Becomes::In(State::Active);
const RET: Becomes = Becomes::In(State::Retry);
const PAR: Becomes = Becomes::In(State::Parked);
const DEA: Becomes = Becomes::In(State::Dead);
const DIS: Becomes = Becomes::In(State::Discarded);
const CAN: Becomes = Becomes::In(State::Cancelled);
const COM: Becomes = Becomes::In(State::Completed);
const GON: Becomes = Becomes::Gone;
const ASK: Becomes = Becomes::Asked;
/// A service or a taking comes by and leaves it alone.
const PAS: Becomes = Becomes::Refused("passed over");
/// Only who holds a job has a say.
const NOT: Becomes = Becomes::Refused("not held");
const FALSE: Becomes = Becomes::Refused("false");
const ERROR: Becomes = Becomes::Refused("Error::Config");
const ACTIVE: Becomes = Becomes::Refused("Active");
const MISSING: Becomes = Becomes::Refused("Missing");
const OVER: Becomes = Becomes::Refused("Over");
const NONE: Becomes = Becomes::Refused("None");
/// It is kept, in place of the other.
const KEPT: Becomes = Becomes::Refused("Kept");
/// The other is a job of its own.
const NEW: Becomes = Becomes::Refused("New");
const SOME: Becomes = Becomes::Refused("Some(false)");

const fn row(verb: Verb, by: Actor, scripts: &'static [&'static str], becomes: [Becomes; 9]) -> Row {
    Row { verb, by, scripts, becomes }
}

/// The table, a row for each verb in the order in which they are declared.
#[rustfmt::skip]
const ROWS: [Row; 27] = [
    //                                                      scheduled enqueued active retry parked dead discarded cancelled completed
    row(Verb::Promote, Service, &["promote"],               [ENQ, PAS, PAS, ENQ, PAS, PAS, PAS, PAS, PAS]),
    row(Verb::Unpark, Service, &["unpark"],                 [PAS, PAS, PAS, PAS, ENQ, PAS, PAS, PAS, PAS]),
    row(Verb::Suspect, Service, &["recover"],               [PAS, PAS, ENQ, PAS, PAS, PAS, PAS, PAS, PAS]),
    row(Verb::Recover, Service, &["recover"],               [PAS, PAS, ENQ, PAS, PAS, PAS, PAS, PAS, PAS]),
    row(Verb::Quarantine, Service, &["recover"],            [PAS, PAS, DEA, PAS, PAS, PAS, PAS, PAS, PAS]),
    row(Verb::Prune, Service, &["retain", "prune"],         [PAS, PAS, PAS, PAS, DEA, GON, GON, GON, PAS]),
    row(Verb::Take, Worker, &["exchange", "adopt"],         [PAS, ACT, PAS, PAS, PAS, PAS, PAS, PAS, PAS]),
    row(Verb::Succeed, Worker, &["exchange", "settle"],     [NOT, NOT, COM, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Fail, Worker, &["fail"],                      [NOT, NOT, RET, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::FailLast, Worker, &["fail"],                  [NOT, NOT, DEA, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Snooze, Worker, &["fail"],                    [NOT, NOT, SCH, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Discard, Worker, &["fail"],                   [NOT, NOT, DIS, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Stop, Worker, &["fail"],                      [NOT, NOT, CAN, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Expire, Worker, &["fail"],                    [NOT, NOT, DIS, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Park, Worker, &["fail"],                      [NOT, NOT, PAR, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::HandOver, Worker, &["pass"],                  [NOT, NOT, ENQ, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Release, Worker, &["release", "leave"],       [NOT, NOT, ENQ, NOT, NOT, NOT, NOT, NOT, NOT]),
    row(Verb::Requeue, Hand, &["requeue"],                  [ENQ, FALSE, FALSE, ENQ, ENQ, ENQ, ENQ, ENQ, FALSE]),
    row(Verb::RequeueAll, Hand, &["requeue_all"],           [ENQ, ERROR, ERROR, ENQ, ENQ, ENQ, ENQ, ENQ, ERROR]),
    row(Verb::Reschedule, Hand, &["reschedule"],            [SCH, SCH, ACTIVE, RET, SCH, SCH, SCH, SCH, MISSING]),
    row(Verb::Edit, Hand, &["edit"],                        [SCH, ENQ, ACTIVE, RET, PAR, DEA, DIS, CAN, MISSING]),
    row(Verb::EditAndRetry, Hand, &["edit"],                [ENQ, ENQ, ACTIVE, ENQ, ENQ, ENQ, ENQ, ENQ, MISSING]),
    row(Verb::Remove, Hand, &["remove"],                    [GON, GON, NONE, GON, GON, GON, GON, GON, SOME]),
    row(Verb::Cancel, Hand, &["cancel"],                    [CAN, CAN, ASK, CAN, CAN, OVER, OVER, OVER, MISSING]),
    row(Verb::Kill, Hand, &["cancel"],                      [DEA, DEA, ACTIVE, DEA, DEA, OVER, OVER, OVER, MISSING]),
    row(Verb::CancelBatch, Hand, &["batch_cancel", "batch_end"], [CAN, PAS, ASK, CAN, CAN, PAS, PAS, PAS, PAS]),
    row(Verb::Replace, Hand, &["push_unique"],              [ENQ, ENQ, KEPT, ENQ, ENQ, NEW, NEW, NEW, NEW]),
];

impl Verb {
    /// Every verb: those of services, of workers, and by hand.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.verb)
    }

    /// Who does it.
    pub fn by(self) -> Actor {
        self.row().by
    }

    /// The scripts of `docs/protocol.md` that do it.
    pub fn scripts(self) -> &'static [&'static str] {
        self.row().scripts
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

impl State {
    /// What becomes of a job in this state when something is done to it.
    ///
    /// ```
    /// use windlass::{Actor, Becomes, State, Verb};
    ///
    /// assert_eq!(State::Dead.after(Verb::Requeue), Becomes::In(State::Enqueued));
    /// assert_eq!(State::Active.after(Verb::Cancel), Becomes::Asked);
    /// // What a dashboard offers for a job that waits to be tried again.
    /// let by_hand = Verb::all().filter(|verb| verb.by() == Actor::Hand);
    /// let offered = by_hand.filter(|verb| !matches!(State::Retry.after(*verb), Becomes::Refused(_)));
    /// assert_eq!(offered.count(), 10);
    /// ```
    pub fn after(self, verb: Verb) -> Becomes {
        verb.row().becomes[self as usize]
    }
}

impl fmt::Display for Becomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(state) => f.pad(state.as_str()),
            Self::Gone => f.pad("gone"),
            Self::Asked => f.pad("asked to stop"),
            Self::Refused(answer) => write!(f, "refused: {answer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn rows_and_states_stand_in_the_order_of_their_declarations() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.verb as usize, at, "{:?}", row.verb);
        }
        for (at, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, at, "{state}");
        }
    }

    #[test]
    fn every_script_that_is_named_is_there() {
        let lua = Path::new(env!("CARGO_MANIFEST_DIR")).join("lua");
        for verb in Verb::all() {
            for script in verb.scripts() {
                assert!(lua.join(format!("{script}.lua")).exists(), "{verb:?}: {script}");
            }
        }
    }

    #[test]
    fn the_page_shows_the_table_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
        let page = std::fs::read_to_string(path).unwrap();
        for actor in [Service, Worker, Hand] {
            let table = table(actor);
            assert!(page.contains(&table), "docs/states.md lacks this table:\n\n{table}\n");
        }
    }

    /// The verbs of one actor as a table of the page. A state in which all of them come to nothing has no column.
    fn table(actor: Actor) -> String {
        let verbs: Vec<_> = Verb::all().filter(|verb| verb.by() == actor).collect();
        let is_refused = |state: State, verb: &Verb| matches!(state.after(*verb), Becomes::Refused(_));
        let states: Vec<_> = State::ALL
            .into_iter()
            .filter(|state| actor == Hand || !verbs.iter().all(|verb| is_refused(*state, verb)))
            .collect();
        let mut lines = vec![line("verb", states.iter().map(ToString::to_string), "script")];
        lines.push("|---".repeat(states.len() + 2) + "|");
        for verb in verbs {
            let cells = states.iter().map(|state| cell(state.after(verb)));
            let scripts: Vec<_> = verb.scripts().iter().map(|script| format!("`{script}`")).collect();
            lines.push(line(&format!("{verb:?}"), cells, &scripts.join(", ")));
        }
        lines.join("\n")
    }

    fn line(first: &str, cells: impl Iterator<Item = String>, last: &str) -> String {
        format!("| {first} | {} | {last} |", cells.collect::<Vec<_>>().join(" | "))
    }

    fn cell(becomes: Becomes) -> String {
        match becomes {
            PAS | NOT => "–".into(),
            Becomes::Refused(answer) => format!("no: `{answer}`"),
            becomes => becomes.to_string(),
        }
    }
}
