//! The start of an engine: it locks the directory, reads the identity, opens the checkpoint, replays and syncs the
//! journal, and builds new indexes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use promox_storage::Schema;

use crate::base::{self, CheckpointFile, Room};
use crate::checkpoint::Checkpointer;
use crate::directory::{self, JOURNAL};
use crate::engine::{Assembled, EmbeddedEngine};
use crate::journal::recover::{Recovered, recover};
use crate::journal::segment::{self, StoreId};
use crate::journal::{Journal, Segments};
use crate::key::Key;
use crate::open::{self, OpenError, Options};
use crate::shared::Shared;
use crate::table::Table;
use crate::view::{Published, View};
use crate::writer::{Lanes, Writer};

/// The size of one sequential read, in bytes.
const READ_SIZE: usize = 1 << 20;

impl EmbeddedEngine {
    /// Opens a store: locks it, replays and syncs its journal, and starts its threads.
    pub fn open(options: Options, schema: Schema) -> Result<Arc<Self>, OpenError> {
        let Assembled { engine, writer, checkpointer } = Self::assemble(options, &schema)?;
        engine.run(writer, checkpointer)?;
        warm(engine.shared());
        Ok(engine)
    }

    /// Opens a store without threads. The caller steps its parts.
    pub fn assemble(options: Options, schema: &Schema) -> Result<Assembled, OpenError> {
        assemble(options, schema)
    }
}

fn assemble(options: Options, schema: &Schema) -> Result<Assembled, OpenError> {
    let dir = options.dir.clone();
    let io = |error: io::Error| OpenError::io(&dir, &error);
    directory::inspect_on(&*options.disk, &dir)?.check(&dir)?;
    let lock = open::lock(&options)?;
    let store = directory::open_or_create(&options, schema)?;
    let room = Arc::new(Room::default());
    let (path, cache) = (dir.join(base::FILE), options.page_bytes);
    let file = CheckpointFile::open(&*options.disk, path, store, schema, cache, room.clone())?;
    let (view, recovered) = replay(&options, &store, &file)?;
    let segments = segments(&options, store, &recovered).map_err(io)?;
    let journal = Journal::resume(segments.clone(), store, recovered.tail).map_err(io)?;
    let view = build_indexes(&file, schema, view)?;
    let shared = Arc::new(Shared::new(options, store, Published::new(view), room));
    Ok(connect(shared, file, segments, journal, lock))
}

/// Connects the parts of an engine.
fn connect(
    shared: Arc<Shared>,
    file: CheckpointFile,
    segments: Arc<Segments>,
    journal: Journal,
    lock: crate::disk::DirLock,
) -> Assembled {
    let (normal, normal_receiver) = flume::bounded(shared.options.queue);
    let (bulk, bulk_receiver) = flume::bounded(shared.options.queue);
    let (wake, woken) = flume::bounded(1);
    let (freeze, freeze_requests) = flume::bounded(1);
    let lanes = Lanes { normal: normal_receiver, bulk: bulk_receiver, last_normal: None };
    let writer = Writer::new(shared.clone(), lanes, journal, wake, freeze_requests);
    let checkpointer = Checkpointer::new(shared.clone(), file, segments, woken);
    let engine = Arc::new(EmbeddedEngine::new(shared, (normal, bulk), freeze, lock));
    Assembled { engine, writer, checkpointer }
}

/// Reads the checkpoint and replays the journal. Returns the state and what was found in the journal.
fn replay(options: &Options, store: &StoreId, file: &CheckpointFile) -> Result<(View, Recovered), OpenError> {
    let base = file.base().map_err(|error| file.failure(&error))?;
    let mut table = Table::default();
    let recovered = recover(&*options.disk, &options.dir.join(JOURNAL), store, base.reached, |frame| {
        let slab = table.add_slab(Bytes::copy_from_slice(&frame.changes));
        for change in frame.changes() {
            let change = change.ok_or("a change does not decode")?;
            let value = change.value.map(|value| (change.end - value.len(), value.len()));
            table.insert(Key::new(change.space, change.key), slab, value);
        }
        Ok(())
    })?;
    if recovered.replayed > 0 {
        tracing::info!(groups = recovered.replayed, rows = table.len(), "replayed the journal");
    }
    Ok((View { memory: table, frozen: None, base: Arc::new(base), reached: recovered.reached }, recovered))
}

/// Builds the indexes that the store does not have yet. They are built from the checkpoint, so all other rows are moved
/// into it first.
fn build_indexes(file: &CheckpointFile, schema: &Schema, view: View) -> Result<View, OpenError> {
    let missing = file.missing_indexes(schema)?;
    if missing.is_empty() {
        return Ok(view);
    }
    file.apply(&view.memory, view.reached).map_err(|error| file.failure(&error))?;
    for (table, index) in missing {
        file.build_index(table, index, view.reached.mark)?;
    }
    let base = file.base().map_err(|error| file.failure(&error))?;
    Ok(View { memory: Table::default(), frozen: None, base: Arc::new(base), reached: view.reached })
}

/// Removes the segments that are incomplete or not needed, and returns the others.
fn segments(options: &Options, store: StoreId, recovered: &Recovered) -> io::Result<Arc<Segments>> {
    let dir = options.dir.join(JOURNAL);
    remove_unfinished(options, &dir)?;
    for number in &recovered.unused {
        options.disk.remove(&segment::path(&dir, *number))?;
    }
    let (size, sealed, last) = (options.segment_bytes, recovered.sealed.clone(), recovered.tail.number);
    Ok(Arc::new(Segments::new(options.disk.clone(), dir, store, size, sealed, last)))
}

fn remove_unfinished(options: &Options, dir: &Path) -> io::Result<()> {
    let names = options.disk.list(dir)?;
    let unfinished = names.iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "tmp"));
    for name in unfinished {
        options.disk.remove(&dir.join(name))?;
    }
    Ok(())
}

/// Reads the checkpoint file once in the background, to bring it into the page cache. Reading it sequentially is far
/// faster than reading a cold file at random places.
fn warm(shared: &Arc<Shared>) {
    let shared = shared.clone();
    let read = move || {
        let options = &shared.options;
        let Ok(file) = options.disk.open(&options.dir.join(base::FILE)) else { return };
        let (mut at, mut page) = (0, vec![0; READ_SIZE]);
        while let Ok(read @ 1..) = file.read(at, &mut page) {
            at += read as u64;
            if shared.room.is_closing() {
                return;
            }
        }
    };
    // Without this thread the store is only slower at first.
    let _ = thread::Builder::new().name("store-warm".to_owned()).spawn(read);
}
