//! A circuit breaker over the results of the last calls. Names and defaults are those of Resilience4j.
//!
//! It is closed until too many of the last calls failed or were slow, then open for a while, and then half-open: a few
//! calls are let through, and their results decide whether it closes or opens again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
pub use promox_contract::gateway::BreakerState;

/// The settings of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Opens at this percentage of failed calls.
    pub failure_percent: u32,
    /// Opens at this percentage of slow calls.
    pub slow_percent: u32,
    /// A call that takes at least this long is slow.
    pub slow_call: Duration,
    /// The number of calls that the percentages are of.
    pub window: usize,
    /// The number of calls from which on the percentages count.
    pub minimum_calls: usize,
    /// How long it stays open.
    pub open_for: Duration,
    /// The number of calls let through while it is half-open.
    pub half_open_calls: usize,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failure_percent: 50,
            slow_percent: 100,
            slow_call: Duration::from_secs(60),
            window: 100,
            minimum_calls: 100,
            open_for: Duration::from_secs(60),
            half_open_calls: 10,
        }
    }
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, or was refused for a reason that says nothing about the service.
    Success,
    /// The service failed.
    Failure,
    /// It was given up by its caller.
    Ignored,
}

/// Permission for one call. Its result is recorded with it.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The period of one state in which it was given. Results of earlier periods are dropped.
    period: u64,
}

/// The counts of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerCounts {
    /// Calls in the window.
    pub buffered: usize,
    /// Failed calls in the window.
    pub failed: usize,
    /// Slow calls in the window.
    pub slow: usize,
    /// Calls refused since the start.
    pub not_permitted: u64,
}

const FAILED: u8 = 1;
const SLOW: u8 = 2;

#[derive(Debug)]
struct Inner {
    state: BreakerState,
    period: u64,
    /// The results in the window, oldest first from `next` on once it is full.
    results: Vec<u8>,
    next: usize,
    counts: BreakerCounts,
    open_until: Duration,
    /// The calls let through since it is half-open.
    trials: usize,
}

/// A circuit breaker. Times are measured from the start of the process.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
    /// Whether it is not closed: spares calls the lock.
    is_tripped: AtomicBool,
    period: std::sync::atomic::AtomicU64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let inner = Inner {
            state: BreakerState::Closed,
            period: 0,
            results: Vec::new(),
            next: 0,
            counts: BreakerCounts::default(),
            open_until: Duration::ZERO,
            trials: 0,
        };
        Self { settings, inner: Mutex::new(inner), is_tripped: AtomicBool::new(false), period: 0.into() }
    }

    /// Permits a call, or returns how long the breaker stays open.
    pub fn enter(&self, now: Duration) -> Result<Pass, Duration> {
        if !self.is_tripped.load(Ordering::Acquire) {
            return Ok(Pass { period: self.period.load(Ordering::Relaxed) });
        }
        let mut inner = self.inner.lock();
        if inner.state == BreakerState::Open && now >= inner.open_until {
            self.switch(&mut inner, BreakerState::HalfOpen, now);
        }
        let wait = match inner.state {
            BreakerState::Closed => return Ok(Pass { period: inner.period }),
            BreakerState::Open => inner.open_until.saturating_sub(now),
            BreakerState::HalfOpen if inner.trials < self.settings.half_open_calls => {
                inner.trials += 1;
                return Ok(Pass { period: inner.period });
            }
            BreakerState::HalfOpen => Duration::from_secs(1),
        };
        inner.counts.not_permitted += 1;
        Err(wait)
    }

    /// Whether [`Breaker::enter`] would permit a call.
    pub fn permits(&self, now: Duration) -> bool {
        if !self.is_tripped.load(Ordering::Acquire) {
            return true;
        }
        let inner = self.inner.lock();
        match inner.state {
            BreakerState::Closed => true,
            BreakerState::Open => now >= inner.open_until,
            BreakerState::HalfOpen => inner.trials < self.settings.half_open_calls,
        }
    }

    /// Records the result of a call that took `took`.
    pub fn record(&self, pass: Pass, outcome: Outcome, took: Duration, now: Duration) {
        let mut inner = self.inner.lock();
        if pass.period != inner.period {
            return;
        }
        if outcome == Outcome::Ignored {
            inner.trials = inner.trials.saturating_sub(1);
            return;
        }
        let failed = if outcome == Outcome::Failure { FAILED } else { 0 };
        let slow = if took >= self.settings.slow_call { SLOW } else { 0 };
        let (window, needed) = match inner.state {
            BreakerState::HalfOpen => (self.settings.half_open_calls, self.settings.half_open_calls),
            _ => (self.settings.window, self.settings.minimum_calls.min(self.settings.window)),
        };
        inner.push(failed | slow, window);
        if inner.counts.buffered < needed {
            return;
        }
        let exceeds = |count: usize, percent: u32| count * 100 >= inner.counts.buffered * percent as usize && count > 0;
        let counts = inner.counts;
        let bad =
            exceeds(counts.failed, self.settings.failure_percent) || exceeds(counts.slow, self.settings.slow_percent);
        match (inner.state, bad) {
            (BreakerState::Closed | BreakerState::HalfOpen, true) => self.switch(&mut inner, BreakerState::Open, now),
            (BreakerState::HalfOpen, false) => self.switch(&mut inner, BreakerState::Closed, now),
            _ => {}
        }
    }

    fn switch(&self, inner: &mut Inner, state: BreakerState, now: Duration) {
        let not_permitted = inner.counts.not_permitted;
        inner.state = state;
        inner.period += 1;
        inner.results.clear();
        inner.next = 0;
        inner.trials = 0;
        inner.counts = BreakerCounts { not_permitted, ..BreakerCounts::default() };
        inner.open_until = now + self.settings.open_for;
        self.period.store(inner.period, Ordering::Relaxed);
        self.is_tripped.store(state != BreakerState::Closed, Ordering::Release);
    }

    /// The state and the counts of the window.
    pub fn report(&self, now: Duration) -> (BreakerState, BreakerCounts) {
        let inner = self.inner.lock();
        let is_due = inner.state == BreakerState::Open && now >= inner.open_until;
        (if is_due { BreakerState::HalfOpen } else { inner.state }, inner.counts)
    }
}

impl Inner {
    /// Adds a result to a window of the last `window` ones.
    fn push(&mut self, result: u8, window: usize) {
        if self.results.len() < window {
            self.results.push(result);
            self.counts.buffered += 1;
        } else if let Some(oldest) = self.results.get_mut(self.next) {
            let dropped = std::mem::replace(oldest, result);
            self.counts.failed -= usize::from(dropped & FAILED != 0);
            self.counts.slow -= usize::from(dropped & SLOW != 0);
            self.next = (self.next + 1) % window;
        }
        self.counts.failed += usize::from(result & FAILED != 0);
        self.counts.slow += usize::from(result & SLOW != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn call(breaker: &Breaker, outcome: Outcome, took: Duration, now: Duration) -> bool {
        breaker.enter(now).map(|pass| breaker.record(pass, outcome, took, now)).is_ok()
    }

    #[test]
    fn it_opens_at_half_of_a_full_window_and_closes_after_good_trials() {
        let breaker = Breaker::new(BreakerSettings::default());
        for number in 0..99 {
            let outcome = if number % 2 == 0 { Outcome::Failure } else { Outcome::Success };
            assert!(call(&breaker, outcome, MS, MS), "{number}");
        }
        assert_eq!(breaker.report(MS).0, BreakerState::Closed, "99 calls are too few to decide");
        assert!(call(&breaker, Outcome::Success, MS, MS));
        assert_eq!(breaker.report(MS).0, BreakerState::Open, "50 of 100 failed");
        assert_eq!(breaker.enter(31_001 * MS).unwrap_err(), 29 * 1_000 * MS);
        let later = MS + Duration::from_secs(60);
        let passes: Vec<Pass> = (0..10).map(|_| breaker.enter(later).unwrap()).collect();
        assert!(breaker.enter(later).is_err() && !breaker.permits(later), "ten calls are tried, not eleven");
        passes.into_iter().for_each(|pass| breaker.record(pass, Outcome::Success, MS, later));
        assert_eq!(
            breaker.report(later),
            (BreakerState::Closed, BreakerCounts { not_permitted: 2, ..Default::default() })
        );
    }

    #[test]
    fn failed_trials_open_it_again_and_abandoned_ones_are_tried_again() {
        let settings = BreakerSettings { window: 4, minimum_calls: 2, half_open_calls: 2, ..Default::default() };
        let breaker = Breaker::new(settings);
        (0..2).for_each(|_| assert!(call(&breaker, Outcome::Failure, MS, MS)));
        assert!(!call(&breaker, Outcome::Success, MS, MS));
        let later = Duration::from_secs(61);
        for _ in 0..5 {
            assert!(call(&breaker, Outcome::Ignored, MS, later), "an abandoned trial decides nothing");
        }
        (0..2).for_each(|_| assert!(call(&breaker, Outcome::Failure, MS, later)));
        assert_eq!(breaker.report(later).0, BreakerState::Open);
    }

    #[test]
    fn slow_calls_open_it_and_old_ones_leave_the_window() {
        let settings = BreakerSettings {
            window: 10,
            minimum_calls: 10,
            slow_call: 100 * MS,
            slow_percent: 80,
            ..Default::default()
        };
        let breaker = Breaker::new(settings);
        for took in [100, 100, 100, 1, 1, 1, 1, 1, 1, 1, 100, 100, 100, 100, 100, 100, 100] {
            assert!(call(&breaker, Outcome::Success, took * MS, MS));
        }
        assert_eq!(breaker.report(MS).1, BreakerCounts { buffered: 10, slow: 7, ..Default::default() });
        assert!(call(&breaker, Outcome::Success, 100 * MS, MS));
        assert_eq!(breaker.report(MS).0, BreakerState::Open);
    }

    #[test]
    fn a_result_of_an_earlier_period_is_dropped() {
        let settings = BreakerSettings { window: 2, minimum_calls: 2, half_open_calls: 1, ..Default::default() };
        let breaker = Breaker::new(settings);
        let late = breaker.enter(MS).unwrap();
        (0..2).for_each(|_| assert!(call(&breaker, Outcome::Failure, MS, MS)));
        let trial = breaker.enter(Duration::from_secs(61)).unwrap();
        breaker.record(late, Outcome::Failure, MS, Duration::from_secs(61));
        assert_eq!(breaker.report(Duration::from_secs(61)).0, BreakerState::HalfOpen);
        breaker.record(trial, Outcome::Success, MS, Duration::from_secs(61));
        assert_eq!(breaker.report(Duration::from_secs(61)).0, BreakerState::Closed);
    }
}
