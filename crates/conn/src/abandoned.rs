//! Blocking calls whose futures were dropped. The store may have taken an element for them already, so that their
//! replies are kept until the same call is made again on the same session.

use crate::error::{Error, Result};

/// The most of them that a session keeps; further blocking calls are refused until some were fetched.
const CALLS_MAX: usize = 64;

/// Calls by their arguments, the oldest first, each with what is known of its reply.
pub struct Abandoned<T> {
    calls: Vec<(Vec<Vec<u8>>, T)>,
}

impl<T> Default for Abandoned<T> {
    fn default() -> Self {
        Self { calls: Vec::new() }
    }
}

impl<T> Abandoned<T> {
    /// Keeps a call.
    pub fn keep(&mut self, args: Vec<Vec<u8>>, reply: T) {
        self.calls.push((args, reply));
    }

    /// Takes the oldest call with these arguments.
    pub fn find<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Option<T> {
        let is_same = |kept: &[Vec<u8>]| kept.iter().map(Vec::as_slice).eq(args.iter().map(A::as_ref));
        let at = self.calls.iter().position(|(kept, _)| is_same(kept))?;
        Some(self.calls.remove(at).1)
    }

    /// Checks that one more may be kept.
    pub fn check_room(&self) -> Result<()> {
        let count = self.calls.len();
        if count < CALLS_MAX { Ok(()) } else { Err(Error::TooManyAbandoned { count }) }
    }

    /// What is known of the replies, the oldest first.
    #[cfg(feature = "embedded")]
    pub fn replies(&mut self) -> impl Iterator<Item = &mut T> {
        self.calls.iter_mut().map(|(_, reply)| reply)
    }

    #[cfg(feature = "embedded")]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_with_the_same_arguments_is_found_once() {
        let mut abandoned = Abandoned::default();
        abandoned.keep(vec![b"BLPOP".to_vec(), b"a".to_vec()], 1);
        abandoned.keep(vec![b"BLPOP".to_vec(), b"b".to_vec()], 2);
        abandoned.keep(vec![b"BLPOP".to_vec(), b"a".to_vec()], 3);
        let mut find = |key: &str| abandoned.find(&["BLPOP", key]);
        assert_eq!([find("a"), find("a"), find("a"), find("b")], [Some(1), Some(3), None, Some(2)]);
    }

    #[test]
    fn they_are_bounded() {
        let mut abandoned = Abandoned::default();
        for _ in 0..CALLS_MAX {
            abandoned.check_room().expect("there is room");
            abandoned.keep(vec![b"BLPOP".to_vec()], ());
        }
        assert!(matches!(abandoned.check_room(), Err(Error::TooManyAbandoned { count: CALLS_MAX })));
    }
}
