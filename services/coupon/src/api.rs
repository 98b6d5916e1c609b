//! Requests and replies of the coupons' own routes.

use promox_contract::ids::{OrderId, PromotionId};
use promox_contract::import::ImportReport;
use promox_contract::inventory::SkuQuantity;
use promox_contract::promotion::{RejectDetail, RejectReason};
use promox_kernel::{
    Amount, Body, Currency, Cursor, Download, Email, Limit, Page, Patch, Timestamp, UserId, json_reply, operation,
    text_enum,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{BatchId, BatchStatus, CouponStatus, RedemptionStatus};

/// A page of coupons, by code; of a promotion, the single ones first and then batch by batch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCoupons {
    /// Only keys to this promotion.
    pub promotion_id: Option<PromotionId>,
    /// Only those of this batch.
    pub batch_id: Option<BatchId>,
    /// Only those that stand so. A page may then have fewer items than its limit, and yet another page after it.
    pub status: Option<CouponStatus>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListCoupons => Page<CouponView>, "coupon.list", Get "/api/coupons", Permission("coupon:read"), 200, "Coupons, by code." }

/// Makes one coupon. 409 `CODE_TAKEN` when a coupon or a promotion has the code.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCoupon {
    /// The code, 3 to 40 characters beside spaces, `-` and `_`, compared without case and without those; made up unless said.
    pub code: Option<String>,
    /// What it is the key to.
    pub promotion_id: PromotionId,
    /// How often it can be used in all; without it, without end.
    pub max_redemptions: Option<u32>,
    /// How often one buyer can use it, by account and by e-mail address.
    pub per_user_limit: Option<u32>,
    /// The only one who can use it.
    pub user_id: Option<UserId>,
    /// From when it is good.
    pub starts_at: Option<Timestamp>,
    /// Until when, the moment itself not included.
    pub ends_at: Option<Timestamp>,
}
operation! { CreateCoupon => CouponView, "coupon.create", Post "/api/coupons", Permission("coupon:write"), 201, "\
Creates a coupon.", keyed }

/// One coupon.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCoupon {
    /// Its code, however it is written.
    pub code: String,
}
operation! { GetCoupon => CouponView, "coupon.get", Get "/api/coupons/{code}", Permission("coupon:read"), 200, "One coupon." }

text_enum! {
    /// What a coupon can be set to.
    CouponSwitch {
        Active = "ACTIVE",
        Disabled = "DISABLED",
    }
}

/// Changes the members that are sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCoupon {
    /// Which.
    pub code: String,
    /// `DISABLED` takes it out of use, `ACTIVE` puts it back.
    pub status: Option<CouponSwitch>,
    /// How often it can be used in all; not below how often it is.
    #[serde(default)]
    pub max_redemptions: Patch<u32>,
    /// How often one buyer can use it from now on.
    #[serde(default)]
    pub per_user_limit: Patch<u32>,
    /// The only one who can use it.
    #[serde(default)]
    pub user_id: Patch<UserId>,
    /// From when it is good.
    #[serde(default)]
    pub starts_at: Patch<Timestamp>,
    /// Until when.
    #[serde(default)]
    pub ends_at: Patch<Timestamp>,
}
operation! { UpdateCoupon => CouponView, "coupon.update", Patch "/api/coupons/{code}", Permission("coupon:write"), 200, "\
Updates a coupon." }

text_enum! {
    /// Which redemptions are listed.
    RedemptionFilter {
        Live = "LIVE",
        Released = "RELEASED",
        All = "ALL",
    }
}

/// A coupon's redemptions: the live ones, unless said otherwise; oldest first, of ALL the live ones first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRedemptions {
    /// Whose.
    pub code: String,
    /// `LIVE` unless said.
    pub status: Option<RedemptionFilter>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListRedemptions => Page<RedemptionView>, "coupon.redemptions", Get "/api/coupons/{code}/redemptions", Permission("coupon:read"), 200, "A coupon's redemptions." }

/// Makes many coupons. They are made in the background; the answer's id tells how far they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateBatch {
    /// How many: 1 to 10,000,000.
    pub count: i64,
    /// What they are keys to.
    pub promotion_id: PromotionId,
    /// How they look: `SAVE-####-####`, each `#` a letter or digit drawn at random. At least 1,000 codes must be possible for
    /// each that is made.
    pub pattern: Option<String>,
    /// Without a pattern: what they begin with.
    pub prefix: Option<String>,
    /// Without a pattern: how many random characters follow, 6 to 20; 12 unless said.
    pub length: Option<u32>,
    /// How often each can be used; once unless said.
    pub max_redemptions: Option<u32>,
    /// How often one buyer can use each.
    pub per_user_limit: Option<u32>,
    /// From when they are good.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// For how many days they are good from now, 1 to 3,650; the earlier of both ends counts.
    pub valid_days: Option<u32>,
}
operation! { CreateBatch => BatchView, "coupon.bulk", Post "/api/coupons/bulk", Permission("coupon:write"), 202, "\
Creates a batch of coupons.", keyed }

/// Batches, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBatches {
    /// Only keys to this promotion.
    pub promotion_id: Option<PromotionId>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListBatches => Page<BatchView>, "coupon.batches", Get "/api/coupons/batches", Permission("coupon:write"), 200, "Batches, newest first." }

/// One batch, and how far it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetBatch {
    /// Which.
    pub id: BatchId,
}
operation! { GetBatch => BatchView, "coupon.batch", Get "/api/coupons/batches/{id}", Permission("coupon:write"), 200, "\
One batch and its progress." }

/// A batch's codes as they are now, in key order: `code,status,redeemed,maxRedemptions,endsAt`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportBatch {
    /// Which.
    pub id: BatchId,
}
operation! { ExportBatch => Download, "coupon.export", Get "/api/coupons/batches/{id}/export", Permission("coupon:write"), 200, "\
A batch's codes as CSV. A row whose stored data is damaged is left out; the stream then ends with an \
error, so that the client can tell that it is incomplete, and the log names the row." }

/// Takes a whole batch out of use, at once and for good; codes that are not made yet are not made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisableBatch {
    /// Which.
    pub id: BatchId,
}
operation! { DisableBatch => BatchView, "coupon.disable_batch", Post "/api/coupons/batches/{id}/disable", Permission("coupon:write"), 200, "\
Disables a batch.", keyed }

/// Takes codes that were issued elsewhere; a code that is known is changed. One bad row harms no other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportCoupons {
    /// For rows that name no promotion.
    pub promotion_id: Option<PromotionId>,
    /// Rows of CSV with a header (`code,promotionId,maxRedemptions,perUserLimit,userId,startsAt,endsAt`, of which only `code`
    /// is needed), or one coupon with these members in JSON a line.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! { ImportCoupons => ImportReport, "coupon.import", Post "/api/coupons/import", Permission("coupon:write"), 200, "\
Imports codes that were issued elsewhere.", stream ["text/csv", "application/x-ndjson"], body }

/// Asks whether a code is good for these goods, and for how much. Who tries wrong codes too often gets 429.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidateCoupon {
    /// The code, however it is written.
    pub code: String,
    /// The goods. Without any, it is said whether the code is good at all.
    #[serde(default)]
    pub items: Vec<SkuQuantity>,
    /// The buyer's address, which limits per user go by; an account's own unless said.
    pub email: Option<Email>,
}
operation! { ValidateCoupon => Validation, "coupon.validate", Post "/api/coupons/validate", Anyone, 200, "\
Whether a code is valid, and the discount it gives." }

/// Redeems a coupon outside an order: at a till, by another shop. 422 `COUPON_INVALID` with `reason` when it is not good, or
/// its promotion does not apply. Asking again with the same reference changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedeemCoupon {
    /// Which.
    pub code: String,
    /// The caller's name for it, 1 to 100 characters, not beginning with `order:`.
    pub reference: String,
    /// The buyer's account. Those who are not named count as one buyer.
    pub user_id: Option<UserId>,
    /// The buyer's address.
    pub email: Option<Email>,
}
operation! { RedeemCoupon => RedemptionView, "coupon.redeem", Post "/api/coupons/{code}/redeem", Permission("coupon:redeem"), 200, "Redeems a coupon.", keyed }

/// Gives a redemption back. Asking again changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCoupon {
    /// Which.
    pub code: String,
    /// The name that it was redeemed under.
    pub reference: String,
}
operation! { ReleaseCoupon => RedemptionView, "coupon.release", Post "/api/coupons/{code}/release", Permission("coupon:redeem"), 200, "\
Releases a redemption.", keyed }

/// A coupon.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponView {
    /// As it is written.
    pub code: String,
    /// What it is the key to.
    pub promotion_id: PromotionId,
    /// The batch that it was made in.
    pub batch_id: Option<BatchId>,
    /// Where it stands.
    pub status: CouponStatus,
    /// How often it is used now.
    pub redeemed: u32,
    /// How often it can be used in all.
    pub max_redemptions: Option<u32>,
    /// How often one buyer can use it.
    pub per_user_limit: Option<u32>,
    /// The only one who can use it.
    pub user_id: Option<UserId>,
    /// From when it is good.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// Counts edits.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
}
json_reply!(CouponView, etag version);

/// A batch of coupons, and how far it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchView {
    /// Which.
    pub id: BatchId,
    /// What its codes are keys to.
    pub promotion_id: PromotionId,
    /// Where it stands.
    pub status: BatchStatus,
    /// How many are wanted.
    pub count: i64,
    /// How many are made.
    pub generated: i64,
    /// How they look.
    pub pattern: String,
    /// How often each can be used.
    pub max_redemptions: Option<u32>,
    /// How often one buyer can use each.
    pub per_user_limit: Option<u32>,
    /// From when they are good.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// Counts edits.
    pub version: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its last code was made.
    pub completed_at: Option<Timestamp>,
    /// When it was taken out of use.
    pub disabled_at: Option<Timestamp>,
}
json_reply!(BatchView, etag version);

/// A use of a coupon.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedemptionView {
    /// Which.
    pub id: i64,
    /// Who took it: `order:7`, or the caller's name for it.
    pub reference: String,
    /// The order, if it is one's.
    pub order_id: Option<OrderId>,
    /// The buyer's account.
    pub user_id: Option<UserId>,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// Where it stands.
    pub status: RedemptionStatus,
    /// When it was taken.
    pub redeemed_at: Timestamp,
    /// When it was given back.
    pub released_at: Option<Timestamp>,
}
json_reply!(RedemptionView);

/// Whether a code is good.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Whether it would have an effect now.
    pub valid: bool,
    /// Why not. To anonymous callers unknown, expired and foreign codes look the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RejectReason>,
    /// Conditions that are not met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<RejectDetail>,
    /// What it takes off goods and shipping.
    pub discount: Amount,
    /// In which currency.
    pub currency: Currency,
}
json_reply!(Validation);
