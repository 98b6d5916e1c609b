//! What an evaluation depends on besides cart and promotions: the time, the customer, and what is left of limits and budgets.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, PromotionId};
use promox_contract::promotion::{Customer, RejectReason};
use promox_kernel::{Amount, Sku, Timestamp};

/// What remains of a promotion's limits for this buyer now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Why it cannot be used any more; `None` while it can.
    pub exhausted: Option<RejectReason>,
    /// Its remaining budget; `None` without one.
    pub budget_left: Option<Amount>,
}

/// The state of a campaign for this buyer now.
#[derive(Clone, Copy, Debug)]
pub struct CampaignStanding {
    /// Why its promotions do not apply; `None` while they do.
    pub refused: Option<RejectReason>,
    /// Its remaining budget; `None` without one.
    pub left: Option<Amount>,
}

/// Price and stock of a gift.
#[derive(Clone, Debug)]
pub struct GiftStock {
    /// Its present SKU; rules may name a former one.
    pub sku: Sku,
    /// The catalogue price of one.
    pub price: Amount,
    /// Units in stock.
    pub available: u32,
}

/// What an evaluation depends on besides the cart and the promotions.
#[derive(Clone, Debug, Default)]
pub struct EvaluationContext {
    /// The time.
    pub now: Timestamp,
    /// The buyer.
    pub customer: Customer,
    /// What remains of promotions with limits. A promotion without an entry has not been used.
    pub allowances: HashMap<PromotionId, Allowance>,
    /// The states of campaigns. Promotions of a campaign without an entry do not apply.
    pub campaigns: HashMap<CampaignId, CampaignStanding>,
    /// Gifts by SKU.
    pub gifts: HashMap<Sku, GiftStock>,
    /// The largest discount of all cart promotions together on the goods, in percent.
    pub max_discount_percent: Option<Amount>,
    /// Whether to ignore the start and end of promotions, as a backtest does.
    pub ignore_dates: bool,
}

/// A code that the buyer entered, and what it resolved to.
#[derive(Clone, Debug)]
pub struct NamedCode {
    /// As entered.
    pub code: String,
    /// The promotion that it unlocks, if known.
    pub promotion: Option<PromotionId>,
    /// Whether it is a coupon.
    pub coupon: bool,
    /// Why it is not valid; `None` if it is.
    pub refused: Option<RejectReason>,
}

/// Which promotions without an effect are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Those whose codes were entered.
    Named,
    /// All of them.
    Everything,
}
