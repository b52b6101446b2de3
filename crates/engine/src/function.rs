//! Libraries of functions: code that is kept with the data, whose functions FCALL runs by name.
//!
//! A library is its source; what it registers when its code runs is known beside it. `script/function.rs` runs the code.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::blob::Blob;
use crate::error::{Error, Result};

/// What a function says of itself, by the names that `redis.register_function` takes, in the order of FUNCTION LIST.
pub const FLAGS: [&str; 5] = ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

const INVALID_METADATA: &str = "ERR Invalid library metadata";

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As it was registered; it is called in any case.
    pub name: Blob,
    pub description: Option<Blob>,
    /// Which of [`FLAGS`] it has.
    pub flags: [bool; FLAGS.len()],
}

impl Function {
    /// True when it may not write.
    pub fn is_read_only(&self) -> bool {
        self.flags[0]
    }

    /// True when it may run, and write, at the memory limit.
    pub fn allows_oom(&self) -> bool {
        self.flags[1]
    }
}

/// A library: its source, and the functions that its code registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    pub name: Blob,
    pub source: Blob,
    pub functions: Vec<Function>,
}

impl Library {
    fn bytes(&self) -> usize {
        let functions: usize = self.functions.iter().map(|function| 2 * function.name.len()).sum();
        self.name.len() + self.source.len() + functions
    }
}

/// All libraries. No function's name is there twice.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<Blob, Arc<Library>>,
    /// The name of a function in lower case, and its library and place there.
    functions: HashMap<Vec<u8>, (Arc<Library>, usize)>,
    bytes: usize,
}

impl Libraries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many functions there are.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// By their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// True when there is a library of this name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// The library that has a function, and the function's place there.
    pub fn find(&self, function: &[u8]) -> Option<(&Arc<Library>, usize)> {
        let (library, place) = self.functions.get(&function.to_ascii_lowercase())?;
        Some((library, *place))
    }

    /// Adds a library; it takes the place of one of its name.
    ///
    /// # Errors
    /// When another one has a function of the name of one of its own. Nothing is changed then.
    pub fn add(&mut self, library: Library) -> Result<()> {
        let taken = library
            .functions
            .iter()
            .find(|function| self.find(&function.name).is_some_and(|(owner, _)| owner.name != library.name));
        if let Some(function) = taken {
            let name = String::from_utf8_lossy(&function.name);
            return Err(Error::new(format!("ERR Function {name} already exists")));
        }
        self.remove(&library.name);
        let library = Arc::new(library);
        for (place, function) in library.functions.iter().enumerate() {
            self.functions.insert(function.name.to_ascii_lowercase(), (Arc::clone(&library), place));
        }
        self.bytes += library.bytes();
        self.by_name.insert(library.name.clone(), library);
        Ok(())
    }

    /// Removes a library; false when there is none of this name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase());
        }
        self.bytes -= library.bytes();
        true
    }
}

/// The first line of a library's source, `#!lua name=NAME`: the name, and the code from the end of that line on, so that
/// errors tell the right line.
///
/// # Errors
/// In Redis's words, when it is not such a line.
pub fn split(source: &[u8]) -> Result<(&[u8], &[u8])> {
    let line = source.strip_prefix(b"#!").ok_or_else(|| Error::new("ERR Missing library metadata"))?;
    let end = line.iter().position(|byte| *byte == b'\n');
    let (line, code) = line.split_at(end.ok_or_else(|| Error::new(INVALID_METADATA))?);
    let (engine, words) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
    let mut name = None;
    for word in words.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        let Some(given) = word.strip_prefix(b"name=") else {
            let word = String::from_utf8_lossy(word);
            return Err(Error::new(format!("ERR Invalid metadata value given: {word}")));
        };
        if name.replace(unquoted(given)?).is_some() {
            return Err(Error::new("ERR Invalid metadata value, name argument was given multiple times"));
        }
    }
    let name = name.ok_or_else(|| Error::new("ERR Library name was not given"))?;
    check_name(name)?;
    if !engine.eq_ignore_ascii_case(b"lua") {
        let engine = String::from_utf8_lossy(engine);
        return Err(Error::new(format!("ERR Engine '{engine}' not found")));
    }
    Ok((name, code))
}

fn unquoted(word: &[u8]) -> Result<&[u8]> {
    match word {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => Ok(inner),
        [b'\'' | b'"', ..] => Err(Error::new(INVALID_METADATA)),
        _ => Ok(word),
    }
}

/// Checks the name of a library or a function.
///
/// # Errors
/// In Redis's words, which are the same for both.
pub fn check_name(name: &[u8]) -> Result<()> {
    if !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Ok(());
    }
    Err(Error::new(
        "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Library {
        let function =
            |name: &&str| Function { name: name.as_bytes().into(), description: None, flags: [false; 5] };
        let functions = functions.iter().map(function).collect();
        Library { name: name.as_bytes().into(), source: Blob::from(b"#!lua"), functions }
    }

    #[test]
    fn a_function_is_in_one_library_and_goes_with_it() {
        let mut libraries = Libraries::default();
        libraries.add(library("a", &["f", "g"])).expect("there is none");
        assert!(libraries.add(library("b", &["x", "F"])).is_err());
        assert_eq!((libraries.len(), libraries.functions()), (1, 2));
        libraries.add(library("a", &["g", "h"])).expect("it replaces itself");
        assert!(libraries.find(b"f").is_none());
        assert!(libraries.find(b"H").is_some());
        assert!(libraries.remove(b"a"));
        assert!(!libraries.remove(b"a"));
        assert_eq!((libraries.len(), libraries.functions(), libraries.bytes()), (0, 0, 0));
    }
}
