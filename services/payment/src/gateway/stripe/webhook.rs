//! Stripe's webhooks: the signature, and what the events mean.

use std::time::Duration;

use aws_lc_rs::hmac;
use promox_contract::codes;
use promox_kernel::{Error, Kind, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::decline::upper_snake;
use super::intent::Intent;
use super::money;
use crate::commands::webhook::{DisputeState, Subject};
use crate::gateway::SignedRequest;
use crate::reject::untrusted;

/// Maximum difference between the time of a signature and the server's, in either direction.
const TOLERANCE: Duration = Duration::from_mins(5);
/// Maximum length of an event's id in bytes.
const MAX_ID_LEN: usize = 255;

/// An event; unknown members are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    data: EventData,
}

#[derive(Debug, Deserialize)]
struct EventData {
    object: Value,
}

/// Verifies a webhook's signature with any of the secrets, and its time. Returns the event.
pub(super) fn read(secret: &str, request: &SignedRequest, now: Timestamp) -> Result<Event, Error> {
    let header = request.header("stripe-signature").ok_or_else(|| untrusted("Stripe-Signature is missing"))?;
    verify(secret, header, &request.body, now)?;
    let event: Event = serde_json::from_slice(&request.body).map_err(|fault| {
        Error::new(Kind::Malformed, codes::MALFORMED_JSON, format!("The webhook cannot be read: {fault}"))
    })?;
    if event.id.is_empty() || event.id.len() > MAX_ID_LEN {
        return Err(untrusted(format!("the event's id must have 1 to {MAX_ID_LEN} characters")));
    }
    Ok(event)
}

/// Checks a header such as `t=1492774577,v1=5257a8…,v1=…`: the time, and that one signature is the HMAC of time and body.
fn verify(secret: &str, header: &str, body: &[u8], now: Timestamp) -> Result<(), Error> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let at = parts().find(|(name, _)| *name == "t").map(|(_, at)| at);
    let at = at.ok_or_else(|| untrusted("Stripe-Signature has no time"))?;
    let sent = at.parse().map_err(|_| untrusted("the time of Stripe-Signature must be in seconds since 1970"))?;
    let sent = Timestamp::from_seconds(sent);
    if now.since(sent).max(sent.since(now)) > TOLERANCE {
        return Err(untrusted("the time of Stripe-Signature is too far from the current time"));
    }
    let message = [at.as_bytes(), b".", body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let is_valid = |text: &str| unhex(text).is_some_and(|tag| hmac::verify(&key, &message, &tag).is_ok());
    let is_signed = parts().filter(|(name, _)| *name == "v1").any(|(_, text)| is_valid(text));
    if is_signed { Ok(()) } else { Err(untrusted("no signature matches")) }
}

/// The bytes of a hexadecimal text of at most 128 digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() > 128 {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

impl Event {
    /// Whether the event tells of an intent.
    pub(super) fn is_of_intent(&self) -> bool {
        self.kind.starts_with("payment_intent.")
    }

    /// The dispute that the event tells of, if it tells of one.
    pub(super) fn dispute(&self) -> Option<Dispute> {
        if self.kind.starts_with("charge.dispute.") { self.object() } else { None }
    }

    /// The object of the event as `T`; `None` if it has another form.
    pub(super) fn object<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.data.object.clone()).ok()
    }
}

/// A dispute of a charge: the buyer's bank demands the money back.
#[derive(Debug, Deserialize)]
pub(super) struct Dispute {
    id: String,
    pub(super) payment_intent: Option<String>,
    amount: i64,
    currency: String,
    reason: String,
    status: String,
}

impl Dispute {
    /// What the dispute of this intent reports.
    pub(super) fn subject(self, intent: &Intent) -> Subject {
        let currency = money::currency(&self.currency);
        let amount = currency.and_then(|currency| money::amount(self.amount, currency));
        let (Some(order_id), Some(currency), Some(amount)) = (intent.order(), currency, amount) else {
            return Subject::Other;
        };
        let (reason, status) = (upper_snake(&self.reason), upper_snake(&self.status));
        let dispute = DisputeState { id: self.id, amount, currency, reason, status };
        Subject::Dispute { order_id, charge: intent.id.clone(), dispute }
    }
}

/// What an intent's event reports. An intent that was not made here is ignored.
pub(super) fn subject(intent: Intent) -> Subject {
    let Some(order_id) = intent.order() else { return Subject::Other };
    let (reference, amount) = (Some(intent.id.clone()), intent.received());
    Subject::Charge { order_id, reference, update: intent.answer().update(), amount }
}

#[cfg(test)]
mod tests {
    use promox_kernel::hex;

    use super::*;

    fn signed(secret: &str, at: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        format!("t={at},v0=00,v1={}", hex(tag.as_ref()))
    }

    #[test]
    fn only_a_recent_signature_of_the_body_is_accepted() {
        let (now, body) = (Timestamp::from_seconds(1_800_000_000), r#"{"id":"evt_1"}"#);
        let check = |header: &str, body: &str| verify("whsec_1", header, body.as_bytes(), now);
        let good = signed("whsec_1", now.seconds(), body);
        assert!(check(&good, body).is_ok());
        let rotated = format!("{},v1={}", good.replace("v1=", "v1=00"), good.rsplit('=').next().unwrap());
        assert!(check(&rotated, body).is_ok(), "one of several signatures is enough");
        for at in [now.seconds() - 299, now.seconds() + 299] {
            assert!(check(&signed("whsec_1", at, body), body).is_ok());
        }
        for (header, body) in [
            (good.clone(), "{}"),
            (signed("whsec_2", now.seconds(), body), body),
            (signed("whsec_1", now.seconds() - 301, body), body),
            (signed("whsec_1", now.seconds() + 301, body), body),
            (format!("t={}", now.seconds()), body),
            (good.replace("v1", "v0"), body),
            (good.replace("t=", "x="), body),
            ("t=x,v1=00".to_owned(), body),
            (format!("t={},v1=é", now.seconds()), body),
            (String::new(), body),
        ] {
            assert!(check(&header, body).is_err(), "{header}");
        }
    }
}
