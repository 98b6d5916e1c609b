//! What an evaluation depends on besides cart and promotions: the time, the customer, and what is left of limits and budgets.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, PromotionId};
use promox_contract::promotion::{Customer, RejectReason};
use promox_kernel::{Amount, Sku, Timestamp};

/// What is left of a promotion for this buyer now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Why it cannot be used any more, if so.
    pub exhausted: Option<RejectReason>,
    /// What is left of its budget.
    pub budget_left: Option<Amount>,
}

/// How a campaign stands for this buyer now.
#[derive(Clone, Copy, Debug)]
pub struct CampaignStanding {
    /// Why what belongs to it does not apply, if so.
    pub refused: Option<RejectReason>,
    /// What is left of its budget.
    pub left: Option<Amount>,
}

/// What goods that may come free cost, and how many there are.
#[derive(Clone, Debug)]
pub struct GiftStock {
    /// What they are called now, whatever a rule calls them.
    pub sku: Sku,
    /// The catalogue's price of one.
    pub price: Amount,
    /// How many can be had.
    pub available: u32,
}

/// Everything an answer depends on beside the cart and the promotions.
#[derive(Clone, Debug, Default)]
pub struct EvaluationContext {
    /// The time it is.
    pub now: Timestamp,
    /// The buyer.
    pub customer: Customer,
    /// What is left of promotions that have limits. One without an entry has all of its limits left.
    pub allowances: HashMap<PromotionId, Allowance>,
    /// How campaigns stand. A promotion of a campaign without an entry does not apply.
    pub campaigns: HashMap<CampaignId, CampaignStanding>,
    /// Goods that come free, by SKU.
    pub gifts: HashMap<Sku, GiftStock>,
    /// What promotions of the cart together may take off the goods, in percent.
    pub max_discount_percent: Option<Amount>,
    /// Whether start and end of promotions count; a draft run over the past has none.
    pub ignore_dates: bool,
}

/// A code that the buyer named, as far as it is known what it is.
#[derive(Clone, Debug)]
pub struct NamedCode {
    /// As it was written.
    pub code: String,
    /// What it is the key to, if it is known.
    pub promotion: Option<PromotionId>,
    /// Whether it is a coupon.
    pub coupon: bool,
    /// Why it is not good, if it is not.
    pub refused: Option<RejectReason>,
}

/// How much is said about promotions without an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Codes that were named.
    Named,
    /// Every promotion.
    Everything,
}
