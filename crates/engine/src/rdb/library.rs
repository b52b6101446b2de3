//! A library of functions on its way: its source, which says everything else about it.

use crate::error::Result;
use crate::function;

/// A library of functions as a file has it.
///
/// ```
/// use windlass_engine::rdb::Library;
///
/// let source = b"#!lua name=answers\nredis.register_function('answer', function() return 42 end)";
/// assert_eq!(Library::new(source.to_vec())?.name(), "answers");
/// assert!(Library::new(b"return 42".to_vec()).is_err());
/// # Ok::<(), windlass_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    name: String,
    source: Vec<u8>,
}

impl Library {
    /// The library of a source, whose first line has to be `#!lua name=NAME`. The code is not run.
    ///
    /// # Errors
    /// In Redis's words, when the first line is another one.
    pub fn new(source: Vec<u8>) -> Result<Self> {
        let (name, _) = function::split(&source)?;
        Ok(Self { name: String::from_utf8_lossy(name).into_owned(), source })
    }

    /// Its name: letters, digits and underscores.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its source, as FUNCTION LOAD takes it.
    pub fn source(&self) -> &[u8] {
        &self.source
    }
}
