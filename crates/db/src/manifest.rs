//! The list of the files that make up the log, in the form of Redis 7: a line `file NAME seq N type T` for each, where
//! the type is `b` for the base, `i` for what came after it and `h` for what is to be deleted.
//!
//! Ours end with a seal, `#WL <format> <crc32c>`, over all before it; Redis skips lines that begin with `#`, and writes
//! none. A lost line is noticed by it, and a later version of the files is known before any of them is read.

use std::path::Path;

use crate::disk::Disk;
use crate::error::{Error, Result};

/// How Redis 7 calls its log unless told otherwise.
pub const PREFIX: &str = "appendonly.aof";
/// The manifest's name.
pub const NAME: &str = "appendonly.aof.manifest";
/// A new manifest until it takes the place of the old; Redis uses the same name.
pub const TEMPORARY_NAME: &str = "temp-appendonly.aof.manifest";

/// How a seal begins.
const SEAL_MARK: &str = "#WL ";
/// The version of the files that is written, and the latest that is read.
const FORMAT: u64 = 1;

/// What a file of the log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole content at one moment.
    Base,
    /// The changes since the base or since the file before.
    Incremental,
    /// No longer needed.
    History,
}

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in the folder of the log.
    pub name: String,
    /// Its number among its kind.
    pub sequence: u64,
    /// What it is for.
    pub kind: Kind,
}

impl Part {
    /// A base in the form of a log.
    pub fn base(sequence: u64) -> Self {
        Self { name: format!("{PREFIX}.{sequence}.base.aof"), sequence, kind: Kind::Base }
    }

    /// The changes after a base.
    pub fn incremental(sequence: u64) -> Self {
        Self { name: format!("{PREFIX}.{sequence}.incr.aof"), sequence, kind: Kind::Incremental }
    }

    /// The part that a file of this name is; none for another file.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
        let sequence = words.next()?.parse().ok()?;
        let kind = match (words.next()?, words.next()?, words.next()) {
            ("base", "aof" | "rdb", None) => Kind::Base,
            ("incr", "aof", None) => Kind::Incremental,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), sequence, kind })
    }
}

/// The files of the log in the order in which they are replayed; history comes last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    parts: Vec<Part>,
}

impl Manifest {
    /// The log that `parts` make up.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut parts: Vec<Part> = parts.into_iter().collect();
        parts.sort_by_key(|part| match part.kind {
            Kind::Base => 0,
            Kind::Incremental => 1,
            Kind::History => 2,
        });
        Self { parts }
    }

    /// Reads the text of a manifest; `file` is named in errors.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the place of the line that cannot be, [`Error::Unsupported`] when it is of a later version.
    pub fn decode(text: &str, file: &Path) -> Result<Self> {
        let mut parts: Vec<Part> = Vec::new();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let fail = |reason: String| Error::Damaged { file: file.to_owned(), offset, reason };
            let content = line.trim();
            if let Some(seal) = content.strip_prefix(SEAL_MARK) {
                check_seal(seal, &text.as_bytes()[..offset as usize], file).map_err(|error| match error {
                    Unsealed::Later(error) => error,
                    Unsealed::Broken(reason) => fail(reason),
                })?;
            }
            if !content.is_empty() && !content.starts_with('#') {
                let part = decode_line(content).map_err(fail)?;
                let is_second = |kind| part.kind == kind && parts.iter().any(|other| other.kind == kind);
                if is_second(Kind::Base) {
                    return Err(fail("there is a second base".into()));
                }
                let last = parts.iter().rfind(|other| other.kind == Kind::Incremental);
                if part.kind == Kind::Incremental && last.is_some_and(|last| last.sequence >= part.sequence) {
                    return Err(fail("incremental files are not in order".into()));
                }
                parts.push(part);
            }
            offset += line.len() as u64;
        }
        Ok(Self::new(parts))
    }

    /// The text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for Part { name, sequence, kind } in &self.parts {
            let kind = match kind {
                Kind::Base => 'b',
                Kind::Incremental => 'i',
                Kind::History => 'h',
            };
            text += &format!("file {name} seq {sequence} type {kind}\n");
        }
        text += &format!("{SEAL_MARK}{FORMAT} {:08x}\n", crc32c::crc32c(text.as_bytes()));
        text
    }

    /// Puts the manifest in the place of the one in `folder`; after success it is there after a power cut, too.
    ///
    /// # Errors
    /// [`Error::Io`]; either manifest may be there then.
    pub fn store(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        self.write_aside(disk, folder)?;
        self.put_in_force(disk, folder)
    }

    /// The first half of [`store`](Self::store), which leaves the manifest in force alone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_aside(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let path = folder.join(TEMPORARY_NAME);
        let write = || {
            let file = disk.create(&path)?;
            file.write(self.encode().as_bytes())?;
            file.sync()
        };
        write().map_err(Error::io("write", &path))
    }

    /// The second half of [`store`](Self::store).
    ///
    /// # Errors
    /// [`Error::Io`]; either manifest may be there then.
    pub fn put_in_force(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let renamed = disk.rename(&folder.join(TEMPORARY_NAME), &path);
        renamed.map_err(Error::io("put a new file in place of", &path))?;
        disk.sync_folder(folder).map_err(Error::io("sync", folder))
    }

    /// The files to replay, in order.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind != Kind::History)
    }

    /// The files to delete.
    pub fn history(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == Kind::History)
    }

    /// The file that grows.
    pub fn last(&self) -> Option<&Part> {
        self.live().next_back().filter(|part| part.kind == Kind::Incremental)
    }

    /// True when `name` is one of its files.
    pub fn names(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name == name)
    }

    /// The same log with one more file after the others.
    pub fn with(&self, part: Part) -> Self {
        Self::new(self.parts.iter().cloned().chain([part]))
    }

    /// The number of the next base and that of the next incremental file, both after any used so far.
    pub fn next_sequences(&self) -> (u64, u64) {
        let next = |kind| {
            let used = self.parts.iter().filter(|part| part.kind == kind || part.kind == Kind::History);
            used.map(|part| part.sequence).max().unwrap_or(0) + 1
        };
        (next(Kind::Base), next(Kind::Incremental))
    }

    /// The log after a compaction: the new files, and all of this one's as history.
    pub fn replaced_by(&self, base: Part, incremental: Part) -> Self {
        let old = self.parts.iter().map(|part| Part { kind: Kind::History, ..part.clone() });
        Self::new([base, incremental].into_iter().chain(old))
    }

    /// The log after a rewrite of its older part: the new base and the incremental files from that number on, and the
    /// rest of this one's as history.
    pub fn rebased(&self, base: Part, first: u64) -> Self {
        let parts = self.parts.iter().map(|part| {
            let stays = part.kind == Kind::Incremental && part.sequence >= first;
            Part { kind: if stays { Kind::Incremental } else { Kind::History }, ..part.clone() }
        });
        Self::new([base].into_iter().chain(parts))
    }

    /// The same log without its history.
    pub fn without_history(&self) -> Self {
        Self::new(self.live().cloned())
    }
}

/// Why a seal is refused.
enum Unsealed {
    Later(Error),
    Broken(String),
}

/// Checks the words of a seal against what is before it.
fn check_seal(seal: &str, before: &[u8], file: &Path) -> std::result::Result<(), Unsealed> {
    let (format, checksum) = seal.split_once(' ').unwrap_or((seal, ""));
    let broken = |reason: &str| Unsealed::Broken(reason.to_owned());
    let format: u64 = format.parse().map_err(|_| broken("its seal is not `#WL FORMAT CHECKSUM`"))?;
    if format > FORMAT {
        let reason = format!(
            "a later version of Windlass wrote it (format {format}; this one reads up to {FORMAT}). Start that version \
             here, or carry its data over with its `windlass export`. Nothing was changed"
        );
        return Err(Unsealed::Later(Error::Unsupported { file: file.to_owned(), reason }));
    }
    if u32::from_str_radix(checksum, 16) == Ok(crc32c::crc32c(before)) {
        return Ok(());
    }
    Err(broken("it does not match its checksum; whoever edits it by hand removes this line"))
}

fn decode_line(line: &str) -> std::result::Result<Part, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let ["file", name, "seq", sequence, "type", kind] = words[..] else {
        return Err(format!("the line `{line}` is not `file NAME seq N type T`"));
    };
    // A name is one in the folder of the log: no path leads out of it.
    if name.contains(['/', '\\', '"']) || name.starts_with('.') {
        return Err(format!("`{name}` is not the name of a file of a log"));
    }
    let kind = match kind {
        "b" => Kind::Base,
        "i" => Kind::Incremental,
        "h" => Kind::History,
        other => return Err(format!("`{other}` is not a type of file")),
    };
    let sequence = sequence.parse().map_err(|_| format!("`{sequence}` is not a number"))?;
    Ok(Part { name: name.to_owned(), sequence, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Manifest> {
        Manifest::decode(text, Path::new("m"))
    }

    #[test]
    fn what_redis_writes_reads_back_the_same() {
        let text =
            "file appendonly.aof.2.base.aof seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
        let manifest = decode(text).unwrap();
        assert_eq!(manifest.encode(), format!("{text}#WL 1 {:08x}\n", crc32c::crc32c(text.as_bytes())));
        assert_eq!(decode(&manifest.encode()).unwrap(), manifest);
        assert_eq!(manifest.next_sequences(), (3, 3));
        assert_eq!(manifest.last(), Some(&Part::incremental(2)));
    }

    #[test]
    fn a_manifest_that_cannot_be_is_refused_with_its_place() {
        let good = "file a seq 1 type b\n";
        for bad in ["file ../a seq 1 type i", "file a seq x type i", "file a seq 1 type q", good, "nonsense"]
        {
            let error = decode(&format!("{good}{bad}\n")).unwrap_err();
            assert!(matches!(error, Error::Damaged { offset: 20, .. }), "{bad}: {error}");
        }
        assert!(decode("file a seq 2 type i\nfile b seq 1 type i\n").is_err());
    }

    #[test]
    fn a_line_that_is_lost_or_changed_is_noticed_by_the_seal() {
        let text = Manifest::new([Part::base(1), Part::incremental(1), Part::incremental(2)]).encode();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for lost in 0..3 {
            let rest: String =
                lines.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, line)| *line).collect();
            assert!(matches!(decode(&rest), Err(Error::Damaged { .. })), "without line {lost}");
        }
        assert!(decode(&text.replace("incr.aof seq 2", "incr.aof seq 3")).is_err());
    }

    #[test]
    fn a_later_format_is_no_damage() {
        let error = decode("file a seq 1 type b\n#WL 2 anything at all\n").unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("a later version of Windlass wrote it"), "{error}");
    }

    #[test]
    fn a_compaction_turns_the_old_files_into_history() {
        let old = Manifest::new([Part::base(1), Part::incremental(4)]);
        let new = old.replaced_by(Part::base(2), Part::incremental(5));
        assert_eq!(new.live().count(), 2);
        assert_eq!(new.history().count(), 2);
        assert_eq!(new.without_history(), Manifest::new([Part::base(2), Part::incremental(5)]));
        assert_eq!(decode(&new.encode()).unwrap(), new);
    }

    #[test]
    fn a_rewrite_keeps_the_files_from_its_cut_on() {
        let old = Manifest::new([Part::base(1), Part::incremental(4), Part::incremental(5)]);
        let new = old.rebased(Part::base(2), 5);
        assert_eq!(new.without_history(), Manifest::new([Part::base(2), Part::incremental(5)]));
        assert_eq!(new.history().count(), 2);
        assert_eq!(new.next_sequences(), (5, 6));
    }
}
