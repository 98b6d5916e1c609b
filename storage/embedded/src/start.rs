//! The start: lock, identity, checkpoint, replay, sync, new indexes; then there is an engine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use promox_storage::Schema;

use crate::base::{self, CheckpointFile, Room};
use crate::checkpoint::Checkpointer;
use crate::engine::{Assembled, EmbeddedEngine};
use crate::journal::frame::Frame;
use crate::journal::recover::{Recovered, recover};
use crate::journal::segment::{self, StoreId};
use crate::journal::{Journal, Segments};
use crate::key::Key;
use crate::open::{self, OpenError, Options};
use crate::shared::Shared;
use crate::table::Table;
use crate::view::{Published, View};
use crate::writer::{Lanes, Writer};

/// Bytes that are read at once when the file is read in sequence.
const WARM: usize = 1 << 20;

pub(crate) fn assemble(options: Options, schema: &Schema) -> Result<Assembled, OpenError> {
    let dir = options.dir.clone();
    let io = |error: io::Error| OpenError::io(&dir, &error);
    options.disk.create_dir(&dir.join(open::JOURNAL)).map_err(io)?;
    let lock = open::lock(&options)?;
    let store = open::identity(&options)?;
    let room = Arc::new(Room::default());
    let (path, cache) = (dir.join(base::FILE), options.page_bytes);
    let file = CheckpointFile::open(&*options.disk, path, store, schema, cache, room.clone())?;
    let (view, recovered) = replay(&options, &store, &file)?;
    let segments = segments(&options, &recovered).map_err(io)?;
    let journal = Journal::resume(segments.clone(), store, recovered.tail).map_err(io)?;
    let view = build_indexes(&file, schema, view)?;
    let shared = Arc::new(Shared::new(options, Published::new(view), room));
    Ok(join(shared, file, segments, journal, lock))
}

fn join(
    shared: Arc<Shared>,
    file: CheckpointFile,
    segments: Arc<Segments>,
    journal: Journal,
    lock: crate::disk::DirLock,
) -> Assembled {
    let (normal, normal_end) = flume::bounded(shared.options.queue);
    let (bulk, bulk_end) = flume::bounded(shared.options.queue);
    let (wake, woken) = flume::bounded(1);
    let (freeze, freeze_asked) = flume::bounded(1);
    let lanes = Lanes { normal: normal_end, bulk: bulk_end };
    let writer = Writer::new(shared.clone(), lanes, journal, wake, freeze_asked);
    let checkpointer = Checkpointer::new(shared.clone(), file, segments, woken);
    let engine = Arc::new(EmbeddedEngine::new(shared, (normal, bulk), freeze, lock));
    Assembled { engine, writer, checkpointer }
}

/// The state that checkpoint and journal give.
fn replay(options: &Options, store: &StoreId, file: &CheckpointFile) -> Result<(View, Recovered), OpenError> {
    let base = file.base().map_err(|error| file.failure(&error))?;
    let (mut table, mut mark) = (Table::default(), base.mark);
    let journal = options.dir.join(open::JOURNAL);
    let recovered = recover(&*options.disk, &journal, store, base.mark.position, |frame| {
        let slab = Bytes::copy_from_slice(frame.changes);
        for change in (Frame { changes: &slab, ..*frame }).changes() {
            let change = change.ok_or("a change does not decode")?;
            let value = change.value.map(|value| slab.slice_ref(value));
            table.insert(Key::new(change.space, change.key), value);
        }
        mark = frame.mark;
        Ok(())
    })?;
    // The segment in use is never let go of, so a store that has been written has one.
    if recovered.tail.is_none() && base.mark.position > 0 {
        let what = format!("it is empty beside a checkpoint at group {}", base.mark.position);
        return Err(OpenError::Damaged { file: journal, offset: None, table: None, what });
    }
    if recovered.replayed > 0 {
        tracing::info!(groups = recovered.replayed, rows = table.rows.len(), "the journal is replayed");
    }
    Ok((View { memory: table, frozen: None, base: Arc::new(base), mark }, recovered))
}

/// Builds the indexes that are new. They are built from the checkpoint, so all else goes into it first.
fn build_indexes(file: &CheckpointFile, schema: &Schema, view: View) -> Result<View, OpenError> {
    let missing = file.missing_indexes(schema)?;
    if missing.is_empty() {
        return Ok(view);
    }
    file.apply(&view.memory.rows, view.mark).map_err(|error| file.failure(&error))?;
    for (table, index) in missing {
        file.build_index(table, index, view.mark)?;
    }
    let base = file.base().map_err(|error| file.failure(&error))?;
    Ok(View { memory: Table::default(), frozen: None, base: Arc::new(base), mark: view.mark })
}

/// The segments after recovery. What waited for use is removed: it may be of another length, or half made.
fn segments(options: &Options, recovered: &Recovered) -> io::Result<Arc<Segments>> {
    let dir = options.dir.join(open::JOURNAL);
    remove_unfinished(options, &dir)?;
    let tail = recovered.tail.map_or(0, |tail| tail.number);
    for number in &recovered.spare {
        options.disk.remove(&segment::path(&dir, *number))?;
    }
    let last = recovered.spare.iter().copied().max().unwrap_or(0).max(tail);
    let segments = Segments::new(options.disk.clone(), dir, options.segment_bytes, recovered.sealed.clone(), last);
    if recovered.tail.is_none() {
        segments.prepare_first()?;
    }
    Ok(Arc::new(segments))
}

fn remove_unfinished(options: &Options, dir: &Path) -> io::Result<()> {
    let names = options.disk.list(dir)?;
    let unfinished = names.iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "tmp"));
    for name in unfinished {
        options.disk.remove(&dir.join(name))?;
    }
    Ok(())
}

/// Reads the checkpoint file once in sequence, beside everything else: a cold file read at random is far slower.
pub(crate) fn warm(shared: &Arc<Shared>) {
    let shared = shared.clone();
    let read = move || {
        let options = &shared.options;
        let Ok(file) = options.disk.open(&options.dir.join(base::FILE)) else { return };
        let (mut at, mut page) = (0, vec![0; WARM]);
        while let Ok(read @ 1..) = file.read(at, &mut page) {
            at += read as u64;
            if shared.room.is_closing() {
                return;
            }
        }
    };
    // Without it the store is slower for a while, and right all the same.
    let _ = thread::Builder::new().name("store-warm".to_owned()).spawn(read);
}
