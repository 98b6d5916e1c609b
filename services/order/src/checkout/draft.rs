//! What a saga needs to go on after a crash.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use promox_contract::ids::CartId;
use promox_contract::payment::PaymentChoice;
use promox_kernel::{Claim, Email, UserId};
use serde::{Deserialize, Serialize};

use crate::api::Address;
use crate::pricing::Entitlements;
use crate::rules::price::Priced;

/// A saga's memory. The order to be is in it until its row exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Draft {
    pub(crate) order: Option<Box<NewOrder>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) choice: Option<PaymentChoice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<StoredClaim>,
    /// A guest's secret for the order, to be shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) actor: String,
    /// Why everything is given back, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undo: Option<Undo>,
}

impl Draft {
    /// What is left to remember when the order's own rows exist.
    pub(crate) fn without_order(&self) -> Self {
        Self {
            order: None,
            choice: self.choice.clone(),
            claim: self.claim.clone(),
            token: self.token.clone(),
            actor: self.actor.clone(),
            undo: self.undo.clone(),
        }
    }
}

/// The order to be.
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
    /// What is to be held beside stock.
    #[serde(default, rename = "extras")]
    pub(crate) entitlements: Entitlements,
    /// Points that it earns.
    #[serde(default)]
    pub(crate) points_earned: i64,
}

/// Why everything is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undo {
    /// For the books and the timeline.
    pub(crate) reason: String,
}

/// An idempotency key as a saga keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredClaim {
    caller: String,
    key: String,
    fingerprint: [u8; 32],
    status: u16,
}

impl StoredClaim {
    pub(crate) fn of(claim: &Claim) -> Self {
        Self {
            caller: claim.caller.clone(),
            key: claim.key.clone(),
            fingerprint: claim.fingerprint,
            status: claim.status,
        }
    }

    /// The status of an answer that is good.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

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

/// The state of the cart that is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderedCart {
    pub(crate) id: CartId,
    pub(crate) version: i64,
}
