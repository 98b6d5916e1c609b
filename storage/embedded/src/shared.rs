//! The state that the engine's handle, its writer and its checkpointer share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::base::Room;
use crate::journal::segment::StoreId;
use crate::metrics::{Counters, set};
use crate::open::Options;
use crate::stop::Stop;
use crate::view::Published;

/// The state that the parts of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) store: StoreId,
    pub(crate) published: Published,
    pub(crate) counters: Counters,
    /// Whether the disk is full. If it is, writes are refused and reads continue.
    pub(crate) room: Arc<Room>,
    /// Wakes the threads that wait for a checkpoint.
    pub(crate) checkpointed: (Mutex<()>, Condvar),
    stopped: AtomicBool,
    subscribers: Mutex<Vec<flume::Sender<()>>>,
}

impl Shared {
    pub(crate) fn new(options: Options, store: StoreId, published: Published, room: Arc<Room>) -> Self {
        let counters = Counters::default();
        set(&counters.checkpointed_at, options.clock.now().0.cast_unsigned());
        set(&counters.position, published.load().reached.mark.position);
        Self {
            options,
            store,
            published,
            counters,
            room,
            checkpointed: (Mutex::new(()), Condvar::new()),
            stopped: AtomicBool::new(false),
            subscribers: Mutex::default(),
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Marks the engine as stopped. Nothing is acknowledged after this.
    pub(crate) fn mark_stopped(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Stops the engine and calls the stop hook.
    pub(crate) fn stop(&self, stop: &Stop) {
        self.mark_stopped();
        (self.options.on_stop)(stop);
    }

    pub(crate) fn subscribe(&self) -> flume::Receiver<()> {
        let (sender, receiver) = flume::bounded(1);
        self.subscribers.lock().push(sender);
        receiver
    }

    /// Signals all subscribers.
    pub(crate) fn notify(&self) {
        let is_disconnected =
            |sender: &flume::Sender<()>| matches!(sender.try_send(()), Err(flume::TrySendError::Disconnected(())));
        self.subscribers.lock().retain(|sender| !is_disconnected(sender));
    }
}
