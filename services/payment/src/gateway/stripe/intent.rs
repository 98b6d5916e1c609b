//! Stripe's PaymentIntents and what their states mean for a charge.

use std::collections::BTreeMap;

use promox_contract::ids::OrderId;
use promox_contract::payment::PaymentAction;
use promox_kernel::{Amount, Currency};
use serde::Deserialize;

use super::decline::upper_snake;
use super::money;
use crate::charge::{Charge, Received};
use crate::gateway::Answer;

/// The metadata of an intent that names its order.
pub(super) const ORDER: &str = "promox_order";

/// A PaymentIntent, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: String,
    amount_received: Option<i64>,
    currency: Option<String>,
    client_secret: Option<String>,
    next_action: Option<NextAction>,
    last_payment_error: Option<PaymentError>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct NextAction {
    redirect_to_url: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PaymentError {
    code: Option<String>,
    decline_code: Option<String>,
}

impl Intent {
    /// The order that the intent was made for, if it was made here.
    pub(super) fn order(&self) -> Option<OrderId> {
        self.metadata.get(ORDER)?.parse().ok().map(OrderId)
    }

    /// The amount that was captured, if the intent states it.
    pub(super) fn received(&self) -> Option<(Amount, Currency)> {
        let currency = money::currency(self.currency.as_deref()?)?;
        Some((money::amount(self.amount_received.filter(|amount| *amount > 0)?, currency)?, currency))
    }

    /// Whether the intent waits for its confirmation, so that no charge was requested yet.
    pub(super) fn awaits_confirmation(&self) -> bool {
        self.status == "requires_confirmation"
    }

    /// What the state of the intent means for the charge, of which `amount` should be captured. The status alone does not
    /// say what was received.
    pub(super) fn answer_to(self, charge: &Charge, amount: Amount) -> Answer {
        let received = self.amount_received.unwrap_or_default();
        let currency = self.currency.as_deref().unwrap_or_default();
        let is_expected = money::currency(currency) == Some(charge.currency)
            && Some(received) == money::units(amount, charge.currency);
        match self.status.as_str() {
            "succeeded" if !is_expected => {
                Answer::Mismatch { received: Received { units: received, currency: currency.to_owned() } }
            }
            _ => self.answer(),
        }
    }

    /// What the state of the intent means, if the amount is checked elsewhere.
    pub(super) fn answer(self) -> Answer {
        let reference = self.id;
        match self.status.as_str() {
            "succeeded" => Answer::Captured { reference },
            "requires_capture" => Answer::Authorized { reference },
            "processing" => Answer::Processing { reference },
            "canceled" => Answer::Cancelled,
            "requires_action" => {
                let url = self.next_action.and_then(|action| action.redirect_to_url?.url);
                let kind = if url.is_some() { "REDIRECT" } else { "STRIPE_SDK" }.to_owned();
                Answer::NeedsAction {
                    reference,
                    action: PaymentAction { kind, url, client_secret: self.client_secret },
                }
            }
            "requires_payment_method" => {
                let error = self.last_payment_error;
                let code =
                    error.and_then(|error| error.decline_code.filter(|code| code != "generic_decline").or(error.code));
                Answer::Declined { code: upper_snake(code.as_deref().unwrap_or("card_declined")) }
            }
            _ => Answer::Awaited,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_state_of_an_intent_has_its_meaning() {
        let reference = || "pi_1".to_owned();
        let sdk = PaymentAction { kind: "STRIPE_SDK".into(), url: None, client_secret: Some("pi_1_secret".into()) };
        let redirect = PaymentAction { kind: "REDIRECT".into(), url: Some("https://bank".into()), ..sdk.clone() };
        let declined = |code: &str| Answer::Declined { code: code.into() };
        for (status, more, want) in [
            ("succeeded", json!({}), Answer::Captured { reference: reference() }),
            ("requires_capture", json!({}), Answer::Authorized { reference: reference() }),
            ("processing", json!({}), Answer::Processing { reference: reference() }),
            ("canceled", json!({}), Answer::Cancelled),
            ("requires_confirmation", json!({}), Answer::Awaited),
            ("something_new", json!({}), Answer::Awaited),
            (
                "requires_action",
                json!({"next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}}),
                Answer::NeedsAction { reference: reference(), action: sdk },
            ),
            (
                "requires_action",
                json!({"next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank"}}}),
                Answer::NeedsAction { reference: reference(), action: redirect },
            ),
            ("requires_payment_method", json!({}), declined("CARD_DECLINED")),
            (
                "requires_payment_method",
                json!({"last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"}}),
                declined("INSUFFICIENT_FUNDS"),
            ),
            (
                "requires_payment_method",
                json!({"last_payment_error": {"code": "card_declined", "decline_code": "generic_decline"}}),
                declined("CARD_DECLINED"),
            ),
        ] {
            let mut intent = json!({"id": "pi_1", "status": status, "client_secret": "pi_1_secret", "currency": "gbp"});
            for (name, value) in more.as_object().unwrap() {
                intent[name] = value.clone();
            }
            let intent: Intent = serde_json::from_value(intent).unwrap();
            assert_eq!(intent.answer(), want, "{status}");
        }
    }
}
