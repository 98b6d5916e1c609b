//! Refusals that other services act on, as types that both sides share.

use promox_kernel::{Error, Sku};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codes;
use crate::ids::{CampaignId, PromotionId};
use crate::promotion::RejectReason;

/// The maximum number of SKUs that a message names.
const MAX_NAMED: usize = 5;

/// A SKU with less stock available than requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Short {
    /// The SKU.
    pub sku: Sku,
    /// The quantity requested.
    pub asked: u32,
    /// The quantity available.
    pub available: u32,
}

/// 409 `INSUFFICIENT_STOCK` with every SKU that is short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InsufficientStock {
    /// The SKUs that are short.
    pub items: Vec<Short>,
}

impl InsufficientStock {
    /// The payload of an error, if it is this refusal.
    pub fn of(error: &Error) -> Option<Self> {
        payload(error, codes::INSUFFICIENT_STOCK)
    }
}

impl From<InsufficientStock> for Error {
    fn from(InsufficientStock { items }: InsufficientStock) -> Self {
        let describe =
            |short: &Short| format!("{} ({} requested, {} available)", short.sku, short.asked, short.available);
        let described: Vec<String> = items.iter().take(MAX_NAMED).map(describe).collect();
        let more = if items.len() > described.len() { " and others" } else { "" };
        let message = format!("Not enough in stock: {}{more}.", described.join(", "));
        Self::conflict(codes::INSUFFICIENT_STOCK, message).with("items", items)
    }
}

/// 422 `PROMOTION_INVALID` for a promotion, or for the promotions of a campaign, that an order cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionUnusable {
    /// The promotion.
    #[serde(default)]
    pub promotion_id: Option<PromotionId>,
    /// The campaign whose budget pays for the promotions.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
    /// The reason.
    pub reason: RejectReason,
}

impl PromotionUnusable {
    /// The payload of an error, if it is this refusal.
    pub fn of(error: &Error) -> Option<Self> {
        payload(error, codes::PROMOTION_INVALID)
    }

    /// The refusal as an error with this message for humans.
    pub fn refusal(&self, message: String) -> Error {
        let mut error = Error::refused(codes::PROMOTION_INVALID, message).with("reason", self.reason);
        if let Some(id) = self.promotion_id {
            error = error.with("promotionId", id);
        }
        if let Some(id) = self.campaign_id {
            error = error.with("campaignId", id);
        }
        error
    }
}

/// The payload of an error with this code.
fn payload<T: DeserializeOwned>(error: &Error, code: &str) -> Option<T> {
    if error.code() != code {
        return None;
    }
    serde_json::from_value(Value::Object(error.members().clone())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_payload() {
        let short = Short { sku: "A-1".parse().unwrap(), asked: 3, available: 1 };
        let stock = InsufficientStock { items: vec![short] };
        let error = Error::from(stock.clone());
        assert_eq!(error.message(), "Not enough in stock: A-1 (3 requested, 1 available).");
        assert_eq!(InsufficientStock::of(&error), Some(stock));
        assert_eq!(PromotionUnusable::of(&error), None, "the code is another one");
        let unusable = PromotionUnusable {
            promotion_id: None,
            campaign_id: Some(CampaignId(7)),
            reason: RejectReason::BudgetExhausted,
        };
        assert_eq!(PromotionUnusable::of(&unusable.refusal(String::new())), Some(unusable));
    }
}
