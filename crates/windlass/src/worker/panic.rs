//! Catches the panics of jobs, and keeps where they came from.
//!
//! What a panic leaves to whoever catches it is its message. The place and the way there are known to the panic hook
//! alone, so there is one that keeps them for the thread on which a job is being run. It goes on to the hook that was
//! there before, and leaves every other panic to that.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::failure::{Failure, Fate};
use crate::state::cut;

thread_local! {
    /// Whether this thread is running a job.
    static RUNS_JOB: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of a job came from.
    static TRACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The function at which the backtrace of a job ends, and the one from which on it is the job's.
const END: &str = "windlass::worker::panic::caught";
const BEGIN: &str = "rust_begin_unwind";

/// Has the places of panics kept from now on. A hook that the program sets later takes over from this one.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if RUNS_JOB.try_with(Cell::get).unwrap_or(false) {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                let backtrace = Backtrace::capture();
                let trace = match backtrace.status() {
                    BacktraceStatus::Captured => format!("{place}\n{}", own_part(&backtrace.to_string())),
                    _ => place,
                };
                TRACE.with(|kept| kept.replace(Some(cut(trace))));
            }
            before(info);
        }));
    });
}

/// Runs code of a job; a panic in it is a failure that says where it came from.
#[inline(never)]
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    let before = RUNS_JOB.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(run));
    RUNS_JOB.set(before);
    ended.map_err(|panic| Failure { backtrace: TRACE.take(), ..failure(&*panic) })
}

fn failure(panic: &(dyn Any + Send)) -> Failure {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    Failure::with(Fate::Retry(None), "Panic", message.unwrap_or_else(|| "it panicked".to_owned()))
}

/// The part of a backtrace that is the job's: without the machinery of panics, and without what runs the job. Otherwise
/// that alone would take the room that an error has.
fn own_part(backtrace: &str) -> &str {
    let from = backtrace.find(BEGIN).and_then(|at| next_frame(backtrace, at)).unwrap_or(0);
    let own = &backtrace[from..];
    let to = own.find(END).and_then(|at| own[..at].rfind('\n')).unwrap_or(own.len());
    &own[..to]
}

/// Where the frame behind the one at `at` begins: its line has a number in front, the line with its place has none.
fn next_frame(backtrace: &str, at: usize) -> Option<usize> {
    let mut begin = at + backtrace[at..].find('\n')? + 1;
    while backtrace[begin..].trim_start().starts_with("at ") {
        begin += backtrace[begin..].find('\n')? + 1;
    }
    Some(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells a process of the test what it was asked for.
    const ASKED: &str = "WINDLASS_TEST_BACKTRACE";

    #[test]
    fn the_machinery_around_a_job_is_left_out() {
        let backtrace = "   0: std::backtrace::Backtrace::create\n   1: __rustc::rust_begin_unwind\n             \
                         at /rustc/std/src/panicking.rs:1:5\n   2: core::panicking::panic_fmt\n   3: mine::run\n             \
                         at ./src/main.rs:3:1\n   4: windlass::worker::panic::caught\n   5: main\n";
        let own = "   2: core::panicking::panic_fmt\n   3: mine::run\n             at ./src/main.rs:3:1";
        assert_eq!(own_part(backtrace), own);
        assert_eq!(own_part("none of these"), "none of these");
        assert_eq!(own_part("rust_begin_unwind"), "rust_begin_unwind");
    }

    #[test]
    fn a_panic_says_where_it_came_from() {
        watch();
        let line = line!() + 1;
        let failure = caught(|| panic!("over and {}", "out")).unwrap_err();
        assert_eq!((failure.class(), failure.message()), ("Panic", "over and out"));
        let place = format!("{}:{line}:", file!());
        let trace = failure.backtrace.expect("it is kept");
        assert!(trace.starts_with(&place), "{trace}");
        assert_eq!(caught(|| 7).unwrap(), 7);
        if let Ok(asked) = std::env::var(ASKED) {
            let mine = "tests::a_panic_says_where_it_came_from";
            assert_eq!(
                (trace.contains(mine), trace.contains(BEGIN) || trace.contains(END)),
                (asked == "1", false),
                "{trace}"
            );
        }
    }

    /// What asks for backtraces is read once by a process, so that each answer needs one of its own.
    #[test]
    fn a_panic_says_how_it_came_there_when_that_is_asked_for() {
        let program = std::env::current_exe().unwrap();
        for asked in ["0", "1"] {
            let mut command = std::process::Command::new(&program);
            command.args(["--exact", "worker::panic::tests::a_panic_says_where_it_came_from"]);
            command.env_remove("RUST_LIB_BACKTRACE").env("RUST_BACKTRACE", asked).env(ASKED, asked);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
    }
}
