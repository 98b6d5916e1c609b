//! The sandbox: a simulated provider whose behaviour depends on the token.
//!
//! An answer depends only on the key and the token, so a key still names the same charge after a crash. For
//! `tok_timeout` and `tok_flaky` it also depends on the number of requests, which is kept in memory for the latest
//! keys; after a restart, counting continues from the number of attempts recorded in the payment.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use promox_contract::payment::PaymentAction;
use promox_kernel::{Clock, Error, Node, Timestamp, hex, sha256};

use super::{Answer, Answering, CaptureRequest, Failed, Gateway, RefundRequest, SignedRequest, standard_webhooks};
use crate::charge::Charge;
use crate::commands::webhook::Webhook;
use crate::{Settings, reject, rules};

/// Maximum keys whose requests are counted.
const MAX_KEYS: usize = 10_000;

/// The simulated provider.
#[derive(Debug)]
pub(super) struct Sandbox {
    enabled: bool,
    webhook_secret: String,
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
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            enabled: settings.sandbox,
            webhook_secret: settings.sandbox_webhook_secret.clone(),
            latency: settings.sandbox_latency,
            calls: Mutex::default(),
        }
    }

    async fn request_charge(&self, clock: &Clock, charge: &Charge, earlier_tries: u32) -> Result<Answer, Failed> {
        self.simulate_latency(clock).await;
        let accepted = || Ok(accepted(charge, reference(&charge.key)));
        let declined = |code: &str| Ok(Answer::Declined { code: code.to_owned() });
        match charge.token.as_str() {
            "tok_declined" => declined("CARD_DECLINED"),
            "tok_insufficient_funds" => declined("INSUFFICIENT_FUNDS"),
            "tok_requires_action" => {
                let action = PaymentAction::redirect(format!("https://sandbox.invalid/actions/{}", charge.key));
                Ok(Answer::NeedsAction { reference: reference(&charge.key), action })
            }
            "tok_timeout" if self.count(charge, earlier_tries) == 1 => std::future::pending().await,
            "tok_flaky" if self.count(charge, earlier_tries) <= 2 => Err(Failed),
            "tok_visa" | "tok_timeout" | "tok_flaky" => accepted(),
            _ => declined("INVALID_TOKEN"),
        }
    }

    /// Confirms, captures, voids or refunds. Always succeeds; returns the reference of the key.
    async fn settle(&self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.simulate_latency(clock).await;
        Ok(reference(key))
    }

    async fn simulate_latency(&self, clock: &Clock) {
        if !self.latency.is_zero() {
            clock.sleep(self.latency).await;
        }
    }

    /// Counts a request; returns its number, from 1.
    fn count(&self, charge: &Charge, earlier_tries: u32) -> u32 {
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
        *count = (*count).max(earlier_tries).saturating_add(1);
        *count
    }
}

impl Gateway for Sandbox {
    fn accepts_charges(&self) -> bool {
        self.enabled
    }

    fn charge<'a>(&'a self, node: &'a Node, charge: &'a Charge, earlier_tries: u32) -> Answering<'a, Answer> {
        Box::pin(self.request_charge(&node.clock, charge, earlier_tries))
    }

    fn resume<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(async { Ok(accepted(charge, self.settle(&node.clock, &charge.key).await?)) })
    }

    fn capture<'a>(&'a self, node: &'a Node, request: &'a CaptureRequest) -> Answering<'a, Answer> {
        Box::pin(async { Ok(Answer::Captured { reference: self.settle(&node.clock, &request.key).await? }) })
    }

    fn void<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(async { self.settle(&node.clock, &charge.key).await.map(|_| Answer::Cancelled) })
    }

    fn refund<'a>(&'a self, node: &'a Node, refund: &'a RefundRequest) -> Answering<'a, String> {
        Box::pin(async { self.settle(&node.clock, &rules::refund_key(refund.id)).await })
    }

    fn read_webhook<'a>(
        &'a self,
        _node: &'a Node,
        request: &'a SignedRequest,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Webhook, Error>> {
        Box::pin(async move {
            if !self.enabled || self.webhook_secret.is_empty() {
                return Err(reject::no_webhooks());
            }
            standard_webhooks::read(&self.webhook_secret, request, now)
        })
    }
}

/// The answer to a charge that succeeds.
fn accepted(charge: &Charge, reference: String) -> Answer {
    if charge.authorize_only { Answer::Authorized { reference } } else { Answer::Captured { reference } }
}

/// The sandbox's reference of the charge or refund with a key.
fn reference(key: &str) -> String {
    let digest = sha256([key.as_bytes()]);
    format!("sbx_{}", hex(digest.first_chunk::<12>().unwrap_or(&[0; 12])))
}

#[cfg(test)]
mod tests {
    use promox_contract::ids::OrderId;
    use promox_kernel::{Amount, Currency};

    use super::*;

    fn charge(token: &str) -> Charge {
        Charge {
            key: "order-1-charge".into(),
            order_id: OrderId(1),
            amount: Amount::ZERO,
            currency: Currency::GBP,
            token: token.into(),
            authorize_only: false,
            reference: None,
            stored_at: None,
        }
    }

    fn sandbox() -> Sandbox {
        Sandbox::new(&Settings { sandbox: true, ..Settings::default() })
    }

    #[tokio::test]
    async fn a_key_names_the_same_charge_after_a_restart() {
        let clock = Clock::manual(Timestamp::EPOCH);
        let request = async |sandbox: &Sandbox, token: &str, earlier_tries| {
            sandbox.request_charge(&clock, &charge(token), earlier_tries).await
        };
        let first = sandbox();
        let answer = request(&first, "tok_visa", 0).await;
        let second = sandbox();
        assert_eq!(request(&second, "tok_visa", 0).await, answer);
        assert_eq!(request(&second, "tok_timeout", 1).await, answer, "the recorded attempt counts as the first");
        assert_eq!(request(&first, "tok_flaky", 0).await, Err(Failed));
        assert_eq!(request(&first, "tok_flaky", 0).await, Err(Failed));
        assert_eq!(request(&first, "tok_flaky", 0).await, answer);
    }

    #[test]
    fn the_number_of_counted_keys_is_limited() {
        let sandbox = sandbox();
        for n in 0..MAX_KEYS + 50 {
            sandbox.count(&Charge { key: n.to_string(), ..charge("tok_flaky") }, 0);
        }
        let calls = sandbox.calls.lock();
        assert_eq!((calls.counts.len(), calls.keys.len()), (MAX_KEYS, MAX_KEYS));
    }
}
