//! The budget of retries: a share of the requests, so that retries do not multiply the load of a failing application.

use std::time::Duration;

use parking_lot::Mutex;

/// Retries permitted in every second, however few requests there are.
const PER_SECOND: u64 = 10;
/// Retries permitted per hundred requests.
const PERCENT: u64 = 10;

#[derive(Debug, Default)]
struct Counts {
    second: u64,
    requests: u64,
    retries: u64,
    /// The requests of the second before.
    before: u64,
}

/// Counts the requests and retries of an application.
#[derive(Debug, Default)]
pub(crate) struct RetryBudget(Mutex<Counts>);

impl Counts {
    fn turn_to(&mut self, now: Duration) {
        let second = now.as_secs();
        if second != self.second {
            let before = if second == self.second + 1 { self.requests } else { 0 };
            *self = Self { second, requests: 0, retries: 0, before };
        }
    }
}

impl RetryBudget {
    /// Counts a request.
    pub(crate) fn count(&self, now: Duration) {
        let mut counts = self.0.lock();
        counts.turn_to(now);
        counts.requests += 1;
    }

    /// Takes a retry if the budget permits it: 10 % of the requests or 10 a second, whichever is more.
    pub(crate) fn take(&self, now: Duration) -> bool {
        let mut counts = self.0.lock();
        counts.turn_to(now);
        let permitted = PER_SECOND.max(counts.requests.max(counts.before) * PERCENT / 100);
        let is_permitted = counts.retries < permitted;
        counts.retries += u64::from(is_permitted);
        is_permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_ten_a_second_or_a_tenth_of_the_requests() {
        let (budget, at) = (RetryBudget::default(), Duration::from_secs);
        let taken = |now| (0..1_000).filter(|_| budget.take(now)).count();
        assert_eq!(taken(at(1)), 10);
        assert_eq!(taken(at(1)), 0);
        (0..500).for_each(|_| budget.count(at(2)));
        assert_eq!(taken(at(2)), 50);
        assert_eq!(taken(at(3)), 50, "the requests of the second before count");
        assert_eq!(taken(at(5)), 10);
    }
}
