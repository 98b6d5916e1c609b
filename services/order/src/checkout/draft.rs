//! The state of a saga, from which it continues after a crash.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use promox_contract::ids::CartId;
use promox_contract::payment::{CaptureAt, PaymentChoice};
use promox_kernel::{Claim, Email, Locale, UserId};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::pricing::Entitlements;
use crate::rules::price::Priced;

/// The state of a saga. It contains the new order until the order is stored in its own rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Draft {
    pub(crate) order: Option<Box<NewOrder>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) choice: Option<PaymentChoice>,
    /// When the money is captured.
    #[serde(default, skip_serializing_if = "CaptureAt::is_order")]
    pub(crate) capture_at: CaptureAt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<StoredClaim>,
    /// A guest's secret for the order, which is returned once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) actor: String,
    /// The reason of the compensation; `None` while the checkout goes forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undo: Option<Undo>,
}

impl Draft {
    /// This state without the order, for when the order is stored in its own rows.
    pub(crate) fn without_order(&self) -> Self {
        Self {
            order: None,
            choice: self.choice.clone(),
            capture_at: self.capture_at,
            claim: self.claim.clone(),
            token: self.token.clone(),
            actor: self.actor.clone(),
            undo: self.undo.clone(),
        }
    }
}

/// An order that has no rows yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewOrder {
    pub(crate) number: String,
    pub(crate) user_id: Option<UserId>,
    pub(crate) email: Email,
    pub(crate) priced: Priced,
    pub(crate) shipping_address: Option<Address>,
    pub(crate) billing_address: Option<Address>,
    pub(crate) channel: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What the price relies on besides stock.
    #[serde(default, rename = "extras")]
    pub(crate) entitlements: Entitlements,
    /// The points that the order will earn.
    #[serde(default)]
    pub(crate) points_earned: i64,
    /// The languages that the buyer's browser accepts, the preferred ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) languages: Vec<Locale>,
}

/// The compensation of a checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undo {
    /// The reason, for the payment and the timeline.
    pub(crate) reason: String,
}

/// An idempotency key as a saga stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredClaim {
    caller: String,
    key: String,
    fingerprint: [u8; 32],
    status: u16,
}

impl StoredClaim {
    /// The stored form of a request's idempotency key.
    pub(crate) fn of(claim: &Claim) -> Self {
        Self {
            caller: claim.caller.clone(),
            key: claim.key.clone(),
            fingerprint: claim.fingerprint,
            status: claim.status,
        }
    }

    /// The status of a successful reply.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The idempotency key, without a recorded reply.
    pub(crate) fn to_claim(&self) -> Claim {
        Claim {
            caller: self.caller.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            status: self.status,
            recorded: OnceLock::new(),
        }
    }
}

/// The id and version of the cart that is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderedCart {
    pub(crate) id: CartId,
    pub(crate) version: i64,
}
