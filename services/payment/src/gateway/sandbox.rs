//! The sandbox: a simulated provider whose behaviour depends on the token.
//!
//! An answer depends only on the key and the token, so a key still names the same charge after a crash. For
//! `tok_timeout` and `tok_flaky` it also depends on the number of requests, which is kept in memory for the latest
//! keys; after a restart, counting continues from the number of attempts recorded in the payment.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Clock, hex, sha256};

use super::{Answer, Charge, Failed};

/// Maximum keys whose requests are counted.
const MAX_KEYS: usize = 10_000;

/// The simulated provider.
#[derive(Debug)]
pub(crate) struct Sandbox {
    latency: Duration,
    calls: Mutex<Calls>,
}

/// The number of requests per key.
#[derive(Debug, Default)]
struct Calls {
    counts: HashMap<String, u32>,
    /// The counted keys, oldest first.
    keys: VecDeque<String>,
}

impl Sandbox {
    pub(super) fn new(latency: Duration) -> Self {
        Self { latency, calls: Mutex::default() }
    }

    pub(super) async fn charge(&self, clock: &Clock, charge: &Charge) -> Result<Answer, Failed> {
        self.simulate_latency(clock).await;
        let captured = || Ok(Answer::Captured { reference: reference(&charge.key) });
        let declined = |code| Ok(Answer::Declined { code });
        match charge.token.as_str() {
            "tok_declined" => declined("CARD_DECLINED"),
            "tok_insufficient_funds" => declined("INSUFFICIENT_FUNDS"),
            "tok_requires_action" => {
                let url = format!("https://sandbox.invalid/actions/{}", charge.key);
                Ok(Answer::NeedsAction { reference: reference(&charge.key), url })
            }
            "tok_timeout" if self.count(charge) == 1 => std::future::pending().await,
            "tok_flaky" if self.count(charge) <= 2 => Err(Failed),
            "tok_visa" | "tok_timeout" | "tok_flaky" => captured(),
            _ => declined("INVALID_TOKEN"),
        }
    }

    /// Confirms, captures, voids or refunds. Always succeeds; returns the reference of the key.
    pub(super) async fn settle(&self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.simulate_latency(clock).await;
        Ok(reference(key))
    }

    async fn simulate_latency(&self, clock: &Clock) {
        if !self.latency.is_zero() {
            clock.sleep(self.latency).await;
        }
    }

    /// Counts a request; returns its number, from 1.
    fn count(&self, charge: &Charge) -> u32 {
        let mut calls = self.calls.lock();
        if !calls.counts.contains_key(&charge.key) {
            calls.keys.push_back(charge.key.clone());
            if calls.keys.len() > MAX_KEYS
                && let Some(oldest) = calls.keys.pop_front()
            {
                calls.counts.remove(&oldest);
            }
        }
        let count = calls.counts.entry(charge.key.clone()).or_default();
        *count = (*count).max(charge.earlier_tries).saturating_add(1);
        *count
    }
}

/// The sandbox's reference of the charge or refund with a key.
fn reference(key: &str) -> String {
    let digest = sha256([key.as_bytes()]);
    format!("sbx_{}", hex(digest.first_chunk::<12>().unwrap_or(&[0; 12])))
}

#[cfg(test)]
mod tests {
    use promox_kernel::Timestamp;

    use super::*;

    fn charge(token: &str, earlier_tries: u32) -> Charge {
        Charge { key: "order-1-charge".into(), token: token.into(), earlier_tries }
    }

    #[tokio::test]
    async fn a_key_names_the_same_charge_after_a_restart() {
        let clock = Clock::manual(Timestamp::EPOCH);
        let request = async |sandbox: &Sandbox, token: &str, earlier_tries| {
            sandbox.charge(&clock, &charge(token, earlier_tries)).await
        };
        let first = Sandbox::new(Duration::ZERO);
        let answer = request(&first, "tok_visa", 0).await;
        let second = Sandbox::new(Duration::ZERO);
        assert_eq!(request(&second, "tok_visa", 0).await, answer);
        assert_eq!(request(&second, "tok_timeout", 1).await, answer, "the recorded attempt counts as the first");
        assert_eq!(request(&first, "tok_flaky", 0).await, Err(Failed));
        assert_eq!(request(&first, "tok_flaky", 0).await, Err(Failed));
        assert_eq!(request(&first, "tok_flaky", 0).await, answer);
    }

    #[test]
    fn the_number_of_counted_keys_is_limited() {
        let sandbox = Sandbox::new(Duration::ZERO);
        for n in 0..MAX_KEYS + 50 {
            sandbox.count(&Charge { key: n.to_string(), ..charge("tok_flaky", 0) });
        }
        let calls = sandbox.calls.lock();
        assert_eq!((calls.counts.len(), calls.keys.len()), (MAX_KEYS, MAX_KEYS));
    }
}
