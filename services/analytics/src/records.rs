//! The tables of analytics. Their numbers are 660 to 699.
//!
//! Projected rows contain their generation, so that a rebuild fills a new generation while the current one is shown.
//! The numbers of customers and SKUs are not projected: they are assigned once and survive every rebuild.

use promox_kernel::{Amount, Sku, Timestamp, text_enum};
use promox_storage::record;

use crate::rules::counting::{CampaignSales, Flash, Uses};
use crate::rules::cover::Level;
use crate::rules::measures::Measures;
use crate::rules::members::Members;
use crate::rules::packed::Packed;
use crate::rules::sold::Products;

text_enum! {
    /// The state of a generation of the projections.
    GenerationStatus {
        /// The generation is shown.
        Current = "CURRENT",
        /// The generation is being built, starting with the first event.
        Rebuilding = "REBUILDING",
        /// The generation is no longer shown and is being removed.
        Retired = "RETIRED",
    }
}

record! {
    /// A generation of all projections, and its positions in the two event logs.
    pub(crate) struct Generation in Promox.analytics_generations = 660, key(id: u32) {
        status: GenerationStatus,
        shop_position: i64,
        promox_position: i64,
        started_at: Timestamp,
        /// When the generation was first shown.
        shown_at: Option<Timestamp>,
        retired_at: Option<Timestamp>,
    }
}

text_enum! {
    /// The kind of an entry.
    EntryKind {
        Order = "ORDER",
        Refund = "REFUND",
        CreditNote = "CREDIT_NOTE",
        CouponsIssued = "COUPONS_ISSUED",
        Redemption = "REDEMPTION",
        Points = "POINTS",
        Visit = "VISIT",
        /// An order that was placed but does not count, because it awaits its payment, failed, or was cancelled.
        Placed = "PLACED",
    }
}

record! {
    /// A contribution to the figures at a time, such as an order that counts, a refund or a visit. Every roll-up is a
    /// sum of entries.
    pub(crate) struct Entry in Promox.analytics_entries = 661, key(generation: u32, at: Timestamp, kind: EntryKind, subject: i64) {
        /// All counts and amounts, encoded in one column.
        measures: Measures,
        /// The order, credit note or redemption, by which the entry is found when it changes.
        owner: Option<i64>,
        /// The number of the order's customer, if known.
        buyer: Option<i64>,
        /// The order's products, each with number, orders, units and revenue.
        sold: Products,
        /// The order's promotions, each with id, campaign and cost.
        uses: Uses,
        /// The order's flash sales, each with id, units and revenue.
        flash: Flash,
        /// The order's flash sales of campaigns, each with id, campaign and cost.
        campaign_sales: CampaignSales,
    }
    unique EntryByOwner = 662 (owner, generation, kind);
    index EntryByBuyer = 663 (buyer, generation, at);
}

record! {
    /// The refund of an order at an instant, whether or not the order counts.
    pub(crate) struct Refunded in Promox.analytics_refunds = 664, key(generation: u32, order_id: i64, at: Timestamp) {
        amount: Amount,
    }
}

record! {
    /// The first order of a customer.
    pub(crate) struct First in Promox.analytics_firsts = 666, key(generation: u32, buyer: i64) {
        at: Timestamp,
        order_id: i64,
    }
}

record! {
    /// The sums of a bucket.
    pub(crate) struct Rollup in Promox.analytics_rollups = 667, key(generation: u32, level: Level, start: Timestamp) {
        /// All counts and amounts, encoded in one column.
        measures: Measures,
    }
}

record! {
    /// The sales of each product of a chunk in a bucket.
    pub(crate) struct ProductRollup in Promox.analytics_products = 668, key(generation: u32, level: Level, start: Timestamp, chunk: i64) {
        /// The products, each with number, orders, units and revenue.
        sold: Packed,
    }
}

record! {
    /// The customers of a chunk who bought in a bucket.
    pub(crate) struct BuyerRollup in Promox.analytics_buyers = 669, key(generation: u32, level: Level, start: Timestamp, chunk: i64) {
        /// The set of customers by their offsets in the chunk: a list of offsets, or a bitmap.
        members: Members,
    }
}

record! {
    /// The effect of a promotion in a bucket.
    pub(crate) struct PromotionRollup in Promox.promotion_analytics = 670, key(generation: u32, level: Level, start: Timestamp, promotion_id: i64) {
        orders: i64,
        redemptions: i64,
        new_customers: i64,
        revenue: Amount,
        cost: Amount,
    }
}

record! {
    /// The effect of a campaign in a bucket.
    pub(crate) struct CampaignRollup in Promox.campaign_analytics = 671, key(generation: u32, level: Level, start: Timestamp, campaign_id: i64) {
        orders: i64,
        redemptions: i64,
        new_customers: i64,
        revenue: Amount,
        cost: Amount,
    }
}

record! {
    /// The sales of a flash sale in a bucket.
    pub(crate) struct FlashRollup in Promox.flash_sale_analytics = 672, key(generation: u32, level: Level, start: Timestamp, flash_sale_id: i64) {
        orders: i64,
        units: i64,
        revenue: Amount,
    }
}

record! {
    /// The number of a customer. The order service provides the name, which does not identify a person.
    pub(crate) struct Customer in Promox.analytics_customers = 673, key(number: i64) {
        name: String,
    }
    unique CustomerByName = 674 (name);
}

record! {
    /// The number of a SKU, with its spelling and name when it was last ordered.
    pub(crate) struct NumberedSku in Promox.analytics_skus = 675, key(number: i64) {
        sku: Sku,
        product_id: Option<i64>,
        name: String,
        /// When the order with this spelling and name was placed.
        named_at: Timestamp,
    }
    unique NumberedSkuBySku = 676 (sku);
}

record! {
    /// A visit that may continue.
    pub(crate) struct Visit in Promox.analytics_visits = 677, key(id: i64) {
        /// A digest of the session.
        session: Vec<u8>,
        stages: u32,
        last_seen: Timestamp,
    }
    unique VisitBySession = 678 (session);
    index VisitBySeen = 679 (last_seen);
}
