//! Operations of flash sales for other services.

use promox_kernel::{Amount, Sku, UserId, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId};
use crate::promotion::RejectReason;

/// Gets the buyer's reservations, to order them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetReservedLines {
    /// The buyer.
    pub user_id: Option<UserId>,
    /// The reservations.
    pub reservation_ids: Vec<FlashReservationId>,
}
operation! {
    GetReservedLines => FlashLines, "flashsale.reserved_lines", internal,
    "The lines of flash sale reservations."
}

/// The reservations that can be ordered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashLines {
    /// In the order of the request.
    pub lines: Vec<FlashLine>,
    /// The buyer's reservations that cannot be ordered now. Unknown ones and other buyers' are in neither list.
    #[serde(default)]
    pub refused: Vec<FlashRefusal>,
}
json_reply!(FlashLines);

/// Why a reservation cannot be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashRefusal {
    /// The reservation.
    pub reservation_id: FlashReservationId,
    /// EXPIRED when it has expired, ended with its sale or belongs to another order, else why its sale's campaign does
    /// not apply.
    pub reason: RejectReason,
}

/// A reservation as a line of an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashLine {
    /// The reservation.
    pub reservation_id: FlashReservationId,
    /// The sale.
    pub flash_sale_id: FlashSaleId,
    /// The SKU and its data.
    pub sku: Sku,
    /// The quantity.
    pub quantity: u32,
    /// The unit price in the sale.
    pub sale_price: Amount,
    /// The sale's campaign.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
}

/// Gets the names of sales, including ended and deleted ones; unknown ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeFlashSales {
    /// The ids.
    pub ids: Vec<FlashSaleId>,
}
operation! { DescribeFlashSales => FlashSaleDescriptions, "flashsale.describe", internal, "The names of flash sales." }

/// The answer to [`DescribeFlashSales`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleDescriptions {
    /// Those found.
    pub items: Vec<FlashSaleDescription>,
}
json_reply!(FlashSaleDescriptions);

/// A sale, as other services see it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleDescription {
    /// The id.
    pub id: FlashSaleId,
    /// Its name.
    pub name: String,
}

/// Holds flash sale reservations for an order: they last as long as its saga, even if the sale ends. Repeating it
/// changes nothing. 422 `FLASH_RESERVATION_INVALID` with `reason` when one does not exist, has expired or is another
/// buyer's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldFlashReservations {
    /// The order.
    pub order_id: OrderId,
    /// The buyer.
    pub user_id: Option<UserId>,
    /// The reservations.
    pub reservation_ids: Vec<FlashReservationId>,
}
operation! { HoldFlashReservations => (), "flashsale.hold_reservations", internal, "Assigns flash sale reservations to an order." }

/// Releases an order's flash sale units, held or bought, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseFlashReservations {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseFlashReservations => (), "flashsale.release_reservations", internal, "Releases an order's flash sale units." }

/// Finds a sale of a campaign, unless deleted, so that a campaign in use is not deleted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindReferencingSale {
    /// The campaign.
    pub campaign_id: CampaignId,
}
operation! {
    FindReferencingSale => ReferencingSale, "flashsale.find_referencing", internal,
    "A flash sale of a campaign."
}

/// The answer to [`FindReferencingSale`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferencingSale {
    /// The first one found.
    pub flash_sale_id: Option<FlashSaleId>,
}
json_reply!(ReferencingSale);

/// The data of every event of a flash sale.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleFact {
    /// The flash sale.
    pub flash_sale_id: FlashSaleId,
}

facts! { FlashSaleFact in "flash_sale":
    /// A sale began.
    FlashSaleStarted = "FLASH_SALE_STARTED",
    /// A sale is sold out.
    FlashSaleSoldOut = "FLASH_SALE_SOLD_OUT",
    /// A sale has ended.
    FlashSaleEnded = "FLASH_SALE_ENDED",
}

/// Orders and flash sales both state for each order the units by sale and SKU, as
/// [`units_out`](crate::inventory::units_out) formats them.
pub const TAKEN: &str = "flash sale: units taken for orders = their flash lines";
/// Flash sales and the inventory both state for each sale the allocated units, as
/// [`units_out`](crate::inventory::units_out) formats them.
pub const ALLOCATED: &str = "flash sale: units allocated = the inventory's allocation";
