//! The tables of flash sales. A reservation reads and changes only small rows: the sale without its items, one item
//! with its counts, and the user's row for that item if it has a limit.

use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId, VariantId};
use promox_kernel::{Amount, Currency, Json, Sku, Timestamp, UserId, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

/// Maximum reservations of one order.
pub(crate) const MAX_CLAIMED: usize = 1_000;

text_enum! {
    /// The status of a sale.
    SaleStatus {
        Scheduled = "SCHEDULED",
        Active = "ACTIVE",
        SoldOut = "SOLD_OUT",
        Ended = "ENDED",
        Cancelled = "CANCELLED",
    }
}

text_enum! {
    /// The status of a purchase.
    PurchaseStatus { Bought = "BOUGHT", Released = "RELEASED" }
}

/// The terms of an item.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemTerms {
    /// The variant, null until the catalog has been queried.
    pub(crate) variant_id: Option<VariantId>,
    /// The variant's SKU when the terms were set.
    pub(crate) sku: Sku,
    pub(crate) sale_price: Amount,
    pub(crate) stock: u32,
    pub(crate) per_user_limit: Option<u32>,
}

/// The SKU is not compared, because a variant's SKU may change without changing the terms.
impl PartialEq for ItemTerms {
    fn eq(&self, other: &Self) -> bool {
        let terms = |item: &Self| (item.variant_id, item.sale_price, item.stock, item.per_user_limit);
        terms(self) == terms(other)
    }
}

/// The terms of a sale as an administrator set them.
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

/// Terms of a sale that wait for their stock to be allocated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Draft {
    pub(crate) terms: Terms,
    /// The name of the principal that requested them, for the audit trail.
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
        /// Its pending terms, until the inventory has allocated the stock or refused it.
        draft: Option<Json<Draft>>,
        /// True while it is listed, that is, from the allocation of its stock until it is deleted.
        listed: Option<bool>,
        /// Its end, while it is running.
        open_until: Option<Timestamp>,
        /// When a job must advance it next; null if nothing is left to do.
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
    /// An item of a sale, keyed by its position, with its unit counts.
    pub(crate) struct FlashItem in Promox.flash_sale_items = 564, key(sale_id: FlashSaleId, item: u32) {
        variant_id: VariantId,
        /// The variant's SKU when the terms were set.
        sku: Sku,
        sale_price: Amount,
        stock: i64,
        per_user_limit: Option<u32>,
        /// Units of active reservations and of purchases.
        taken: i64,
        /// Units of purchases.
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
        /// Its state; posted once an order has bought it.
        state: HoldState,
        /// The order that claimed it, if any.
        order_id: Option<OrderId>,
        /// Its sale, while it is the user's and can expire; otherwise null.
        live_in: Option<FlashSaleId>,
        /// Its sale, while an order in progress claims it; otherwise null.
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
        tx.scan_by::<HoldByOrder>().prefix(Some(*order_id)).collect(MAX_CLAIMED)
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
    /// A user's taken units of an item with a limit. A count of zero has no row.
    pub(crate) struct UserCount in Promox.flash_sale_users = 569, key(sale_id: FlashSaleId, item: u32, user_id: UserId) {
        taken: i64,
    }
}

record! {
    /// A purchase: a reservation bought by a confirmed order, keyed by the reservation's id.
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
        /// Its sale, until the purchase or its reversal is reported to the inventory; then null.
        due_in: Option<FlashSaleId>,
        bought_at: Timestamp,
        released_at: Option<Timestamp>,
    }
    index PurchaseByDue = 571 (due_in);
}
