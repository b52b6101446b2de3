//! What the commands that choose at random share.

use crate::args::Args;
use crate::error::{Error, Result};

/// The most elements, with repetitions, that one call gives: the client names this number, and the reply is held in
/// memory. Redis has no bound of its own.
pub const REPEATED_MAX: usize = 1 << 24;

/// How many elements are asked for.
#[derive(Clone, Copy)]
pub enum Count {
    /// So many different ones, at most.
    Distinct(usize),
    /// So many, each chosen from all.
    Repeated(usize),
}

/// The count at `index`; a negative one allows repetitions.
pub fn count(args: Args<'_>, index: usize) -> Result<Count> {
    const MAX: i64 = i64::MAX;
    let count = args.integer(index)?;
    if count < -MAX {
        return Err(Error::new(format!("ERR value is out of range, value must between -{MAX} and {MAX}")));
    }
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(if count < 0 { Count::Repeated(size) } else { Count::Distinct(size) })
}

impl Count {
    /// # Errors
    /// When more repetitions are asked for than one reply may have.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Repeated(count) if count > REPEATED_MAX => Err(Error::new("ERR value is out of range")),
            _ => Ok(()),
        }
    }

    /// The number itself, without its sign.
    pub fn size(self) -> usize {
        match self {
            Self::Distinct(count) | Self::Repeated(count) => count,
        }
    }
}
