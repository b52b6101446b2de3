//! Writes groups of records at the end of the log's last file.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;

use super::annotation::{Annotation, LENGTH_MAX};
use crate::disk::DiskFile;
use crate::manifest::Manifest;
use crate::progress::Position;

/// The room before the records of a group, in which their annotation is put, so that both are one write.
pub const HEAD_BYTES: usize = LENGTH_MAX;
/// What a disk writes whole or not at all, whatever the disk.
const SECTOR_BYTES: usize = 512;
/// A buffer larger than this is given back after its group was written.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// The log's last file and what is known of the files before.
pub struct Writer {
    /// The folder of the log.
    pub folder: PathBuf,
    /// The files of the log.
    pub manifest: Manifest,
    /// The last file.
    pub file: Arc<dyn DiskFile>,
    /// The sequence of the next group.
    pub sequence: u64,
    /// The end of what was written.
    pub end: Position,
    /// The bytes of the base.
    pub base_bytes: u64,
    /// The bytes of the files after the base.
    pub incremental_bytes: u64,
    /// True when something was written since the last sync.
    pub is_unsynced: bool,
    /// Set by the first failed write or sync: the file takes no more.
    pub has_failed: bool,
    /// Who is to be woken when the writer is given back.
    pub awake: Vec<Waker>,
    /// No compaction is tried before the incremental bytes reach this; set after one that failed.
    pub compact_bytes_next: u64,
    spare: Vec<u8>,
    /// The bytes written to the file's first sector while it is not known to be safe.
    start_written: Option<usize>,
}

impl Writer {
    /// A writer at the end of `file`.
    pub fn new(folder: PathBuf, manifest: Manifest, file: Arc<dyn DiskFile>, sequence: u64) -> Self {
        Self {
            folder,
            manifest,
            file,
            sequence,
            end: Position::START,
            base_bytes: 0,
            incremental_bytes: 0,
            is_unsynced: false,
            has_failed: false,
            awake: Vec::new(),
            compact_bytes_next: 0,
            spare: Vec::new(),
            start_written: None,
        }
    }

    /// The last file's name.
    pub fn name(&self) -> &str {
        &self.manifest.last().expect("a log that is written has a last file").name
    }

    /// An empty buffer in exchange for a written one.
    pub fn take_spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// Keeps the memory of a buffer for a later group.
    pub fn keep_spare(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= SPARE_BYTES_MAX {
            self.spare = buffer;
        }
    }

    /// Writes one group, which begins after [`HEAD_BYTES`] of room in `buffer`. The groups up to `synced` are known to be
    /// synced.
    ///
    /// # Errors
    /// The system's; the file is then done for.
    pub fn write(&mut self, buffer: &mut [u8], synced: u64) -> std::io::Result<()> {
        assert!(!self.has_failed, "a file whose write or sync failed takes no more");
        let start = put_annotation(buffer, self.sequence, synced);
        let written = self.write_in_order(&buffer[start..], synced);
        self.has_failed = written.is_err();
        written?;
        self.sequence += 1;
        self.incremental_bytes += (buffer.len() - start) as u64;
        self.is_unsynced = true;
        Ok(())
    }

    /// Writes bytes; nothing after the first sector of a file is written before that is safe. By its annotation a file is
    /// known as ours: without that, what a power cut left of later sectors would be taken for damage in what Redis wrote.
    /// It costs a sync for a file whose first groups are long, or are not synced anyway.
    fn write_in_order(&mut self, bytes: &[u8], synced: u64) -> std::io::Result<()> {
        if self.sequence == 1 {
            self.start_written = Some(0);
        }
        let Some(written) = self.start_written.filter(|_| synced == 0) else {
            return self.file.write(bytes);
        };
        let (first, rest) = bytes.split_at(bytes.len().min(SECTOR_BYTES - written));
        self.file.write(first)?;
        self.start_written = Some(written + first.len());
        if rest.is_empty() {
            return Ok(());
        }
        self.file.sync()?;
        self.start_written = None;
        self.file.write(rest)
    }
}

/// Puts the annotation of the group at the end of the room before it; answers where it begins.
pub fn put_annotation(buffer: &mut [u8], sequence: u64, synced: u64) -> usize {
    let (head, group) = buffer.split_at_mut(HEAD_BYTES);
    let annotation = Annotation::of(sequence, group, synced).encode();
    let start = HEAD_BYTES - annotation.len();
    head[start..].copy_from_slice(annotation.as_bytes());
    start
}
