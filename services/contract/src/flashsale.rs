//! Operations of the flash sale service for other services, and its events.

use promox_kernel::{Amount, Sku, UserId, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId};
use crate::promotion::RejectReason;

/// Gets a buyer's reservations as lines of an order.
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

/// The answer to [`GetReservedLines`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashLines {
    /// The reservations that can be ordered, in the order of the request.
    pub lines: Vec<FlashLine>,
    /// The buyer's reservations that cannot be ordered now. Unknown reservations and those of other buyers are in
    /// neither list.
    #[serde(default)]
    pub refused: Vec<FlashRefusal>,
}
json_reply!(FlashLines);

/// A reservation that cannot be ordered, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashRefusal {
    /// The reservation.
    pub reservation_id: FlashReservationId,
    /// EXPIRED if the reservation has expired, ended with its sale or belongs to another order; otherwise the reason
    /// why the sale's campaign does not apply.
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
    /// The SKU.
    pub sku: Sku,
    /// The quantity.
    pub quantity: u32,
    /// The unit price in the sale.
    pub sale_price: Amount,
    /// The sale's campaign.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
}

/// Gets the names of sales, including ended and deleted ones. Unknown sales are left out.
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
    /// The sales found.
    pub items: Vec<FlashSaleDescription>,
}
json_reply!(FlashSaleDescriptions);

/// The data of a flash sale for other services.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleDescription {
    /// The id.
    pub id: FlashSaleId,
    /// The sale's name.
    pub name: String,
}

/// Holds flash sale reservations for an order until the order's saga ends, even if the sale ends earlier. Repeating the
/// request changes nothing. 422 `FLASH_RESERVATION_INVALID` with `reason` if a reservation does not exist, has expired
/// or belongs to another buyer.
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

/// Releases the flash sale units that an order holds or has bought. It has an effect once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseFlashReservations {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseFlashReservations => (), "flashsale.release_reservations", internal, "Releases an order's flash sale units." }

/// Finds a sale of a campaign that is not deleted, so that a campaign in use is not deleted.
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
    /// The first sale found; null if there is none.
    pub flash_sale_id: Option<FlashSaleId>,
}
json_reply!(ReferencingSale);

/// The data of every event of a flash sale.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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

/// The audit's name for the check that orders and flash sales agree on the units of each order by sale and SKU, as
/// [`units_out`](crate::inventory::units_out) formats them.
pub const TAKEN: &str = "flash sale: units taken for orders = their flash lines";
/// The audit's name for the check that flash sales and inventory agree on the allocated units of each sale, as
/// [`units_out`](crate::inventory::units_out) formats them.
pub const ALLOCATED: &str = "flash sale: units allocated = the inventory's allocation";
