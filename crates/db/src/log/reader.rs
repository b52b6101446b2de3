//! Reads one file of the log: groups under an annotation are verified, other bytes are Redis's own and are read by
//! Redis's rules.

use std::path::{Path, PathBuf};

use super::annotation::{Annotation, LENGTH_MAX, MARK};
use super::record::{Parsed, parse};
use super::search::{Place, find_group_after};
use super::source::{READ_BYTES, Source};
use crate::error::{Error, Result};

/// The annotations that Redis itself writes.
const REDIS_TIMESTAMP: &[u8] = b"#TS:";

/// Takes one record into the state, or says why it does not fit.
pub type Apply<'a> = &'a mut dyn FnMut(&[&[u8]]) -> std::result::Result<(), String>;

/// What a file held.
#[derive(Debug, Default)]
pub struct Content {
    /// The records that were replayed.
    pub records: u64,
    /// The end of the last whole group, in bytes from the start.
    pub end: u64,
    /// The file's length.
    pub length: u64,
    /// The sequence of the group that is to follow.
    pub next_sequence: u64,
}

/// Replays the file at `path`, from `start` on, through `apply`. Stops before a torn end if `may_be_torn`; `Content::end` is then less
/// than its length.
///
/// # Errors
/// [`Error::Damaged`] for anything else that is not a whole group or a record that `apply` takes.
pub fn read(path: &Path, start: u64, may_be_torn: bool, apply: Apply<'_>) -> Result<Content> {
    let (content, outcome) = read_part(path, Place::at(start), None, may_be_torn, apply)?;
    outcome.map(|()| content)
}

/// As [`read`], from a group in the middle on and not beyond `until`; what was whole is told also when something is not.
///
/// # Errors
/// Only the system's: damage is in the answer.
pub fn read_part(
    path: &Path,
    place: Place,
    until: Option<u64>,
    may_be_torn: bool,
    apply: Apply<'_>,
) -> Result<(Content, Result<()>)> {
    let source = Source::open(path, place.offset).map_err(Error::io("open", path))?;
    let length = source.length().map_err(Error::io("look at", path))?;
    let (path, sequence) = (path.to_owned(), place.sequence);
    let until = until.unwrap_or(u64::MAX);
    let mut reader = Reader { path, source, length, until, records: 0, sequence, is_ours: false, apply };
    let (end, outcome) = match reader.run() {
        Ok(Stop::End) => (length.min(until), Ok(())),
        Ok(Stop::Broken(broken)) => (broken.offset, reader.check_torn(may_be_torn, &broken)),
        Err(error) => (reader.source.offset(), Err(error)),
    };
    if let Err(error @ Error::Io { .. }) = outcome {
        return Err(error);
    }
    Ok((Content { records: reader.records, end, length, next_sequence: reader.sequence }, outcome))
}

/// Where reading stopped.
enum Stop {
    /// At the end of the file, all is whole.
    End,
    /// At something that is not whole; a whole group after its `search_from` shows that it is not the file's torn end.
    Broken(Broken),
}

struct Broken {
    offset: u64,
    reason: &'static str,
    search_from: u64,
    /// True when a record is right as far as it goes.
    is_short: bool,
}

struct Reader<'a> {
    path: PathBuf,
    source: Source,
    length: u64,
    /// Nothing that begins here or later is read.
    until: u64,
    records: u64,
    sequence: u64,
    /// True from the mark of a group until something of Redis's own begins.
    is_ours: bool,
    apply: Apply<'a>,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<Stop> {
        while self.source.offset() < self.until {
            let stop = match self.peek(MARK.len())? {
                [] => return Ok(Stop::End),
                [b'*', ..] => self.uncovered()?,
                mark if mark == REDIS_TIMESTAMP => self.timestamp()?,
                mark if mark == MARK => self.group()?,
                short if MARK.starts_with(short) => {
                    self.is_ours = true;
                    Some(self.broken("an annotation has no end"))
                }
                _ => Some(self.broken("there is neither a group nor a record")),
            };
            if let Some(stop) = stop {
                return Ok(stop);
            }
        }
        Ok(Stop::End)
    }

    /// A group under its annotation.
    fn group(&mut self) -> Result<Option<Stop>> {
        self.is_ours = true;
        let Some(line) = self.line()? else { return Ok(Some(self.broken("an annotation has no end"))) };
        let line_length = line.len();
        let Some(annotation) = Annotation::decode(line) else {
            return Ok(Some(self.broken("an annotation is malformed")));
        };
        if annotation.sequence != self.sequence {
            return Err(self.damaged(
                0,
                format!("group {} follows where group {} belongs", annotation.sequence, self.sequence),
            ));
        }
        if annotation.length > self.length - self.source.offset() {
            return Ok(Some(self.broken("a group is longer than the rest of the file")));
        }
        let whole = line_length + annotation.length as usize;
        if self.peek(whole)?.len() < whole {
            return Ok(Some(self.broken("a group is longer than the rest of the file")));
        }
        let offset = self.source.offset();
        let group = &self.source.available()[line_length..whole];
        if !annotation.covers(group) {
            return Ok(Some(Stop::Broken(Broken {
                offset,
                reason: "a group does not match its checksum",
                // Not from the group's end: the length may be what is wrong.
                search_from: offset + line_length as u64,
                is_short: false,
            })));
        }
        // The group is whole and so are its transactions; their marks have no work left to do.
        let (mut at, mut records, mut args) = (0, 0, Vec::new());
        while at < group.len() {
            let fail = |reason: String| Error::Damaged {
                file: self.path.clone(),
                offset: offset + (line_length + at) as u64,
                reason,
            };
            match parse(&group[at..], &mut args) {
                Parsed::Record(length) => {
                    if Mark::of(&args).is_none() {
                        (self.apply)(&args).map_err(fail)?;
                        records += 1;
                    }
                    at += length;
                }
                Parsed::Part => return Err(fail("a record is longer than its group".into())),
                Parsed::Malformed(reason) => return Err(fail(reason.into())),
            }
        }
        self.source.skip(whole);
        self.sequence += 1;
        self.records += records;
        Ok(None)
    }

    /// A record that Redis wrote, or a transaction of such records.
    fn uncovered(&mut self) -> Result<Option<Stop>> {
        self.is_ours = false;
        let mut length = 0;
        let mut is_open = false;
        loop {
            let mark = loop {
                let bytes = self.source.available();
                let mut args = Vec::new();
                match parse(&bytes[length..], &mut args) {
                    Parsed::Record(more) => {
                        length += more;
                        break Mark::of(&args);
                    }
                    Parsed::Malformed(reason) => return Ok(Some(self.broken(reason))),
                    Parsed::Part => {
                        // Twice as much each time, so that a long record is not parsed over and over.
                        let wanted = (bytes.len() * 2).max(READ_BYTES);
                        if self.source.is_at_end() {
                            let reason = "a record or transaction has no end";
                            let offset = self.source.offset();
                            return Ok(Some(Stop::Broken(Broken {
                                offset,
                                reason,
                                search_from: offset + 1,
                                is_short: true,
                            })));
                        }
                        self.peek(wanted)?;
                    }
                }
            };
            is_open = match mark {
                Some(Mark::Multi) => true,
                Some(Mark::Exec) => false,
                None => is_open,
            };
            if !is_open {
                break;
            }
        }
        let (mut at, mut args) = (0, Vec::new());
        let bytes = &self.source.available()[..length];
        while at < length {
            let Parsed::Record(more) = parse(&bytes[at..], &mut args) else {
                unreachable!("each record was parsed above")
            };
            if Mark::of(&args).is_none() {
                if let Err(reason) = (self.apply)(&args) {
                    return Err(self.damaged(at as u64, reason));
                }
                self.records += 1;
            }
            at += more;
        }
        self.source.skip(length);
        Ok(None)
    }

    fn timestamp(&mut self) -> Result<Option<Stop>> {
        let Some(line) = self.line()? else { return Ok(Some(self.broken("an annotation has no end"))) };
        let length = line.len();
        self.source.skip(length);
        Ok(None)
    }

    /// The line at the place of reading, its end included; none if it has none within the bound.
    fn line(&mut self) -> Result<Option<&[u8]>> {
        let bytes = self.peek(LENGTH_MAX)?;
        Ok(bytes.iter().position(|byte| *byte == b'\n').map(|end| &bytes[..=end]))
    }

    /// The next bytes, at least `count` of them if the file has as many.
    fn peek(&mut self, count: usize) -> Result<&[u8]> {
        self.source.fill(count).map_err(Error::io("read", &self.path))?;
        let bytes = self.source.available();
        Ok(&bytes[..bytes.len().min(count)])
    }

    fn broken(&self, reason: &'static str) -> Stop {
        let offset = self.source.offset();
        Stop::Broken(Broken { offset, reason, search_from: offset + 1, is_short: false })
    }

    fn damaged(&self, ahead: u64, reason: impl Into<String>) -> Error {
        Error::Damaged {
            file: self.path.clone(),
            offset: self.source.offset() + ahead,
            reason: reason.into(),
        }
    }

    /// Decides whether what is broken at `offset` is the file's torn end.
    ///
    /// A write that a crash interrupts leaves a part of itself, or zeros, or pages in any order, and of several writes
    /// that were not synced any may be whole. So what is followed by a whole later group that says that this one was
    /// synced is damage, and so is malformed text among Redis's own records, where nothing but the end can be missing.
    fn check_torn(&mut self, may_be_torn: bool, broken: &Broken) -> Result<()> {
        let damaged = self.damaged(0, broken.reason);
        if !may_be_torn || self.was_synced(broken.search_from)? {
            return Err(damaged);
        }
        if self.is_ours || broken.is_short || self.is_zero_from_here()? { Ok(()) } else { Err(damaged) }
    }

    /// True when a whole group begins at or after `from` that was written when the next one here was synced; what Redis
    /// wrote was synced before any group of ours.
    fn was_synced(&self, from: u64) -> Result<bool> {
        let synced_min = if self.is_ours { self.sequence } else { 0 };
        Ok(find_group_after(&self.path, from, self.sequence, synced_min)?.is_some())
    }

    fn is_zero_from_here(&mut self) -> Result<bool> {
        loop {
            if self.source.available().iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if self.source.is_at_end() {
                return Ok(true);
            }
            let length = self.source.available().len();
            self.source.skip(length);
            self.peek(READ_BYTES)?;
        }
    }
}

/// What begins and ends a transaction.
enum Mark {
    Multi,
    Exec,
}

impl Mark {
    fn of(args: &[&[u8]]) -> Option<Self> {
        match args {
            [name] if name.eq_ignore_ascii_case(b"MULTI") => Some(Self::Multi),
            [name] if name.eq_ignore_ascii_case(b"EXEC") => Some(Self::Exec),
            _ => None,
        }
    }
}
