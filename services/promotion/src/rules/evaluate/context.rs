//! What an evaluation depends on besides the cart and the promotions: the time, the buyer, and what remains of limits
//! and budgets.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, PromotionId};
use promox_contract::promotion::{Customer, RejectReason};
use promox_kernel::{Amount, Sku, Timestamp};

/// What remains of a promotion's limits for this buyer now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// The reason why it cannot be used any more; `None` while it can.
    pub exhausted: Option<RejectReason>,
    /// Its remaining budget; `None` without one.
    pub budget_left: Option<Amount>,
}

/// Whether the promotions of a campaign apply for this buyer now, and its budget.
#[derive(Clone, Copy, Debug)]
pub struct CampaignEligibility {
    /// The reason why its promotions do not apply; `None` while they do.
    pub refused: Option<RejectReason>,
    /// Its remaining budget; `None` without one.
    pub left: Option<Amount>,
}

/// The price and stock of a gift.
#[derive(Clone, Debug)]
pub struct GiftStock {
    /// Its current SKU. Rules may name a former one.
    pub sku: Sku,
    /// The catalog price of a unit.
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
    /// What remains of the limits of promotions. A promotion without an entry has not been used.
    pub allowances: HashMap<PromotionId, Allowance>,
    /// The eligibility of campaigns. Promotions of a campaign without an entry do not apply.
    pub campaigns: HashMap<CampaignId, CampaignEligibility>,
    /// The possible gifts, by SKU.
    pub gifts: HashMap<Sku, GiftStock>,
    /// The cap on the sum of all cart discounts, in percent of the price of the goods.
    pub max_discount_percent: Option<Amount>,
    /// Whether to ignore the start and end of promotions, as a backtest does.
    pub ignore_dates: bool,
}

/// A code that the buyer entered, and the promotion that it resolved to.
#[derive(Clone, Debug)]
pub struct NamedCode {
    /// The code as entered.
    pub code: String,
    /// The promotion that it activates, if known.
    pub promotion: Option<PromotionId>,
    /// Whether it is a coupon.
    pub coupon: bool,
    /// The reason why it is not valid; `None` if it is.
    pub refused: Option<RejectReason>,
}

/// Which promotions without an effect are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only promotions whose codes were entered.
    Named,
    /// All promotions.
    Everything,
}
