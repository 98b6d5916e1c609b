//! What others ask of flash sales: the lines of reservations that an order names.

use promox_kernel::{Amount, Sku, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{FlashReservationId, FlashSaleId};

/// Asks for the buyer's reservations, to order them. One that is not there, not the buyer's or lapsed is left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedLines {
    /// The buyer.
    pub user_id: Option<UserId>,
    /// Which.
    pub reservation_ids: Vec<FlashReservationId>,
}
operation! { ReservedLines => FlashLines, "flashsale.reserved_lines", internal, "The lines of flash reservations." }

/// The reservations that are good.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashLines {
    /// In the order asked.
    pub lines: Vec<FlashLine>,
}
json_reply!(FlashLines);

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
}
