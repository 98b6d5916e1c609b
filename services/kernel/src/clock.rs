//! The clock: real time that never goes back, or a fake one moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::Timestamp;

/// Where all time comes from. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// The later of the wall and a floor at the start, then the machine's monotonic clock.
    Real { base: Timestamp, started: Instant },
    /// The time in microseconds, and the wakers of sleeping tasks in the order in which they began to sleep, so that tests are
    /// repeatable.
    Manual { now: AtomicI64, moved: Notify },
}

impl Clock {
    /// Real time, never before `floor` (the last time the store has written down).
    pub fn real(floor: Timestamp) -> Self {
        Self(Arc::new(Kind::Real { base: Self::wall().max(floor), started: Instant::now() }))
    }

    /// A clock that stands still until [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Kind::Manual { now: AtomicI64::new(start.0), moved: Notify::new() }))
    }

    /// What the machine's wall clock says, which may step either way: only to compare with the store's last time.
    #[allow(clippy::disallowed_methods, reason = "this is the edge where time enters")]
    pub fn wall() -> Timestamp {
        Timestamp::from_jiff(jiff::Timestamp::now())
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Kind::Real { base, started } => *base + started.elapsed(),
            Kind::Manual { now, .. } => Timestamp(now.load(Ordering::Acquire)),
        }
    }

    /// Advances a manual clock and wakes tasks that are due. It has no effect on a real clock.
    pub fn advance(&self, span: Duration) {
        if let Kind::Manual { now, moved } = &*self.0 {
            let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
            now.fetch_add(micros, Ordering::AcqRel);
            moved.notify_waiters();
        }
    }

    /// Waits until `time` has come on this clock.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &*self.0 {
            Kind::Real { .. } => tokio::time::sleep(time.since(self.now())).await,
            Kind::Manual { moved, .. } => loop {
                // Made before the look at the time, so no move goes unheard.
                let moves = moved.notified();
                if self.now() >= time {
                    break;
                }
                moves.await;
            },
        }
    }

    /// Waits for `span` on this clock.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }
}
