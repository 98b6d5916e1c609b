//! What others ask of promotions: prices on the shelf, and what a cart is given off.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Currency, Email, UserId, fact, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::{CampaignId, CategoryId, FlashSaleId, OrderId, PromotionId};
use crate::product::SkuDescription;

text_enum! {
    /// Why a promotion or code has no effect.
    RejectReason {
        Unknown = "UNKNOWN",
        NotStarted = "NOT_STARTED",
        Expired = "EXPIRED",
        Paused = "PAUSED",
        LimitReached = "LIMIT_REACHED",
        UserLimitReached = "USER_LIMIT_REACHED",
        BudgetExhausted = "BUDGET_EXHAUSTED",
        NotEligible = "NOT_ELIGIBLE",
        ConditionsNotMet = "CONDITIONS_NOT_MET",
        NotCombinable = "NOT_COMBINABLE",
        NoMatchingItems = "NO_MATCHING_ITEMS",
    }
}

/// A promotion with an effect on an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedPromotion {
    /// Which.
    pub promotion_id: PromotionId,
    /// Its name.
    pub name: String,
    /// The promotion's code, if it came by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The coupon's code, if it came by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// What it takes off the goods.
    pub amount: Amount,
    /// What it takes off shipping.
    pub shipping_amount: Amount,
}

/// A promotion or code without an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedPromotion {
    /// Which, if the caller may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<PromotionId>,
    /// The code as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why.
    pub reason: RejectReason,
    /// Unmet conditions: what was asked, what the cart has, how much is missing.
    pub details: Vec<RejectDetail>,
}

/// An unmet condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectDetail {
    /// `"cart.subtotal"`.
    pub field: String,
    /// `"GTE"`.
    pub op: String,
    /// What is asked.
    pub wanted: serde_json::Value,
    /// What the cart has.
    pub actual: serde_json::Value,
    /// How much is missing, where that is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Amount>,
}

/// A line as promotions see it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// What it is and costs.
    pub item: SkuDescription,
    /// How many.
    pub quantity: u32,
    /// The flash sale that it was reserved in.
    pub flash_sale_id: Option<FlashSaleId>,
}

/// Asks what a cart is given off. Nothing is held and nothing counted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateCart {
    /// The lines, each SKU once, flash lines apart.
    pub lines: Vec<CartLine>,
    /// The currency of all prices.
    pub currency: Currency,
    /// Who buys: limits go by the person.
    pub buyer: Buyer,
    /// Codes as the buyer wrote them, promotions' and coupons' alike.
    pub codes: Vec<String>,
    /// Those of the codes that are coupons.
    pub coupons: Vec<crate::coupon::ResolvedCode>,
    /// What shipping costs before promotions.
    pub shipping: Amount,
    /// How it is shipped, and whereto.
    pub shipping_method: Option<String>,
    /// ISO 3166 country.
    pub country: Option<String>,
    /// How it is paid.
    pub payment_method: Option<String>,
    /// Where it is sold: `WEB` unless said.
    pub channel: Option<String>,
    /// The cart's own attributes.
    pub attributes: BTreeMap<String, String>,
    /// The shipping address in a form that limits per address compare.
    pub address_key: Option<String>,
}
operation! { EvaluateCart => Evaluation, "promotion.evaluate_cart", internal, "Discounts applied to a cart." }

/// What a cart is given off.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// For each line, in order: what each promotion takes off it.
    pub line_discounts: Vec<Vec<LineDiscount>>,
    /// What promotions take off shipping.
    pub shipping_discount: Amount,
    /// Promotions with an effect, in order of application.
    pub applied: Vec<AppliedPromotion>,
    /// What has no effect, and why.
    pub rejected: Vec<RejectedPromotion>,
    /// Automatic promotions that are one amount or quantity away, at most 3.
    pub offers: Vec<Offer>,
    /// Goods that come free.
    pub gifts: Vec<Gift>,
    /// What the order's points are multiplied with; 1 unless a promotion says otherwise.
    pub points_multiplier: Option<Amount>,
    /// What is to be counted when the order is placed: one entry a promotion with an effect.
    pub uses: Vec<PromotionUse>,
    /// What was left unchecked.
    pub warnings: Vec<String>,
}
json_reply!(Evaluation);

impl Evaluation {
    /// What promotions take off the goods.
    pub fn goods_discount(&self) -> Amount {
        self.line_discounts.iter().flatten().map(|discount| discount.amount).sum()
    }
}

/// An automatic promotion that is one amount or quantity away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Which.
    pub promotion_id: PromotionId,
    /// Its name.
    pub name: String,
    /// What is missing: `"cart.subtotal"`.
    pub field: String,
    /// How much of it.
    pub missing: Amount,
    /// For people: `3.20 more for free shipping`.
    pub message: String,
}

/// Goods that come free, only while in stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gift {
    /// By which promotion.
    pub promotion_id: PromotionId,
    /// What.
    pub sku: promox_kernel::Sku,
    /// How many.
    pub quantity: u32,
    /// The catalogue's price of one, which comes out of the budget.
    pub value: Amount,
}

/// A use of a promotion, to be counted against its limits and budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionUse {
    /// Which.
    pub promotion_id: PromotionId,
    /// Its campaign.
    pub campaign_id: Option<CampaignId>,
    /// The coupon it came by.
    pub coupon_code: Option<String>,
    /// Whether the buyer named it by a code.
    pub named: bool,
    /// What it takes out of budgets: goods, shipping, and gifts at their catalogue price.
    pub amount: Amount,
}

/// Takes the uses of an order's promotions against every limit and budget, all or nothing, pinned until the order ends.
/// 422 `PROMOTION_INVALID` with `promotionId` and `reason` when one has not enough left. Asking again for the same order
/// changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldUses {
    /// For which order.
    pub order_id: OrderId,
    /// Who buys.
    pub buyer: Buyer,
    /// The shipping address in a form that limits per address compare.
    pub address_key: Option<String>,
    /// What is used.
    pub uses: Vec<PromotionUse>,
}
operation! { HoldUses => (), "promotion.hold_uses", internal, "Takes an order's uses of promotions." }

/// Gives an order's uses back, held or posted, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseUses {
    /// Whose.
    pub order_id: OrderId,
}
operation! { ReleaseUses => (), "promotion.release_uses", internal, "Releases an order's uses of promotions." }

/// Asks what SKUs cost on the shelf now, by the catalogue's price rules, for the caller.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCatalogPrices {
    /// The SKUs with their list prices.
    pub items: Vec<SkuDescription>,
    /// Where it is sold: `WEB` unless said.
    pub channel: Option<String>,
    /// Whether an anonymous visitor's prices are wanted, whoever asks.
    pub anonymous: bool,
}
operation! { GetCatalogPrices => CatalogPrices, "promotion.get_catalog_prices", internal, "Catalog prices of SKUs, after \
price rules." }

/// The answer to [`GetCatalogPrices`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPrices {
    /// For each item, in order: its price now; empty when no price rule is active, which leaves all list prices.
    pub prices: Vec<Amount>,
    /// Changes whenever the price of an anonymous visitor may have changed: what was derived from another epoch is stale.
    /// 0 when no price rule is active.
    pub epoch: i64,
    /// Whether some price depends on who asks or where it is sold, so that nothing derived is for everybody.
    pub personal: bool,
    /// 0 when no price rule is active; another number whenever anonymous visitors' prices may have changed. It is coarser than
    /// `epoch`: a list sorted by price is brought up to date as often as this changes. See [`CATALOG_PRICE_EPOCH`].
    pub told: i64,
}
json_reply!(CatalogPrices);

/// Names the epoch, in the promotion service's database, that it begins whenever [`CatalogPrices::told`] may have changed.
pub const CATALOG_PRICE_EPOCH: &str = "promotion.shelf";

/// Asks whether promotions exist, and their names; unknown ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribePromotions {
    /// Which.
    pub ids: Vec<PromotionId>,
}
operation! { DescribePromotions => PromotionDescriptions, "promotion.describe", internal, "The names of promotions." }

/// The answer to [`DescribePromotions`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionDescriptions {
    /// Those found.
    pub items: Vec<PromotionDescription>,
}
json_reply!(PromotionDescriptions);

/// A promotion as other services need to know.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionDescription {
    /// Which.
    pub id: PromotionId,
    /// Its name.
    pub name: String,
    /// Its campaign.
    pub campaign_id: Option<CampaignId>,
}

/// Asks which of these codes promotions have already.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindPromotionCodes {
    /// The codes in normal form.
    pub codes: Vec<String>,
}
operation! { FindPromotionCodes => CodesInUse, "promotion.codes_taken", internal, "Which codes are used by \
promotions." }

/// Codes that are somebody else's.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodesInUse {
    /// In normal form.
    pub taken: Vec<String>,
}
json_reply!(CodesInUse);

/// Claims codes for coupons that are about to be made, so that no promotion takes them meanwhile: promotions and coupons
/// share one namespace. Those that a promotion has are answered and not claimed; while a promotion is about to have one of
/// them, this waits, and is 503 `CODES_BUSY` in the end. A claim lapses after two minutes; claiming again under the same
/// owner replaces it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimCodes {
    /// Names the claim, to release it.
    pub owner: String,
    /// The codes in normal form.
    pub codes: Vec<String>,
    /// Codes that are yet to be drawn: all of one length from the first to the last. Which of them promotions have already
    /// is asked when they are drawn.
    pub span: Option<(String, String)>,
}
operation! { ClaimCodes => CodesInUse, "promotion.claim_codes", internal, "Claims codes for coupons." }

/// Releases a claim: its coupons are made, or are not to be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCodes {
    /// Whose.
    pub owner: String,
}
operation! { ReleaseCodes => (), "promotion.release_codes", internal, "Releases claimed codes." }

/// Asks for a promotion that refers to a campaign, a category, or by name to a segment, so that none of them goes away under it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindReferencingPromotion {
    /// To this campaign.
    pub campaign_id: Option<CampaignId>,
    /// To this segment, unless the promotion is archived.
    pub segment: Option<String>,
    /// To this category in a filter, unless the promotion is archived.
    pub category_id: Option<CategoryId>,
}
operation! { FindReferencingPromotion => ReferencingPromotion, "promotion.find_referencing", internal, "A promotion that \
refers to an entity." }

/// The answer to [`FindReferencingPromotion`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferencingPromotion {
    /// The first one found.
    pub promotion_id: Option<PromotionId>,
}
json_reply!(ReferencingPromotion);

/// Whether anything refers to a promotion, so that it cannot go away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsReferenced {
    /// Whether.
    pub referred: bool,
}
json_reply!(IsReferenced);

/// A customer as rules ask about one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Customer {
    /// The account; null for a guest.
    pub id: Option<UserId>,
    /// The address.
    pub email: Option<Email>,
    /// The reward tier, `"GOLD"`.
    pub tier: Option<String>,
    /// The segments, by name.
    pub segments: Vec<String>,
    /// Earlier orders neither failed nor cancelled.
    pub order_count: i64,
    /// What they came to.
    pub total_spent: Amount,
    /// Days since the account was made.
    pub registered_days: Option<i64>,
    /// Whether there is no account.
    pub is_guest: bool,
    /// What is kept about the account.
    pub attributes: BTreeMap<String, String>,
}

/// An order used promotions: written when it is confirmed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionApplied {
    /// Which promotion.
    pub promotion_id: PromotionId,
    /// Its campaign.
    pub campaign_id: Option<CampaignId>,
    /// By which order.
    pub order_id: OrderId,
    /// What it cost.
    pub amount: Amount,
    /// Whose order it is, if it is an account's.
    #[serde(default)]
    pub user_id: Option<UserId>,
}
fact! { PromotionApplied = "PROMOTION_APPLIED" in "promotion" }

/// What a promotion takes off a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineDiscount {
    /// Which promotion.
    pub promotion_id: PromotionId,
    /// The coupon it came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// How much.
    pub amount: Amount,
}

/// Asks the order service on which terms carts are priced: the cap on discounts, how an address is shipped to, which tax
/// rates hold there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPricingTerms {
    /// ISO 3166 country of the address; null for none yet.
    pub country: Option<String>,
    /// Region of the address.
    pub region: Option<String>,
    /// How it is to be shipped; the cheapest way unless said.
    pub shipping_method: Option<String>,
    /// What the goods come to after discounts: thresholds of shipping look at that.
    pub subtotal: Amount,
    /// The tax classes whose rates are wanted.
    pub tax_classes: Vec<String>,
}
operation! { GetPricingTerms => PricingTerms, "order.pricing_terms", internal, "The terms that carts are \
priced on." }

/// The answer to [`GetPricingTerms`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricingTerms {
    /// Whether prices carry their tax inside.
    pub prices_include_tax: bool,
    /// What promotions of the cart together may take off the goods, in percent; null for no cap.
    pub max_discount_percent: Option<Amount>,
    /// How it would be shipped; null when it cannot be said, for want of an address or of a zone that has it.
    pub shipping_method: Option<String>,
    /// What that costs before promotions.
    pub shipping: Amount,
    /// The rate on shipping, in percent.
    pub shipping_tax_percent: Amount,
    /// The rate of each class asked for, in order, in percent.
    pub tax_percents: Vec<Amount>,
}
json_reply!(PricingTerms);

/// What orders and promotions both state of each order, for the auditor to compare: [`shares`] of its promotions.
pub const USED: &str = "promotion: uses = orders, spent = discounts of active orders";

/// Amounts by what took them, each once and in order: `"3=2.5 7=10"`.
pub fn shares(parts: impl IntoIterator<Item = (i64, Amount)>) -> String {
    let mut sums: BTreeMap<i64, Amount> = BTreeMap::new();
    for (id, amount) in parts {
        *sums.entry(id).or_default() += amount;
    }
    sums.iter().map(|(id, amount)| format!("{id}={}", amount.0.normalize())).collect::<Vec<_>>().join(" ")
}
