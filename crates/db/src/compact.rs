//! Replaces a grown log by a base of its content at one moment and the file of what came after.
//!
//! The content is frozen under the store's lock, which copies nothing, and written down outside of it while commands
//! go on. The order makes a crash at any step harmless: a file is whole and synced before another one comes after it
//! in the manifest, the base is whole and synced before the manifest names it, the manifest is replaced by a rename,
//! and the old files go after that. `rewrite` says when and where this runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::base;
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::log::{Log, Writer};
use crate::manifest::{Manifest, Part};
use crate::progress::Position;
use crate::recovery::remove_history;
use crate::spill::{Output, Snapshot, Source};
use crate::store::Store;

/// The content at the moment at which the log went on in a new file.
struct Cut<'a> {
    content: Snapshot<'a>,
    /// The number of the new file.
    incremental: u64,
    /// The bytes of the files between the old base and the new file.
    bytes: u64,
}

impl Store {
    /// Goes on in a new file, and writes the content of that moment to a new base for it. The caller sees to it that
    /// there is one at a time. After the log failed it is the way back: all that ran is in the new files, and writing
    /// commands are let in again.
    ///
    /// # Errors
    /// As [`rewrite`](Self::rewrite). The old log stays in force; it fails when it is unknown which one is in force
    /// and that matters.
    pub fn compact(&self, log: &Log) -> Result<()> {
        log.rewrites.show(0, 0);
        if self.with_writer(log, |writer| writer.has_failed) {
            self.renew(log)?;
        } else {
            let cut = self.cut(log)?;
            self.rebase(log, cut)?;
        }
        log.gauges.count_compaction();
        self.forget_history(log);
        Ok(())
    }

    /// Begins a new file after the present one, with the content frozen in between.
    fn cut<'a>(&self, log: &'a Log) -> Result<Cut<'a>> {
        let (folder, manifest) =
            self.with_writer(log, |writer| (writer.folder.clone(), writer.manifest.clone()));
        let (_, number) = manifest.next_sequences();
        let part = Part::incremental(number);
        let name = part.name.clone();
        let (path, file) = self.make_file(&folder, &part)?;
        let manifest = manifest.with(part);
        if let Err(error) = manifest.write_aside(&*self.disk, &folder) {
            self.remove(&path);
            return Err(error);
        }
        // Most of what is not safe yet is made safe while others may write.
        self.commit(log);
        self.sync_rest(log);

        let turn = log.turn.lock();
        let cut = self.with_writer(log, |writer| {
            let content = self.flush_and_freeze(log, writer)?;
            let cut = Cut { content, incremental: number, bytes: writer.incremental_bytes };
            self.switch(writer, manifest, file)?;
            log.synced.store(0, Ordering::Relaxed);
            Ok(cut)
        });
        drop(turn);
        // Whoever found the turn or the writer taken relies on its holder.
        if self.progress.is_awaited() {
            if !self.waits_for_sync() {
                self.try_write(log);
            }
            log.thread.want();
        }
        // Unless a manifest that may be in force names it.
        if cut.is_err() && !self.with_writer(log, |writer| writer.manifest.names(&name)) {
            self.remove(&path);
        }
        cut
    }

    /// Makes all that ran safe in the present file, and freezes the content at that moment.
    fn flush_and_freeze<'a>(&self, log: &'a Log, writer: &mut Writer) -> Result<Snapshot<'a>> {
        let content = self.flush_with(writer, |core| {
            // The next record is the first of the new file.
            core.engine.effects().forget_selection();
            self.freeze(log, core)
        });
        // Whatever the durability: a file that another comes after may not be torn by a power cut.
        if writer.is_unsynced
            && !writer.has_failed
            && let Err(error) = writer.file.sync()
        {
            let reason = format!("sync of {} failed: {error}", writer.name());
            self.fail(writer, &reason);
        }
        if let Some(reason) = self.progress.failure().filter(|_| writer.has_failed) {
            return Err(Error::OutcomeUnknown { reason });
        }
        writer.is_unsynced = false;
        writer.awake.extend(self.progress.reach(writer.end));
        Ok(content)
    }

    /// Puts a manifest with one more file, which was written aside, in force, and goes on in that file.
    fn switch(&self, writer: &mut Writer, manifest: Manifest, file: Arc<dyn DiskFile>) -> Result<()> {
        if let Err(error) = manifest.put_in_force(&*self.disk, &writer.folder) {
            // After a crash either manifest may be found. By the one the old file may take no more records, and by
            // the other the new file may not. The numbers of both are used up.
            writer.manifest = manifest;
            self.fail(writer, &format!("the manifest could not be replaced: {error}"));
            return Err(error);
        }
        writer.manifest = manifest;
        writer.file = file;
        writer.sequence = 1;
        Ok(())
    }

    /// Writes the base of a cut and puts it in the place of all before.
    fn rebase(&self, log: &Log, cut: Cut<'_>) -> Result<()> {
        let (folder, manifest) =
            self.with_writer(log, |writer| (writer.folder.clone(), writer.manifest.clone()));
        let part = Part::base(manifest.next_sequences().0);
        let is_futile = || self.progress.failure();
        let base_bytes = self.write_base(log, &folder, &part, cut.content, is_futile)?;
        let manifest = manifest.rebased(part.clone(), cut.incremental);
        if let Err(error) = manifest.write_aside(&*self.disk, &folder) {
            self.remove(&folder.join(&part.name));
            return Err(error);
        }
        // If this fails either manifest may be found after a crash. Both name whole files of the same content, and
        // the last file of both is the one that grows; but no file of either may be deleted.
        let put = manifest.put_in_force(&*self.disk, &folder);
        self.with_writer(log, |writer| {
            writer.manifest = manifest;
            writer.base_bytes = base_bytes;
            writer.incremental_bytes -= cut.bytes;
            writer.compact_bytes_next = 0;
            log.gauges.show(writer);
        });
        put
    }

    /// Replaces a log that failed: a base of all that ran, and an empty file. Writing commands are refused until it is
    /// there; what expires meanwhile goes to the new file.
    fn renew(&self, log: &Log) -> Result<()> {
        let (folder, manifest) =
            self.with_writer(log, |writer| (writer.folder.clone(), writer.manifest.clone()));
        // A sync that still goes on must not make the log fail once more: no other begins after a failure.
        drop(log.turn.lock());
        let (content, end) = {
            let mut core = self.core.lock();
            core.is_renewing = true;
            core.pending.buffer.clear();
            core.engine.effects().set_recording(true);
            core.engine.effects().forget_selection();
            (self.freeze(log, &core), core.pending.end)
        };
        let renewed = self.write_renewed(log, &folder, &manifest, content);
        if renewed.is_err() {
            let mut core = self.core.lock();
            core.is_renewing = false;
            core.engine.effects().set_recording(false);
            core.pending.buffer = Vec::new();
        }
        let (manifest, file, base_bytes) = renewed?;
        let turn = log.turn.lock();
        self.with_writer(log, |writer| {
            let mut core = self.core.lock();
            core.is_renewing = false;
            core.has_failed = false;
            core.pending.is_full = false;
            core.engine.refuse_writes(None);
            writer.manifest = manifest;
            writer.file = file;
            writer.end = Position(end);
            writer.sequence = 1;
            log.synced.store(0, Ordering::Relaxed);
            writer.base_bytes = base_bytes;
            writer.incremental_bytes = 0;
            writer.compact_bytes_next = 0;
            writer.is_unsynced = false;
            writer.has_failed = false;
            // All that ran is in the base, whether or not its record was written.
            writer.awake.extend(self.progress.recover(Position(end)));
            log.gauges.show(writer);
        });
        drop(turn);
        log.thread.want();
        Ok(())
    }

    /// Makes the files of a fresh log and puts it in force.
    fn write_renewed(
        &self,
        log: &Log,
        folder: &Path,
        manifest: &Manifest,
        content: Snapshot<'_>,
    ) -> Result<(Manifest, Arc<dyn DiskFile>, u64)> {
        let (base, incremental) = manifest.next_sequences();
        let (base, incremental) = (Part::base(base), Part::incremental(incremental));
        let base_bytes = self.write_base(log, folder, &base, content, || None)?;
        let base_path = folder.join(&base.name);
        // What is given up is removed at once: the disk may be full of it.
        let (path, file) = self.make_file(folder, &incremental).inspect_err(|_| self.remove(&base_path))?;
        let fresh = manifest.replaced_by(base, incremental);
        if let Err(error) = fresh.write_aside(&*self.disk, folder) {
            self.remove(&path);
            self.remove(&base_path);
            return Err(error);
        }
        if let Err(error) = fresh.put_in_force(&*self.disk, folder) {
            // It may be the one in force, so that a later try must not write to its files.
            self.with_writer(log, |writer| writer.manifest = fresh);
            return Err(error);
        }
        Ok((fresh, file, base_bytes))
    }

    /// Writes a base outside of all locks, and removes it again when it does not become whole. `is_futile` tells why
    /// there is no more use in it.
    fn write_base(
        &self,
        log: &Log,
        folder: &Path,
        part: &Part,
        content: Snapshot<'_>,
        is_futile: impl Fn() -> Option<String>,
    ) -> Result<u64> {
        let (path, file) = self.make_file(folder, part)?;
        let Snapshot { content, held } = content;
        let (started, bytes_total) = (Instant::now(), content.bytes() as u64);
        let source = Source::new(held, &*self.disk, folder);
        let output = Output::new(&*file, base::SYNC_BYTES, Some(source));
        let may_go_on = |bytes| self.pace(log, started, bytes, bytes_total) && is_futile().is_none();
        let written = match base::write(content, output, may_go_on) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => Err(is_futile().map_or(Error::Stopped, |reason| Error::OutcomeUnknown { reason })),
            Err(error) => Err(Error::io("write", &path)(error)),
        };
        self.remove(&path);
        written
    }

    /// Makes an empty file whose name is safe.
    fn make_file(&self, folder: &Path, part: &Part) -> Result<(PathBuf, Arc<dyn DiskFile>)> {
        let path = folder.join(&part.name);
        let file = self.disk.create(&path).map_err(Error::io("make", &path))?;
        if let Err(error) = self.disk.sync_folder(folder) {
            self.remove(&path);
            return Err(Error::io("sync", folder)(error));
        }
        Ok((path, file))
    }

    /// Removes a file that no manifest names. What cannot be removed now is removed at the next opening.
    fn remove(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path) {
            tracing::warn!(%error, path = %path.display(), "an unfinished file could not be removed");
        }
    }

    /// Deletes the old files, which no longer matter; what cannot be deleted now is deleted at the next opening.
    fn forget_history(&self, log: &Log) {
        let (folder, manifest) =
            self.with_writer(log, |writer| (writer.folder.clone(), writer.manifest.clone()));
        match remove_history(&folder, manifest, &*self.disk) {
            Ok(manifest) => self.with_writer(log, |writer| writer.manifest = manifest),
            Err(error) => tracing::warn!(%error, "the files before the rewrite could not be deleted"),
        }
    }
}
