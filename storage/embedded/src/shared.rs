//! What the engine's handle, its writer and its checkpointer share.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::metrics::Counters;
use crate::open::Options;
use crate::stop::Stop;
use crate::view::Published;

/// What the parts of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) published: Published,
    pub(crate) counters: Counters,
    /// Whether the disk is full: writes are refused, reads go on.
    full: AtomicBool,
    stopped: AtomicBool,
    subscribers: Mutex<Vec<flume::Sender<()>>>,
}

impl Shared {
    pub(crate) fn new(options: Options, published: Published) -> Self {
        Self {
            options,
            published,
            counters: Counters::default(),
            full: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            subscribers: Mutex::default(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    pub(crate) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::AcqRel) != full {
            if full {
                tracing::error!("the disk is nearly full: reads go on, writes are refused until there is room");
            } else {
                tracing::info!("there is room on the disk again: writes go on");
            }
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// From now on nothing is acknowledged.
    pub(crate) fn mark_stopped(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Stops, and tells whom it concerns.
    pub(crate) fn stop(&self, stop: &Stop) {
        self.mark_stopped();
        (self.options.on_stop)(stop);
    }

    pub(crate) fn subscribe(&self) -> flume::Receiver<()> {
        let (sender, receiver) = flume::bounded(1);
        self.subscribers.lock().push(sender);
        receiver
    }

    pub(crate) fn notify(&self) {
        let gone =
            |sender: &flume::Sender<()>| matches!(sender.try_send(()), Err(flume::TrySendError::Disconnected(())));
        self.subscribers.lock().retain(|sender| !gone(sender));
    }
}
