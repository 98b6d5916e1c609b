//! Decides whether a call may try to reach the server.

use std::time::Duration;

use promox_kernel::BackOff;
use tokio::time::Instant;

/// The growing pauses after failures, up to 3.2 seconds.
const PAUSES: BackOff = BackOff { first: Duration::from_millis(100), doublings: 5 };

/// Calls pass until one fails. Then only one passes after each pause, until one succeeds.
#[derive(Debug)]
pub(super) struct Circuit {
    /// Consecutive failures. Those of concurrent calls count as one.
    failures: u32,
    /// When the next call may pass, if there were failures.
    retry_at: Instant,
}

/// The permission to make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    failures: u32,
}

impl Circuit {
    pub(super) fn new(now: Instant) -> Self {
        Self { failures: 0, retry_at: now }
    }

    /// Admits a call, or returns `None` if it must not try now.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Admitted> {
        if self.failures > 0 {
            if now < self.retry_at {
                return None;
            }
            // Others wait for the result of this call.
            self.retry_at = now + PAUSES.after(self.failures);
        }
        Some(Admitted { failures: self.failures })
    }

    /// Notes that a call succeeded. Returns whether the server was considered down before.
    pub(super) fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// Notes that a call failed. Returns the number of consecutive failures, or `None` if a concurrent call has already
    /// noted this one.
    pub(super) fn failed(&mut self, call: Admitted, now: Instant) -> Option<u32> {
        if call.failures != self.failures {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + PAUSES.after(self.failures);
        Some(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_call_tries_after_each_pause() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut circuit = Circuit::new(start);
        let calls = [circuit.admit(at(0)).unwrap(), circuit.admit(at(0)).unwrap()];
        assert_eq!(circuit.failed(calls[0], at(50)), Some(1));
        assert_eq!(circuit.failed(calls[1], at(60)), None, "concurrent failures count as one");
        assert_eq!(circuit.admit(at(149)), None);
        let probe = circuit.admit(at(150)).unwrap();
        assert_eq!(circuit.admit(at(151)), None, "one call tries");
        assert_eq!(circuit.failed(probe, at(200)), Some(2));
        assert_eq!(circuit.admit(at(399)), None, "the pause has doubled");
        assert!(circuit.admit(at(400)).is_some());
        assert!(circuit.admit(at(600)).is_some(), "the call that tried was cancelled");
        assert!(circuit.succeeded() && !circuit.succeeded());
        assert!(circuit.admit(at(601)).is_some() && circuit.admit(at(601)).is_some());
    }
}
