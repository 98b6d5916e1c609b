//! The sandbox: a simulated provider whose behaviour depends on the token.
//!
//! Its answer follows from key and token alone, so the same key is the same charge even after a kill. Only the number
//! of requests for `tok_timeout` and `tok_flaky` is kept in memory, for the latest keys; after a restart our books'
//! count is used.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Clock, hex, sha256};

use super::{Answer, Charge, Failed};

/// Keys whose calls are counted.
const MAX_KEYS: usize = 10_000;

/// The provider.
#[derive(Debug)]
pub(crate) struct Sandbox {
    latency: Duration,
    calls: Mutex<Calls>,
}

/// The number of requests per key.
#[derive(Debug, Default)]
struct Calls {
    counts: HashMap<String, u32>,
    oldest: VecDeque<String>,
}

impl Sandbox {
    pub(super) fn new(latency: Duration) -> Self {
        Self { latency, calls: Mutex::default() }
    }

    pub(super) async fn charge(&self, clock: &Clock, charge: &Charge) -> Result<Answer, Failed> {
        self.take_time(clock).await;
        let captured = || Ok(Answer::Captured { reference: name(&charge.key) });
        let declined = |code| Ok(Answer::Declined { code });
        match charge.token.as_str() {
            "tok_declined" => declined("CARD_DECLINED"),
            "tok_insufficient_funds" => declined("INSUFFICIENT_FUNDS"),
            "tok_requires_action" => {
                let url = format!("https://sandbox.invalid/actions/{}", charge.key);
                Ok(Answer::NeedsAction { reference: name(&charge.key), url })
            }
            "tok_timeout" if self.count(charge) == 1 => std::future::pending().await,
            "tok_flaky" if self.count(charge) <= 2 => Err(Failed),
            "tok_visa" | "tok_timeout" | "tok_flaky" => captured(),
            _ => declined("INVALID_TOKEN"),
        }
    }

    /// Confirms, captures, voids or refunds: always succeeds, once per key.
    pub(super) async fn settle(&self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.take_time(clock).await;
        Ok(name(key))
    }

    async fn take_time(&self, clock: &Clock) {
        if !self.latency.is_zero() {
            clock.sleep(self.latency).await;
        }
    }

    /// Counts a call: 1 for the first.
    fn count(&self, charge: &Charge) -> u32 {
        let mut calls = self.calls.lock();
        if !calls.counts.contains_key(&charge.key) {
            calls.oldest.push_back(charge.key.clone());
            if calls.oldest.len() > MAX_KEYS
                && let Some(oldest) = calls.oldest.pop_front()
            {
                calls.counts.remove(&oldest);
            }
        }
        let count = calls.counts.entry(charge.key.clone()).or_default();
        *count = (*count).max(charge.tried).saturating_add(1);
        *count
    }
}

/// The sandbox's name for the operation of a key.
fn name(key: &str) -> String {
    let digest = sha256([key.as_bytes()]);
    format!("sbx_{}", hex(digest.first_chunk::<12>().unwrap_or(&[0; 12])))
}

#[cfg(test)]
mod tests {
    use promox_kernel::Timestamp;

    use super::*;

    fn charge(token: &str, tried: u32) -> Charge {
        Charge { key: "order-1-charge".into(), token: token.into(), tried }
    }

    #[tokio::test]
    async fn the_same_key_is_the_same_charge_after_a_start() {
        let clock = Clock::manual(Timestamp::EPOCH);
        let ask = async |sandbox: &Sandbox, token: &str, tried| sandbox.charge(&clock, &charge(token, tried)).await;
        let first = Sandbox::new(Duration::ZERO);
        let answer = ask(&first, "tok_visa", 0).await;
        let second = Sandbox::new(Duration::ZERO);
        assert_eq!(ask(&second, "tok_visa", 0).await, answer);
        assert_eq!(ask(&second, "tok_timeout", 1).await, answer, "the sandbox remembers the first call");
        assert_eq!(ask(&first, "tok_flaky", 0).await, Err(Failed));
        assert_eq!(ask(&first, "tok_flaky", 0).await, Err(Failed));
        assert_eq!(ask(&first, "tok_flaky", 0).await, answer);
    }

    #[test]
    fn it_remembers_a_bounded_number_of_keys() {
        let sandbox = Sandbox::new(Duration::ZERO);
        for n in 0..MAX_KEYS + 50 {
            sandbox.count(&Charge { key: n.to_string(), ..charge("tok_flaky", 0) });
        }
        let calls = sandbox.calls.lock();
        assert_eq!((calls.counts.len(), calls.oldest.len()), (MAX_KEYS, MAX_KEYS));
    }
}
