//! Replaces a grown log by a base of the present content and an empty file for what comes.
//!
//! The order makes a crash at any step harmless: the new files are whole and synced before the manifest names them,
//! the manifest is replaced by a rename, and the old files go after that. All of it happens under the store's lock,
//! so a compaction is a pause, whose length grows with the content.

use windlass_engine::Engine;

use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::log::{HEAD_BYTES, Writer, put_annotation};
use crate::manifest::Part;
use crate::progress::Position;
use crate::recovery::remove_history;
use crate::store::Store;

/// How many bytes of records one group of a base holds, but for its last record.
const GROUP_BYTES: usize = 1 << 20;

impl Store {
    /// True when the log has grown enough.
    pub fn needs_compaction(&self, writer: &Writer) -> bool {
        let bytes_max =
            self.config.compact_bytes_min.max(self.config.compact_ratio.saturating_mul(writer.base_bytes));
        !writer.has_failed && writer.incremental_bytes > bytes_max.max(writer.compact_bytes_next)
    }

    /// Compacts; a failure that leaves the old log in force only puts the next try off.
    pub fn compact_or_put_off(&self, writer: &mut Writer) {
        if let Err(error) = self.compact(writer) {
            writer.compact_bytes_next = writer.incremental_bytes.saturating_mul(2);
            tracing::warn!(%error, "the log could not be compacted");
        }
    }

    /// Writes the present content to fresh files and goes on there. That is also the way back after the log failed:
    /// all that ran is in the fresh files, and writing commands are let in again.
    ///
    /// # Errors
    /// [`Error::Io`]. The old log stays in force unless it is unknown which one is, which makes the log fail.
    pub fn compact(&self, writer: &mut Writer) -> Result<()> {
        let mut core = self.core.lock();
        let disk = &*self.disk;
        let folder = writer.folder.clone();
        let (base_sequence, incremental_sequence) = writer.manifest.next_sequences();
        let (base, incremental) = (Part::base(base_sequence), Part::incremental(incremental_sequence));

        let base_path = folder.join(&base.name);
        let base_file = disk.create(&base_path).map_err(Error::io("make", &base_path))?;
        let base_bytes = write_base(&core.engine, &*base_file).map_err(Error::io("write", &base_path))?;
        let path = folder.join(&incremental.name);
        let file = disk.create(&path).map_err(Error::io("make", &path))?;
        disk.sync_folder(&folder).map_err(Error::io("sync", &folder))?;

        let manifest = writer.manifest.replaced_by(base, incremental);
        manifest.write_aside(disk, &folder)?;
        if let Err(error) = manifest.put_in_force(disk, &folder) {
            // After a crash either manifest may be found, and so neither file may take more records.
            drop(core);
            self.fail(writer, &format!("the manifest could not be replaced: {error}"));
            return Err(error);
        }
        core.has_failed = false;
        core.pending.is_full = false;
        core.engine.refuse_writes(None);
        core.engine.effects().set_recording(true);
        core.engine.effects().forget_selection();
        core.pending.buffer.clear();
        let end = core.pending.end;
        writer.file = file;
        writer.end = Position(end);
        writer.sequence = 1;
        writer.base_bytes = base_bytes;
        writer.incremental_bytes = 0;
        writer.compact_bytes_next = 0;
        writer.is_unsynced = false;
        writer.has_failed = false;
        writer.manifest = manifest;
        // All that ran is in the base, whether or not its record was written.
        writer.awake.extend(self.progress.recover(Position(end)));
        drop(core);
        if let Some(log) = &self.log {
            log.gauges.show(writer);
            log.gauges.count_compaction();
        }

        // The old files no longer matter; what cannot be deleted now is deleted at the next opening.
        match remove_history(&folder, writer.manifest.clone(), disk) {
            Ok(manifest) => writer.manifest = manifest,
            Err(error) => tracing::warn!(%error, "the files before the compaction could not be deleted"),
        }
        Ok(())
    }
}

/// Writes the content to `file` and syncs it; answers its bytes.
pub fn write_base(engine: &Engine, file: &dyn DiskFile) -> std::io::Result<u64> {
    let mut buffer = vec![0; HEAD_BYTES];
    let mut sequence = 0;
    let mut bytes = 0;
    let mut done = Ok(());
    let mut write = |buffer: &mut Vec<u8>| {
        sequence += 1;
        let start = put_annotation(buffer, sequence);
        let written = file.write(&buffer[start..]);
        bytes += (buffer.len() - start) as u64;
        buffer.truncate(HEAD_BYTES);
        written
    };
    engine.dump(|args| {
        if done.is_ok() {
            windlass_resp::encode_command(args, &mut buffer);
            if buffer.len() > GROUP_BYTES {
                done = write(&mut buffer);
            }
        }
    });
    done?;
    if buffer.len() == HEAD_BYTES {
        // No group is empty, and no base either: Redis takes an empty file for none at all.
        windlass_resp::encode_command(&[b"SELECT", b"0"], &mut buffer);
    }
    write(&mut buffer)?;
    file.sync()?;
    Ok(bytes)
}
