//! What holds of a namespace between any two moves, whoever died when, read from the store alone.
//!
//! [`Snapshot`] has all that is there; [`Snapshot::problems`] says what does not fit together, a sentence each. A new
//! invariant is a check in the file of its family.

mod batches;
mod kept;
mod limits;
mod places;
mod snapshot;

pub use places::Place;
pub use snapshot::{Entry, Fields, Snapshot};

impl Snapshot {
    /// What does not fit together; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_places(&mut problems);
        self.check_limits(&mut problems);
        self.check_batches(&mut problems);
        self.check_kept(&mut problems);
        problems
    }
}
