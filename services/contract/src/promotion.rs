//! Operations of the promotion service for other services: catalog prices and discounts of carts.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Currency, Email, UserId, fact, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::{CampaignId, CategoryId, FlashSaleId, OrderId, PromotionId};
use crate::product::SkuDescription;

text_enum! {
    /// The reason why a promotion or code does not apply.
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

/// A promotion that applies to an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedPromotion {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The promotion's name.
    pub name: String,
    /// The promotion code that the buyer entered, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The coupon code that the buyer entered, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// The discount on goods.
    pub amount: Amount,
    /// The discount on shipping.
    pub shipping_amount: Amount,
}

/// A promotion or code that does not apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedPromotion {
    /// The promotion, if the caller may know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<PromotionId>,
    /// The code as entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason.
    pub reason: RejectReason,
    /// The conditions that are not met.
    pub details: Vec<RejectDetail>,
}

/// A condition that is not met: the required value, the cart's value, and the difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectDetail {
    /// The field, such as `"cart.subtotal"`.
    pub field: String,
    /// The operator, such as `"GTE"`.
    pub op: String,
    /// The required value.
    pub wanted: serde_json::Value,
    /// The cart's value.
    pub actual: serde_json::Value,
    /// The difference to the required value, for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Amount>,
}

/// A line of a cart, as promotions evaluate it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// The data and prices of the SKU.
    pub item: SkuDescription,
    /// The quantity.
    pub quantity: u32,
    /// The flash sale in which the line was reserved.
    pub flash_sale_id: Option<FlashSaleId>,
}

/// A code that belongs to a coupon.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCode {
    /// The code as entered.
    pub code: String,
    /// The coupon's promotion.
    pub promotion_id: PromotionId,
    /// The reason why the coupon is not valid now, if it is not.
    pub reason: Option<RejectReason>,
}

/// Calculates the discounts of a cart. It holds and counts nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateCart {
    /// The lines. Each SKU occurs once, apart from lines of flash sales.
    pub lines: Vec<CartLine>,
    /// The currency of all prices.
    pub currency: Currency,
    /// The buyer, for limits per person.
    pub buyer: Buyer,
    /// The codes of promotions and coupons, as the buyer entered them.
    pub codes: Vec<String>,
    /// The codes that belong to coupons, with their promotions.
    pub coupons: Vec<ResolvedCode>,
    /// The cost of shipping before discounts.
    pub shipping: Amount,
    /// The shipping method.
    pub shipping_method: Option<String>,
    /// The ISO 3166 code of the country of destination.
    pub country: Option<String>,
    /// The payment method.
    pub payment_method: Option<String>,
    /// The sales channel, `WEB` by default.
    pub channel: Option<String>,
    /// The cart's own attributes.
    pub attributes: BTreeMap<String, String>,
    /// The shipping address in normal form, for limits per address.
    pub address_key: Option<String>,
}
operation! { EvaluateCart => Evaluation, "promotion.evaluate_cart", internal, "Discounts applied to a cart." }

/// The discounts of a cart.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// For each line, in the order of the request, the discount of each promotion.
    pub line_discounts: Vec<Vec<LineDiscount>>,
    /// The discount on shipping.
    pub shipping_discount: Amount,
    /// The promotions that apply, in the order in which they were applied.
    pub applied: Vec<AppliedPromotion>,
    /// The promotions and codes that do not apply, with the reasons.
    pub rejected: Vec<RejectedPromotion>,
    /// Automatic promotions for which the cart lacks a single amount or quantity, at most 3.
    pub offers: Vec<Offer>,
    /// The gifts.
    pub gifts: Vec<Gift>,
    /// The points multiplier of the order; 1 by default.
    pub points_multiplier: Option<Amount>,
    /// The uses to count when the order is placed, one for each promotion that applies.
    pub uses: Vec<PromotionUse>,
    /// Messages about checks that were skipped.
    pub warnings: Vec<String>,
}
json_reply!(Evaluation);

impl Evaluation {
    /// The total discount on goods.
    pub fn goods_discount(&self) -> Amount {
        self.line_discounts.iter().flatten().map(|discount| discount.amount).sum()
    }
}

/// An automatic promotion for which the cart lacks a single amount or quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The promotion's name.
    pub name: String,
    /// The field whose value is too low, such as `"cart.subtotal"`.
    pub field: String,
    /// The amount or quantity that is missing.
    pub missing: Amount,
    /// A message for the buyer, such as `3.20 more for free shipping`.
    pub message: String,
}

/// A gift, which is given only while it is in stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gift {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The SKU.
    pub sku: promox_kernel::Sku,
    /// The quantity.
    pub quantity: u32,
    /// The catalog price of a unit, which is deducted from the budget.
    pub value: Amount,
}

/// A use of a promotion, which counts against its limits and budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionUse {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The promotion's campaign, if any.
    pub campaign_id: Option<CampaignId>,
    /// The coupon, if any.
    pub coupon_code: Option<String>,
    /// Whether the buyer entered a code for the promotion.
    pub named: bool,
    /// The amount that budgets count: discounts on goods and shipping, and gifts at their catalog prices.
    pub amount: Amount,
}

/// Holds the uses of an order's promotions against every limit and budget, all or nothing, until the order ends.
/// Repeating the request changes nothing. 422 `PROMOTION_INVALID` with `promotionId` and `reason` if a limit or budget
/// is reached.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldUses {
    /// The order.
    pub order_id: OrderId,
    /// The buyer.
    pub buyer: Buyer,
    /// The shipping address in normal form, for limits per address.
    pub address_key: Option<String>,
    /// The uses.
    pub uses: Vec<PromotionUse>,
}
operation! { HoldUses => (), "promotion.hold_uses", internal, "Holds an order's uses of promotions." }

/// Releases an order's uses, whether held or posted. It has an effect once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseUses {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseUses => (), "promotion.release_uses", internal, "Releases an order's uses of promotions." }

/// Gets the current catalog prices of SKUs for the caller, after price rules.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCatalogPrices {
    /// The SKUs with their list prices.
    pub items: Vec<SkuDescription>,
    /// The sales channel, `WEB` by default.
    pub channel: Option<String>,
    /// Whether to return the prices of an anonymous visitor instead of the caller's.
    pub anonymous: bool,
}
operation! {
    GetCatalogPrices => CatalogPrices, "promotion.get_catalog_prices", internal,
    "Catalog prices of SKUs, after price rules."
}

/// The answer to [`GetCatalogPrices`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPrices {
    /// For each item, in the order of the request, its current price. Empty if no price rule is active, so that all
    /// list prices apply.
    pub prices: Vec<Amount>,
    /// Changes whenever an anonymous visitor's price may have changed. Values derived from another epoch are stale. 0
    /// if no price rule is active.
    pub epoch: i64,
    /// Whether a price depends on the caller or the channel, so that derived values must not be shared.
    pub personal: bool,
    /// A coarser form of `epoch`: lists sorted by price are updated whenever it changes. 0 if no price rule is active.
    /// See [`CATALOG_PRICE_EPOCH`].
    pub rules_state: i64,
}
json_reply!(CatalogPrices);

/// The name of an epoch in the promotion service's database. The service starts a new one whenever
/// [`CatalogPrices::rules_state`] may have changed.
pub const CATALOG_PRICE_EPOCH: &str = "promotion.shelf";

/// Gets the names of promotions; unknown ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribePromotions {
    /// The ids.
    pub ids: Vec<PromotionId>,
}
operation! { DescribePromotions => PromotionDescriptions, "promotion.describe", internal, "The names of promotions." }

/// The answer to [`DescribePromotions`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionDescriptions {
    /// The promotions found.
    pub items: Vec<PromotionDescription>,
}
json_reply!(PromotionDescriptions);

/// The data of a promotion for other services.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionDescription {
    /// The id.
    pub id: PromotionId,
    /// The promotion's name.
    pub name: String,
    /// The promotion's campaign, if any.
    pub campaign_id: Option<CampaignId>,
}

/// Finds out which of these codes promotions already use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindPromotionCodes {
    /// The codes in normal form.
    pub codes: Vec<String>,
}
operation! {
    FindPromotionCodes => CodesInUse, "promotion.codes_taken", internal,
    "Which codes are used by promotions."
}

/// Codes that are already in use.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodesInUse {
    /// The codes in use, in normal form.
    pub taken: Vec<String>,
}
json_reply!(CodesInUse);

/// Claims codes for coupons that are being created, so that no promotion takes them meanwhile. Promotions and coupons
/// share one namespace. Codes that promotions use are returned and not claimed. If a promotion is about to take one of
/// the codes, the request waits, and finally fails with 503 `CODES_BUSY`. A claim expires after two minutes; a new
/// claim of the same owner replaces it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimCodes {
    /// Identifies the claim, so that it can be released.
    pub owner: String,
    /// The codes in normal form.
    pub codes: Vec<String>,
    /// A range of codes to be generated: all codes of one length from the first to the last. Whether promotions use
    /// them is checked when they are generated.
    pub span: Option<(String, String)>,
}
operation! { ClaimCodes => CodesInUse, "promotion.claim_codes", internal, "Claims codes for coupons." }

/// Releases a claim, after its coupons were created or their creation was given up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCodes {
    /// The owner of the claim.
    pub owner: String,
}
operation! { ReleaseCodes => (), "promotion.release_codes", internal, "Releases claimed codes." }

/// Finds a promotion that refers to a campaign, a category or a segment, so that none in use is deleted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindReferencingPromotion {
    /// Promotions that refer to this campaign.
    pub campaign_id: Option<CampaignId>,
    /// Promotions that are not archived and refer to this segment.
    pub segment: Option<String>,
    /// Promotions that are not archived and refer to this category in a filter.
    pub category_id: Option<CategoryId>,
}
operation! {
    FindReferencingPromotion => ReferencingPromotion, "promotion.find_referencing", internal,
    "A promotion that refers to an entity."
}

/// The answer to [`FindReferencingPromotion`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferencingPromotion {
    /// The first promotion found.
    pub promotion_id: Option<PromotionId>,
}
json_reply!(ReferencingPromotion);

/// Replaces a category by another in all promotions that are not archived, so that it can be deleted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplaceCategory {
    /// The category that is to be deleted.
    pub category_id: CategoryId,
    /// The category that replaces it.
    pub by: CategoryId,
}
operation! { ReplaceCategory => (), "promotion.replace_category", internal, "Replaces a category in promotions." }

/// Whether anything refers to a promotion, which then must not be deleted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsReferenced {
    /// Whether there is a reference.
    pub referred: bool,
}
json_reply!(IsReferenced);

/// The data of a customer that conditions compare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Customer {
    /// The account; null for a guest.
    pub id: Option<UserId>,
    /// The e-mail address.
    pub email: Option<Email>,
    /// The reward tier, such as `"GOLD"`.
    pub tier: Option<String>,
    /// The names of the customer's segments.
    pub segments: Vec<String>,
    /// The number of earlier orders that neither failed nor were cancelled.
    pub order_count: i64,
    /// The sum of those orders' totals.
    pub total_spent: Amount,
    /// Days since the account was created.
    pub registered_days: Option<i64>,
    /// Whether the customer is a guest.
    pub is_guest: bool,
    /// The account's attributes.
    pub attributes: BTreeMap<String, String>,
}

/// An order used a promotion. Emitted when the order is confirmed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionApplied {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The promotion's campaign, if any.
    pub campaign_id: Option<CampaignId>,
    /// The order.
    pub order_id: OrderId,
    /// The amount.
    pub amount: Amount,
    /// The account, if any.
    #[serde(default)]
    pub user_id: Option<UserId>,
}
fact! { PromotionApplied = "PROMOTION_APPLIED" in "promotion" }

/// The discount of a promotion on a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineDiscount {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The coupon, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// The amount.
    pub amount: Amount,
}

/// Gets the terms that carts are priced with from the order service: the cap on discounts, the cost of shipping to an
/// address, and its tax rates.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPricingTerms {
    /// The ISO 3166 code of the address's country; null if there is no address yet.
    pub country: Option<String>,
    /// The region of the address.
    pub region: Option<String>,
    /// The shipping method; the cheapest by default.
    pub shipping_method: Option<String>,
    /// The goods' total after discounts, for the thresholds of shipping rates.
    pub subtotal: Amount,
    /// The tax classes whose rates are requested.
    pub tax_classes: Vec<String>,
}
operation! { GetPricingTerms => PricingTerms, "order.pricing_terms", internal, "The terms that carts are priced with." }

/// The answer to [`GetPricingTerms`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricingTerms {
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The cap on all promotions of the cart together, in percent of the goods; null for no cap.
    pub max_discount_percent: Option<Amount>,
    /// The shipping method; null if there is no address, or no zone for it.
    pub shipping_method: Option<String>,
    /// The cost of shipping before discounts.
    pub shipping: Amount,
    /// The tax rate of shipping, in percent.
    pub shipping_tax_percent: Amount,
    /// The tax rate of each class, in the order of the request, in percent.
    pub tax_percents: Vec<Amount>,
}
json_reply!(PricingTerms);

/// The audit's name for the check that orders and promotions agree on the [`shares`] of each order's promotions.
pub const USED: &str = "promotion: uses = orders, spent = discounts of active orders";

/// Formats amounts by id, sorted and summed: `"3=2.5 7=10"`.
pub fn shares(parts: impl IntoIterator<Item = (i64, Amount)>) -> String {
    let mut sums: BTreeMap<i64, Amount> = BTreeMap::new();
    for (id, amount) in parts {
        *sums.entry(id).or_default() += amount;
    }
    sums.iter().map(|(id, amount)| format!("{id}={}", amount.0.normalize())).collect::<Vec<_>>().join(" ")
}
