//! The policies of one service: how many requests it runs at once, and its circuit breaker. Built-in services and
//! applications have the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use promox_kernel::Error;

use crate::reject;
use crate::rules::latency::Latencies;
use promox_outbound::breaker::{Breaker, BreakerCounts, BreakerSettings, BreakerState, Outcome, Pass};

/// The policies of a service, with the figures of its requests.
#[derive(Debug)]
pub struct Policy {
    name: String,
    running: AtomicUsize,
    max_running: usize,
    breaker: Breaker,
    pub(crate) figures: Figures,
}

/// Counts requests.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    calls: AtomicU64,
    failures: AtomicU64,
    latencies: Latencies,
}

/// The figures of a service, an application, an instance or a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Requests since the start.
    pub calls: u64,
    /// Failed requests since the start.
    pub failures: u64,
    /// Upper bounds of the median, the 95th and the 99th percentile of latencies in microseconds.
    pub micros: [Option<u64>; 3],
}

impl Figures {
    pub(crate) fn record(&self, outcome: Outcome, took: Duration) {
        if outcome == Outcome::Ignored {
            return;
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(outcome == Outcome::Failure), Ordering::Relaxed);
        self.latencies.record(took);
    }

    pub(crate) fn report(&self) -> Reported {
        Reported {
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            micros: self.latencies.percentiles([50, 95, 99]),
        }
    }
}

/// The state of a policy.
#[derive(Clone, Copy, Debug)]
pub struct PolicyReport {
    /// The state of the breaker.
    pub state: BreakerState,
    /// The counts of the breaker.
    pub counts: BreakerCounts,
    /// Requests in flight.
    pub in_flight: usize,
    /// The figures since the start.
    pub figures: Reported,
}

/// Permission to run one request of a service. Dropped without [`Permit::settle`], it was given up by its client.
#[derive(Debug)]
pub struct Permit {
    policy: Arc<Policy>,
    pass: Option<Pass>,
    since: Duration,
}

impl Policy {
    /// The policies of a service that runs at most `max_running` requests at once.
    pub fn new(name: &str, max_running: usize, breaker: BreakerSettings) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            running: AtomicUsize::new(0),
            max_running,
            breaker: Breaker::new(breaker),
            figures: Figures::default(),
        })
    }

    /// The name of the service.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Permits a request at `now`, the time since the start. 503 `CIRCUIT_OPEN` while the breaker is open, and 503
    /// `SERVICE_BUSY` when the service runs as many as it may.
    pub fn enter(self: &Arc<Self>, now: Duration) -> Result<Permit, Error> {
        let mut permit = self.enter_unbroken(now)?;
        permit.pass = Some(self.breaker.enter(now).map_err(|wait| reject::circuit_open(&self.name, wait))?);
        Ok(permit)
    }

    /// Permits a request as [`Policy::enter`] does, but also while the breaker is open: for operators' probes. Its result
    /// does not count for the breaker.
    pub fn enter_unbroken(self: &Arc<Self>, now: Duration) -> Result<Permit, Error> {
        let permit = Permit { policy: self.clone(), pass: None, since: now };
        let running = self.running.fetch_add(1, Ordering::Relaxed);
        if running < self.max_running { Ok(permit) } else { Err(reject::busy(&self.name)) }
    }

    /// Whether the breaker would permit a request.
    pub(crate) fn permits(&self, now: Duration) -> bool {
        self.breaker.permits(now)
    }

    /// The state at `now`.
    pub fn report(&self, now: Duration) -> PolicyReport {
        let (state, counts) = self.breaker.report(now);
        let in_flight = self.running.load(Ordering::Relaxed);
        PolicyReport { state, counts, in_flight, figures: self.figures.report() }
    }
}

impl Permit {
    /// Records the result of the request. The request stays in flight until the permit is dropped.
    pub fn settle(&mut self, outcome: Outcome, now: Duration) {
        let took = now.saturating_sub(self.since);
        self.policy.figures.record(outcome, took);
        if let Some(pass) = self.pass.take() {
            self.policy.breaker.record(pass, outcome, took, now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.policy.running.fetch_sub(1, Ordering::Relaxed);
        if let Some(pass) = self.pass.take() {
            self.policy.breaker.record(pass, Outcome::Ignored, Duration::ZERO, Duration::ZERO);
        }
    }
}
