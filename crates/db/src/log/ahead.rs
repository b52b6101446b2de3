//! Reads a long file of the log on a thread of its own, ahead of who applies its records: reading, checksums and framing
//! then take no time of the thread that a start waits for.

use std::path::Path;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::reader::{Apply, Content, read};
use crate::error::{Error, Result};

/// About the bytes of the records that are handed over at once.
const BATCH_BYTES: usize = 512 << 10;
/// How many batches may wait to be applied.
const BATCHES_MAX: usize = 4;

/// What became of a file that was read ahead.
pub struct Ahead {
    /// The number of records before the one that `apply` refused, and why it did.
    pub refused: Option<(u64, String)>,
    /// What the file held; of no meaning when a record was refused.
    pub content: Result<Content>,
}

/// Records whose arguments lie one after the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each argument ends.
    ends: Vec<usize>,
    /// How many arguments each record has.
    counts: Vec<usize>,
}

/// As [`read`], with `apply` called on this thread. A refused record has no place in the file yet: it is to be found by
/// reading once more, which only a log that nobody can open costs.
pub fn read_ahead(path: &Path, start: u64, may_be_torn: bool, apply: Apply<'_>) -> Result<Ahead> {
    let (full, batches) = sync_channel::<Batch>(BATCHES_MAX);
    let (used, empty) = channel::<Batch>();
    thread::scope(|scope| {
        let read_all = move || {
            let mut batch = Batch::default();
            let content = read(path, start, may_be_torn, &mut |args| {
                batch.add(args);
                if batch.bytes.len() < BATCH_BYTES {
                    return Ok(());
                }
                let next = empty.try_recv().unwrap_or_default();
                // Nobody sees the reason: whoever applies has stopped.
                full.send(std::mem::replace(&mut batch, next)).map_err(|_| String::new())
            });
            // What stands before a damaged place comes first, as without this thread.
            let _ = full.send(batch);
            content
        };
        let thread = thread::Builder::new().name("windlass-read".into());
        let reading = thread.spawn_scoped(scope, read_all).map_err(Error::io("start a thread for", path))?;
        let (mut count, mut refused) = (0, None);
        for mut batch in &batches {
            if let Err(reason) = batch.apply(&mut count, apply) {
                refused = Some((count, reason));
                break;
            }
            batch.clear();
            // Fails when all has been read.
            let _ = used.send(batch);
        }
        drop(batches);
        let content = reading.join().expect("a thread that reads the log does not panic");
        Ok(Ahead { refused, content })
    })
}

impl Batch {
    fn add(&mut self, args: &[&[u8]]) {
        for arg in args {
            self.bytes.extend_from_slice(arg);
            self.ends.push(self.bytes.len());
        }
        self.counts.push(args.len());
    }

    fn apply(&self, count: &mut u64, apply: Apply<'_>) -> std::result::Result<(), String> {
        let mut args: Vec<&[u8]> = Vec::new();
        let (mut ends, mut start) = (self.ends.iter(), 0);
        for length in &self.counts {
            args.clear();
            args.extend(
                ends.by_ref().take(*length).map(|end| &self.bytes[std::mem::replace(&mut start, *end)..*end]),
            );
            apply(&args)?;
            *count += 1;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::annotation::Annotation;

    #[test]
    fn a_file_that_is_read_ahead_gives_the_same_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let (mut bytes, mut sequence) = (Vec::new(), 0);
        // Several batches, of records with few and many arguments.
        while bytes.len() < 5 * BATCH_BYTES {
            let mut group = Vec::new();
            for number in 0..200_u32 {
                let text = number.to_string().repeat(1 + sequence as usize % 7);
                let args: Vec<&[u8]> = vec![text.as_bytes(); 1 + number as usize % 9];
                windlass_resp::encode_command(&args, &mut group);
            }
            sequence += 1;
            bytes.extend(Annotation::of(sequence, &group, 0).encode().bytes());
            bytes.extend(group);
        }
        std::fs::write(&path, &bytes).expect("it is written");
        let own = |args: &[&[u8]]| args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>();
        let (mut plain, mut ahead) = (Vec::new(), Vec::new());
        let content = read(&path, 0, false, &mut |args| {
            plain.push(own(args));
            Ok(())
        });
        let found = read_ahead(&path, 0, false, &mut |args| {
            ahead.push(own(args));
            Ok(())
        });
        let found = found.expect("a thread is started");
        assert!(found.refused.is_none());
        assert_eq!(found.content.expect("it is whole").records, content.expect("it is whole").records);
        assert!(plain == ahead, "the records differ");

        let mut left = 7_000;
        let refuse = |left: &mut u64| {
            *left -= 1;
            if *left == 0 { Err("no more".to_owned()) } else { Ok(()) }
        };
        let found = read_ahead(&path, 0, false, &mut |_| refuse(&mut left)).expect("a thread is started");
        assert_eq!(found.refused, Some((6_999, "no more".to_owned())));
    }
}
