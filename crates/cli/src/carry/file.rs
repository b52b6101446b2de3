//! Keys and libraries in a file: read and written one after the other, so that no file has to fit into memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::mpsc;
use windlass_db::carry::{Digest, Library, Reader, Record, Saved, Scratch, Writer};

use super::bar::contents;
use super::filter::Filter;
use super::lines::{self, Key, Line};
use super::store::{Item, SCAN_COUNT};

/// So many batches are read ahead.
const AHEAD: usize = 4;
/// The longest line, in bytes: the greatest value as text, and more.
const LINE_BYTES_MAX: u64 = 4 << 30;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A snapshot of Redis's, version 10.
    Rdb,
    /// Lines of JSON.
    Lines,
}

impl Form {
    /// The form that a file's name asks for.
    ///
    /// # Errors
    /// When it ends with neither name.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rdb") => Ok(Self::Rdb),
            Some("jsonl" | "ndjson") => Ok(Self::Lines),
            _ => Err(anyhow!(
                "the name {} does not tell the form: let it end with .rdb or .jsonl",
                path.display()
            )),
        }
    }
}

/// Writes a file of the libraries and of the keys that `fill` gives, under another name until it is whole; answers the
/// number of keys, and the digest of all.
///
/// # Errors
/// Those of `fill` and of the system; there is no file then.
pub async fn write(
    path: &Path,
    libraries: &[Library],
    fill: impl AsyncFnOnce(&mut dyn FnMut(&Item) -> Result<()>) -> Result<()>,
) -> Result<(u64, Digest)> {
    let form = Form::of(path)?;
    let about = || format!("{} could not be written", path.display());
    write_beside(path, form, libraries, fill).await.with_context(about)
}

async fn write_beside(
    path: &Path,
    form: Form,
    libraries: &[Library],
    fill: impl AsyncFnOnce(&mut dyn FnMut(&Item) -> Result<()>) -> Result<()>,
) -> Result<(u64, Digest)> {
    let unfinished = Unfinished::beside(path);
    let file =
        File::create(&unfinished.0).with_context(|| format!("cannot make {}", unfinished.0.display()))?;
    let mut file = BufWriter::new(file);
    let (mut keys, mut digest) = (0, Digest::default());
    libraries.iter().for_each(|library| digest.add(Digest::of_library(library.source())));
    match form {
        Form::Rdb => {
            let mut writer = Writer::new(&mut file);
            libraries.iter().for_each(|library| writer.write_library(library));
            fill(&mut |item| {
                keys += 1;
                digest.add(item.whole());
                let about = || format!("cannot write the key `{}`", String::from_utf8_lossy(&item.saved.key));
                writer.write(&item.saved).with_context(about)
            })
            .await?;
            writer.finish()?;
        }
        Form::Lines => {
            let mut scratch = Scratch::default();
            writeln!(file, "{}", lines::header())?;
            for library in libraries {
                writeln!(file, "{}", lines::encode_library(library))?;
            }
            fill(&mut |item| {
                keys += 1;
                digest.add(item.whole());
                let Saved { db, key, expires_ms, payload } = item.saved.clone();
                let content = scratch.content(&payload).context("a value is not understood")?;
                Ok(writeln!(file, "{}", lines::encode(&Key { db, key, expires_ms, content }))?)
            })
            .await?;
            writeln!(file, "{}", lines::end(keys, libraries.len() as u64, digest))?;
        }
    }
    file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    std::fs::rename(&unfinished.0, path).with_context(|| format!("cannot make {}", path.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok((keys, digest))
}

/// A file that is being written; dropped, it goes.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self(path.with_file_name(format!(".{name}.{}", std::process::id())))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After success it has its real name.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A part of a file.
#[derive(Debug)]
pub enum Part {
    Library(Library),
    /// Keys of one database.
    Keys(Vec<Item>),
}

/// Reads a file to its end, part by part, and gives the libraries and keys that `filter` takes; the last thing to come
/// is an error if the file is not whole, of which that of the other keys is a part.
pub fn read(path: &Path, filter: &Filter) -> Result<mpsc::Receiver<Result<Part>>> {
    let form = Form::of(path)?;
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (path, filter) = (path.to_owned(), filter.clone());
    tokio::task::spawn_blocking(move || {
        let mut batches = Batches {
            sender,
            filter,
            libraries: BTreeSet::new(),
            batch: Vec::new(),
            scratch: Scratch::default(),
        };
        let file = BufReader::with_capacity(1 << 20, file);
        let read = match form {
            Form::Rdb => read_rdb(file, &mut batches),
            Form::Lines => read_lines(file, &mut batches),
        };
        let read = read.and_then(|()| batches.send());
        if let Err(error) = read.with_context(|| format!("{} cannot be read", path.display())) {
            // Who does not listen any more needs no reason.
            let _ = batches.sender.blocking_send(Err(error));
        }
    });
    Ok(receiver)
}

struct Batches {
    sender: mpsc::Sender<Result<Part>>,
    filter: Filter,
    /// The names of the libraries so far.
    libraries: BTreeSet<String>,
    batch: Vec<Item>,
    scratch: Scratch,
}

impl Batches {
    fn add_library(&mut self, library: Library) -> Result<()> {
        if !self.libraries.insert(library.name().to_owned()) {
            bail!("the library `{}` is there twice", library.name());
        }
        if !self.filter.takes_libraries() {
            return Ok(());
        }
        self.pass_on(Part::Library(library))
    }

    fn add(&mut self, item: Item, kind: &str) -> Result<()> {
        if !self.filter.takes(&item.saved.key, kind) {
            return Ok(());
        }
        if self.batch.len() == SCAN_COUNT
            || self.batch.last().is_some_and(|last| last.saved.db != item.saved.db)
        {
            self.send()?;
        }
        self.batch.push(item);
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.pass_on(Part::Keys(batch))
    }

    fn pass_on(&self, part: Part) -> Result<()> {
        self.sender.blocking_send(Ok(part)).map_err(|_| anyhow!("nobody reads it any more"))
    }
}

fn read_rdb(mut file: impl BufRead, batches: &mut Batches) -> Result<()> {
    let mut reader = Reader::open(&mut file)?;
    while let Some(record) = reader.next_record()? {
        match record {
            Record::Library(library) => batches.add_library(library)?,
            Record::Key(saved) => {
                let content = batches.scratch.content(&saved.payload).context("a value is not understood")?;
                batches.add(Item { saved, digest: Digest::of(&content) }, content.kind())?;
            }
        }
    }
    Ok(())
}

fn read_lines(mut file: impl BufRead, batches: &mut Batches) -> Result<()> {
    let (mut keys, mut libraries, mut digest, mut text) = (0, 0, Digest::default(), String::new());
    for number in 1.. {
        text.clear();
        let read = std::io::Read::take(&mut file, LINE_BYTES_MAX).read_line(&mut text);
        if read.with_context(|| format!("line {number} is no text"))? == 0 {
            bail!("it ends at line {number} without its last line: it was not written or copied whole");
        }
        match lines::decode(text.trim_end()).with_context(|| format!("line {number}"))? {
            Line::Header if number == 1 => {}
            Line::Library(library) if number > 1 => {
                libraries += 1;
                digest.add(Digest::of_library(library.source()));
                batches.add_library(library).with_context(|| format!("line {number}"))?;
            }
            Line::Key(key) if number > 1 => {
                let about = || {
                    format!(
                        "line {number}: the value of `{}` cannot be made",
                        String::from_utf8_lossy(&key.key)
                    )
                };
                let payload = batches.scratch.payload(&key.content).with_context(about)?;
                let saved = Saved { db: key.db, key: key.key.clone(), expires_ms: key.expires_ms, payload };
                let item = Item { saved, digest: Digest::of(&key.content) };
                keys += 1;
                digest.add(item.whole());
                batches.add(item, key.content.kind())?;
            }
            Line::End { .. } if number == 1 => bail!("line 1 is not the header of an export"),
            Line::End { keys: told, libraries: told_libraries, digest: expected } => {
                if (told, told_libraries, expected) != (keys, libraries, digest) {
                    bail!(
                        "line {number} tells of {} with the digest {expected}, and there are {} with {digest}",
                        contents(told, told_libraries),
                        contents(keys, libraries)
                    );
                }
                return Ok(());
            }
            _ => bail!(
                "line {number} stands where {} belongs",
                if number == 1 { "the header" } else { "a key" }
            ),
        }
    }
    Ok(())
}
