//! What a price relies on besides stock, to be held before the order is placed.

use std::collections::BTreeMap;

use promox_contract::buyer::Buyer;
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId};
use promox_contract::promotion::PromotionUse;
use promox_kernel::Amount;
use serde::{Deserialize, Serialize};

/// The promotions, coupons and flash sale reservations that a price relies on. Most prices rely on none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Entitlements {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) uses: Vec<PromotionUse>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) flash_reservations: Vec<FlashReservationId>,
    /// The campaign of each reserved flash sale that has one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) flash_campaigns: BTreeMap<FlashSaleId, CampaignId>,
    /// The buyer; `None` if no promotion use is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) buyer: Option<Buyer>,
    /// The shipping address in the form in which limits per address compare it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) points_multiplier: Option<Amount>,
}
