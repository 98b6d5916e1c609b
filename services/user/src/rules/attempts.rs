//! How guessing slows down: how long to wait after so many failures.

use std::time::Duration;

use promox_kernel::{BackOff, Timestamp};

/// What failures cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Failures that cost nothing.
    pub(crate) free: u32,
    /// From so many failures on, the wait is `lock`; between, it doubles from one second.
    pub(crate) lock_at: u32,
    /// The longest wait.
    pub(crate) lock: Duration,
    /// After so long without a failure all are forgotten.
    pub(crate) forget: Duration,
}

/// The waits between failures that cost nothing and the lock.
const DOUBLING: BackOff = BackOff { first: Duration::from_secs(1), doublings: 16 };

/// Passwords of one account from one network.
pub(crate) const PASSWORDS: Policy =
    Policy { free: 5, lock_at: 10, lock: Duration::from_mins(15), forget: Duration::from_hours(1) };
/// Passwords of any accounts from one network, which offices share.
pub(crate) const NETWORK: Policy =
    Policy { free: 100, lock_at: 105, lock: Duration::from_mins(15), forget: Duration::from_hours(1) };
/// Messages asked for: to one address, or by one network with its larger allowance.
pub(crate) const MESSAGES: Policy =
    Policy { free: 5, lock_at: 5, lock: Duration::from_mins(15), forget: Duration::from_hours(1) };
/// Messages asked for by one network.
pub(crate) const MESSAGES_OF_NETWORK: Policy =
    Policy { free: 50, lock_at: 50, lock: Duration::from_mins(15), forget: Duration::from_hours(1) };
/// Tokens of messages tried by one network.
pub(crate) const TOKENS: Policy =
    Policy { free: 20, lock_at: 20, lock: Duration::from_mins(15), forget: Duration::from_hours(1) };

/// Failures so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) failures: u32,
    pub(crate) last: Timestamp,
}

impl Policy {
    /// How long to wait after the last of so many failures.
    fn pause(self, failures: u32) -> Duration {
        if failures < self.free {
            Duration::ZERO
        } else if failures < self.lock_at {
            DOUBLING.after(failures - self.free + 1).min(self.lock)
        } else {
            self.lock
        }
    }

    /// Counts a try as failed until it is known to be good, or says how long to wait. Tries at once are counted each.
    pub(crate) fn count(self, before: Option<Attempts>, now: Timestamp) -> Result<Attempts, Duration> {
        let before = before.filter(|before| now.since(before.last) < self.forget);
        let Some(before) = before else { return Ok(Attempts { failures: 1, last: now }) };
        let wait = self.pause(before.failures).saturating_sub(now.since(before.last));
        if wait.is_zero() { Ok(Attempts { failures: before.failures.saturating_add(1), last: now }) } else { Err(wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_slow_down_then_lock_then_are_forgotten() {
        let (mut now, mut attempts, mut waits) = (Timestamp::from_seconds(1_000), None, Vec::new());
        for _ in 0..12 {
            match PASSWORDS.count(attempts, now) {
                Ok(counted) => attempts = Some(counted),
                Err(wait) => {
                    waits.push(wait.as_secs());
                    now = now + wait;
                    attempts = Some(PASSWORDS.count(attempts, now).unwrap());
                }
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 900, 900]);
        let later = now + PASSWORDS.forget;
        assert_eq!(PASSWORDS.count(attempts, later), Ok(Attempts { failures: 1, last: later }));
    }
}
