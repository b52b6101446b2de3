//! How a running script is seen, and stopped, from outside the engine.

/// Looks after running scripts for the owner of the engine, who has a clock and other threads to hear from.
///
/// All calls come from the thread that runs the script, in the order `begin`, any number of the others, `end`. Scripts
/// do not nest.
pub trait ScriptGuard: Send + Sync {
    /// A script begins, or a function: then `function` is the command that calls it.
    fn begin(&self, function: Option<&[&[u8]]>);

    /// A script that runs calls this every few thousand instructions; true when it is to stop. It stops at once and
    /// whatever it catches, unless it has written.
    fn is_to_stop(&self) -> bool;

    /// A script is about to write for the first time; false when it was to stop before that. After a true the script
    /// may not be stopped any more, since half a move must not exist.
    fn may_write(&self) -> bool;

    /// The script has ended.
    fn end(&self);
}
