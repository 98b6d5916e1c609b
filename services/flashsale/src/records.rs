//! The tables of flash sales. What a reservation checks and changes stands in few small rows: the sale without its items,
//! one item with its counts, and one row a user and item where there is a limit.

use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId, VariantId};
use promox_kernel::{Amount, Currency, Json, Sku, Timestamp, UserId, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

/// Reservations that one order claims at most.
pub(crate) const MOST_CLAIMED: usize = 1_000;

text_enum! {
    /// Where a sale stands.
    SaleStatus {
        Scheduled = "SCHEDULED",
        Active = "ACTIVE",
        SoldOut = "SOLD_OUT",
        Ended = "ENDED",
        Cancelled = "CANCELLED",
    }
}

text_enum! {
    /// What became of a purchase.
    PurchaseStatus { Bought = "BOUGHT", Released = "RELEASED" }
}

/// An item as it is to be sold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemTerms {
    /// None until the catalogue was asked.
    pub(crate) variant_id: Option<VariantId>,
    /// What the variant was called then.
    pub(crate) sku: Sku,
    pub(crate) sale_price: Amount,
    pub(crate) stock: u32,
    pub(crate) per_user_limit: Option<u32>,
}

/// What a variant is called makes no other terms.
impl PartialEq for ItemTerms {
    fn eq(&self, other: &Self) -> bool {
        let terms = |it: &Self| (it.variant_id, it.sale_price, it.stock, it.per_user_limit);
        terms(self) == terms(other)
    }
}

/// What an administrator says of a sale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Terms {
    pub(crate) name: String,
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) currency: Currency,
    pub(crate) ttl_seconds: u32,
    pub(crate) items: Vec<ItemTerms>,
}

/// What a sale is to become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Draft {
    pub(crate) terms: Terms,
    /// Who said so, as the audit trail names it.
    pub(crate) by: String,
}

record! {
    /// A sale.
    pub(crate) struct FlashSale in Promox.flash_sales = 560, key(id: FlashSaleId) {
        name: String,
        campaign_id: Option<CampaignId>,
        status: SaleStatus,
        starts_at: Timestamp,
        ends_at: Timestamp,
        currency: Currency,
        ttl_seconds: u32,
        /// What it is to become, until the inventory has set the stock aside or refused.
        draft: Option<Json<Draft>>,
        /// True while it is shown: not before its stock is set aside, nor after it was deleted.
        listed: Option<bool>,
        /// Its end, while it sells.
        open_until: Option<Timestamp>,
        /// When the clock has something to do with it.
        due_at: Option<Timestamp>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    index SaleByListed = 561 (listed);
    index SaleByOpen = 562 (open_until);
    index SaleByDue = 563 (due_at);
}

record! {
    /// An item of a sale, by its place in it, with what is taken of it.
    pub(crate) struct FlashItem in Promox.flash_sale_items = 564, key(sale_id: FlashSaleId, item: u32) {
        variant_id: VariantId,
        /// What the variant was called when the terms were set.
        sku: Sku,
        sale_price: Amount,
        stock: i64,
        per_user_limit: Option<u32>,
        /// Pieces of live reservations and of purchases.
        taken: i64,
        /// Pieces of purchases alone.
        sold: i64,
    }
}

record! {
    /// A reservation.
    pub(crate) struct FlashHold in Promox.flash_reservations = 565, key(id: FlashReservationId) {
        sale_id: FlashSaleId,
        item: u32,
        user_id: UserId,
        quantity: u32,
        /// Posted when an order has bought it.
        state: HoldState,
        /// The order that has claimed it.
        order_id: Option<OrderId>,
        /// Its sale, while it is the user's and can lapse.
        live_in: Option<FlashSaleId>,
        /// Its sale, while it is an order's on its way.
        claimed_in: Option<FlashSaleId>,
        expires_at: Timestamp,
        created_at: Timestamp,
    }
    index HoldByLapse = 566 (live_in, expires_at);
    index HoldByClaim = 567 (claimed_in);
    index HoldByOrder = 568 (order_id);
}

impl Hold for FlashHold {
    const KIND: &'static str = "flash sale";
    type Reference = OrderId;

    fn of(tx: &Tx<'_>, order_id: &OrderId) -> Result<Vec<Self>, StoreError> {
        tx.scan_by::<HoldByOrder>().prefix(Some(*order_id)).collect(MOST_CLAIMED)
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, _: Timestamp) {
        self.state = state;
        (self.live_in, self.claimed_in) = (None, None);
    }
}

record! {
    /// What a user has of an item with a limit; no row for nothing.
    pub(crate) struct UserCount in Promox.flash_sale_users = 569, key(sale_id: FlashSaleId, item: u32, user_id: UserId) {
        taken: i64,
    }
}

record! {
    /// What an order bought by a reservation, under the reservation's number.
    pub(crate) struct FlashPurchase in Promox.flash_sale_purchases = 570, key(id: FlashReservationId) {
        sale_id: FlashSaleId,
        item: u32,
        variant_id: VariantId,
        sku: Sku,
        user_id: UserId,
        order_id: OrderId,
        quantity: u32,
        unit_price: Amount,
        status: PurchaseStatus,
        /// Its sale, until the inventory has heard of it.
        due_in: Option<FlashSaleId>,
        bought_at: Timestamp,
        released_at: Option<Timestamp>,
    }
    index PurchaseByDue = 571 (due_in);
}
