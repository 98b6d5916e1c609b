//! The clock: real time that never goes back, or a manual one for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::Timestamp;

/// The source of all time. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// Starts at the later of the wall clock and a floor, then follows the machine's monotonic clock.
    Real { base: Timestamp, started: Instant },
    /// The time in microseconds, and the wakers of sleeping tasks in the order in which they went to sleep, so that
    /// tests are repeatable.
    Manual { now: AtomicI64, moved: Notify },
}

impl Clock {
    /// Real time, never before `floor` (the latest time in the store).
    pub fn real(floor: Timestamp) -> Self {
        Self(Arc::new(Kind::Real { base: Self::wall().max(floor), started: Instant::now() }))
    }

    /// A clock that stays at `start` until [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Kind::Manual { now: AtomicI64::new(start.0), moved: Notify::new() }))
    }

    /// The machine's wall clock, which may step in either direction. Use it only to compare with the store's latest
    /// time.
    #[allow(clippy::disallowed_methods, reason = "this is the edge where time enters")]
    pub fn wall() -> Timestamp {
        Timestamp::from_jiff(jiff::Timestamp::now())
    }

    /// The current time.
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

    /// Waits until `time`.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &*self.0 {
            Kind::Real { .. } => tokio::time::sleep(time.since(self.now())).await,
            Kind::Manual { moved, .. } => loop {
                // Registered before the time is checked, so that no advance is missed.
                let moves = moved.notified();
                if self.now() >= time {
                    break;
                }
                moves.await;
            },
        }
    }

    /// Waits for `span`.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }
}
