//! The checkpointer moves frozen tables into the checkpoint file, prepares and recycles journal segments, and monitors
//! the free disk space. Transactions only wait for it if it falls far behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError};

use crate::base::{CheckpointFile, catch_quietly};
use crate::disk::{is_full, is_out_of_descriptors};
use crate::journal::Segments;
use crate::metrics::{add, micros, set};
use crate::shared::Shared;
use crate::stop::Stop;
use crate::table::Table;
use crate::view::{Frozen, View};
use crate::writer::Turn;

/// The disk space that a checkpoint may need per byte of its table. It writes whole pages, not only the changed rows.
const COPIES: u64 = 2;
/// The additional free space below which long reads end, in bytes.
const LONG_READ_ROOM: u64 = 64 << 20;
/// The additional free space that is required before writes resume, in bytes.
const HYSTERESIS: u64 = 4 << 20;

/// Writes checkpoints, one per turn. A thread calls [`Checkpointer::turn`] in a loop, or a simulator steps it.
#[derive(Debug)]
pub struct Checkpointer {
    shared: Arc<Shared>,
    file: CheckpointFile,
    segments: Arc<Segments>,
    wake: Receiver<()>,
    /// Written tables that readers may still use. Dropping a table takes time, so the checkpointer does it and not the
    /// writer.
    retired: Vec<Arc<Frozen>>,
}

impl Checkpointer {
    pub(crate) fn new(shared: Arc<Shared>, file: CheckpointFile, segments: Arc<Segments>, wake: Receiver<()>) -> Self {
        Self { shared, file, segments, wake, retired: Vec::new() }
    }

    /// Writes a checkpoint if a frozen table is waiting, otherwise waits up to `patience` for one.
    pub fn turn(&mut self, patience: Duration) -> Turn {
        self.retired.retain(|frozen| Arc::strong_count(frozen) > 1);
        if self.shared.is_stopped() {
            return self.wait(patience);
        }
        if self.file.has_failed() {
            self.shared.stop(&Stop::io("the checkpoint file could not be read", "see the log"));
            return Turn::Worked;
        }
        let free = self.watch_room();
        self.prepare();
        let frozen = self.shared.published.load().frozen.clone();
        match frozen {
            // A checkpoint may use the reserved space, because it frees journal segments.
            Some(frozen) if free >= COPIES * frozen.table.bytes as u64 => self.checkpoint(frozen),
            _ => self.wait(patience),
        }
    }

    fn wait(&mut self, patience: Duration) -> Turn {
        match self.wake.recv_timeout(patience) {
            Ok(()) => Turn::Worked,
            Err(RecvTimeoutError::Timeout) => Turn::Idle,
            Err(RecvTimeoutError::Disconnected) => self.finish(),
        }
    }

    /// Moves the rest of the writer's table into the checkpoint after the writer has ended. The next start then finds
    /// everything there, and later damage to the journal cannot be mistaken for its end.
    fn finish(&mut self) -> Turn {
        let frozen = { self.shared.published.load().frozen.clone() };
        if self.shared.is_stopped() || frozen.is_some() || !self.freeze_rest() {
            return Turn::Ended;
        }
        let frozen = { self.shared.published.load().frozen.clone() };
        frozen.map_or(Turn::Ended, |frozen| self.checkpoint(frozen))
    }

    /// Freezes the rest of the writer's table. Returns whether it has any rows.
    fn freeze_rest(&self) -> bool {
        if self.shared.published.load().memory.is_empty() {
            return false;
        }
        self.shared.published.change(|view| View {
            memory: Table::default(),
            frozen: Some(Arc::new(Frozen { table: view.memory.clone(), reached: view.reached })),
            base: view.base.clone(),
            reached: view.reached,
        });
        true
    }

    /// Makes the writer refuse transactions before the disk is full, and accept them again when there is space. Returns
    /// the free space in bytes.
    fn watch_room(&self) -> u64 {
        let options = &self.shared.options;
        // If the free space is unknown, it is assumed to be sufficient: a failing write would show that it is not.
        let free = options.disk.free_space(&options.dir).unwrap_or(u64::MAX);
        let view = self.shared.published.load();
        let waiting = view.memory.bytes + view.frozen.as_ref().map_or(0, |frozen| frozen.table.bytes);
        let needed = options.reserve_bytes + COPIES * waiting as u64;
        let room = &self.shared.room;
        room.set_scarce(free < needed + LONG_READ_ROOM);
        if free < needed {
            room.set_full(true);
        } else if room.is_full() && free >= needed + HYSTERESIS.min(options.reserve_bytes) {
            room.set_full(false);
        }
        free
    }

    fn prepare(&self) {
        if self.shared.room.is_full() {
            return;
        }
        match self.segments.prepare() {
            Ok(()) => {}
            // Nothing needs the segment yet, and the next turn tries again.
            Err(error) if is_out_of_descriptors(&error) => {
                tracing::warn!(%error, "a journal segment could not be preallocated yet");
            }
            Err(error) => self.failed("a journal segment could not be preallocated", &error),
        }
    }

    fn failed(&self, what: &str, error: &std::io::Error) {
        if is_full(error) {
            self.shared.room.set_full(true);
        } else {
            self.shared.stop(&Stop::io(what, error));
        }
    }

    fn checkpoint(&mut self, frozen: Arc<Frozen>) -> Turn {
        let started = Instant::now();
        let written = catch_quietly(|| {
            self.file.apply(&frozen.table, frozen.reached)?;
            self.file.base()
        });
        let base = match written {
            Ok(Ok(base)) => Arc::new(base),
            // The engine is closing while the disk is full. Nothing is lost, since the journal has all changes.
            Ok(Err(error)) if self.shared.room.is_closing() => {
                tracing::warn!(%error, "the last checkpoint could not be written; the next start replays the journal");
                return Turn::Ended;
            }
            Ok(Err(error)) => return self.stop(&Stop::io("the checkpoint could not be written", error)),
            Err(panic) => return self.stop(&Stop::damaged(format!("the checkpoint file is damaged: {panic}"))),
        };
        self.shared.published.change(|view| View {
            memory: view.memory.clone(),
            frozen: None,
            base,
            reached: view.reached,
        });
        if let Err(error) = self.segments.release(frozen.reached.location.segment) {
            self.failed("journal segments could not be recycled", &error);
        }
        self.retired.push(frozen);
        self.count(started.elapsed());
        Turn::Worked
    }

    fn stop(&self, stop: &Stop) -> Turn {
        self.shared.stop(stop);
        Turn::Worked
    }

    fn count(&self, took: Duration) {
        let counters = &self.shared.counters;
        add(&counters.checkpoints, 1);
        set(&counters.last_checkpoint_micros, micros(took));
        set(&counters.checkpointed_at, self.shared.options.clock.now().0.cast_unsigned());
        let (lock, woken) = &self.shared.checkpointed;
        drop(lock.lock());
        woken.notify_all();
    }
}
