//! The clock: real time that never goes back, or a manual one for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::Timestamp;

/// How far the wall clock may be ahead before time steps forward.
const MAX_LAG: Duration = Duration::from_secs(1);

/// The source of all time. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// Starts at the later of the wall clock and a floor, then follows the machine's monotonic clock. `skipped` is the
    /// time, in microseconds, that only the wall clock counted since then.
    Real { base: Timestamp, started: Instant, skipped: AtomicI64, moved: Notify },
    /// The time in microseconds, and the wakers of sleeping tasks in the order in which they went to sleep, so that
    /// tests are repeatable.
    Manual { now: AtomicI64, moved: Notify },
}

impl Clock {
    /// Real time, never before `floor` (the latest time in the store).
    pub fn real(floor: Timestamp) -> Self {
        Self(Arc::new(Kind::Real {
            base: Self::wall().max(floor),
            started: Instant::now(),
            skipped: AtomicI64::new(0),
            moved: Notify::new(),
        }))
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
            Kind::Real { base, started, skipped, .. } => {
                let skipped = u64::try_from(skipped.load(Ordering::Acquire)).unwrap_or(0);
                *base + started.elapsed() + Duration::from_micros(skipped)
            }
            Kind::Manual { now, .. } => Timestamp(now.load(Ordering::Acquire)),
        }
    }

    /// Steps real time forward if the wall clock is ahead by more than a second: the machine was suspended, or its clock
    /// was set. Returns by how much. Time never goes back, however the wall clock is set.
    pub fn follow(&self, wall: Timestamp) -> Option<Duration> {
        let Kind::Real { skipped, moved, .. } = &*self.0 else { return None };
        let ahead = wall.since(self.now());
        if ahead <= MAX_LAG {
            return None;
        }
        skipped.fetch_add(i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX), Ordering::AcqRel);
        moved.notify_waiters();
        Some(ahead)
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
            Kind::Real { moved, .. } => loop {
                let moves = moved.notified();
                let wait = time.since(self.now());
                if wait.is_zero() || tokio::time::timeout(wait, moves).await.is_err() {
                    break;
                }
            },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_follows_the_wall_clock_forward_and_never_back() {
        let clock = Clock::real(Timestamp::EPOCH);
        let start = clock.now();
        let hour = Duration::from_hours(1);
        assert_eq!(clock.follow(start), None);
        assert!(clock.follow(start + hour).is_some_and(|step| step <= hour));
        let later = clock.now();
        assert!(later >= start + hour && later < start + 2 * hour);
        assert_eq!(clock.follow(start), None);
        assert_eq!(clock.follow(start + hour), None, "a step is made once");
        assert!(clock.now() >= later);
    }

    #[test]
    fn a_manual_clock_follows_nothing() {
        let clock = Clock::manual(Timestamp::EPOCH);
        assert_eq!((clock.follow(Clock::wall()), clock.now()), (None, Timestamp::EPOCH));
    }
}
