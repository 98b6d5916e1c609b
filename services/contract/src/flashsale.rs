//! What others ask of flash sales: the lines of reservations that an order names.

use promox_kernel::{Amount, Sku, UserId, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId};
use crate::promotion::RejectReason;

/// Asks for the buyer's reservations, to order them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetReservedLines {
    /// The buyer.
    pub user_id: Option<UserId>,
    /// Which.
    pub reservation_ids: Vec<FlashReservationId>,
}
operation! { GetReservedLines => FlashLines, "flashsale.reserved_lines", internal, "The lines of flash sale \
reservations." }

/// The reservations that are good.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashLines {
    /// In the order asked.
    pub lines: Vec<FlashLine>,
    /// Those of the buyer's that cannot be ordered now. One that is not there or another's is in neither list.
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
    /// EXPIRED when it has lapsed, ended with its sale or is another order's, else why its sale's campaign does not apply.
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
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: u32,
    /// What one costs in the sale.
    pub sale_price: Amount,
    /// The sale's campaign.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
}

/// Asks for the names of sales, over or deleted ones among them; unknown ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeFlashSales {
    /// Which.
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

/// A sale as other services need to know it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleDescription {
    /// Which.
    pub id: FlashSaleId,
    /// Its name.
    pub name: String,
}

/// Makes reservations an order's: they live as long as its saga, even when the sale ends. 422 `FLASH_RESERVATION_INVALID`
/// with `reason` when one is not there, not the buyer's, or lapsed. Asking again for the same order changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimReservations {
    /// Which order.
    pub order_id: OrderId,
    /// The buyer.
    pub user_id: Option<UserId>,
    /// Which.
    pub reservation_ids: Vec<FlashReservationId>,
}
operation! { ClaimReservations => (), "flashsale.claim", internal, "Assigns flash sale reservations to an order." }

/// Gives an order's flash pieces back, claimed or bought, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseClaims {
    /// Whose.
    pub order_id: OrderId,
}
operation! { ReleaseClaims => (), "flashsale.release", internal, "Releases an order's flash sale units." }

/// Asks for a sale under a campaign, deleted ones apart, so that the campaign does not go away under it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindReferencingSale {
    /// Which campaign.
    pub campaign_id: CampaignId,
}
operation! { FindReferencingSale => ReferencingSale, "flashsale.find_referencing", internal, "A flash sale of a campaign." }

/// The answer to [`FindReferencingSale`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferencingSale {
    /// The first one found.
    pub flash_sale_id: Option<FlashSaleId>,
}
json_reply!(ReferencingSale);

/// What every event of a flash sale says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleFact {
    /// Which.
    pub flash_sale_id: FlashSaleId,
}

facts! { FlashSaleFact in "flash_sale":
    /// A sale began.
    FlashSaleStarted = "FLASH_SALE_STARTED",
    /// Nothing is left of a sale.
    FlashSaleSoldOut = "FLASH_SALE_SOLD_OUT",
    /// A sale is over.
    FlashSaleEnded = "FLASH_SALE_ENDED",
}

/// What orders and flash sales both state of each order, for the auditor to compare: pieces by sale and SKU, as
/// [`units_out`](crate::inventory::units_out) writes them.
pub const TAKEN: &str = "flash sale: units taken for orders = their flash lines";
/// What flash sales and the inventory both state of each sale: what is set aside, as
/// [`units_out`](crate::inventory::units_out) writes it.
pub const ASIDE: &str = "flash sale: units allocated = the inventory's allocation";
