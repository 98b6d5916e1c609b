//! The operations of coupons, their requests and replies.

use promox_contract::ids::{OrderId, PromotionId};
use promox_contract::import::ImportReport;
use promox_contract::inventory::SkuQuantity;
use promox_contract::promotion::{RejectDetail, RejectReason};
use promox_kernel::{
    Amount, Body, Currency, Cursor, Download, Email, Limit, Page, Patch, Timestamp, UserId, json_reply, operation,
    text_enum,
};
use promox_storage::HoldState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{BatchId, BatchStatus, CouponStatus};

/// Lists coupons by code. For a promotion, single coupons come first, then batch by batch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCoupons {
    /// Only coupons of this promotion.
    pub promotion_id: Option<PromotionId>,
    /// Only coupons of this batch.
    pub batch_id: Option<BatchId>,
    /// Only coupons with this status. A page may then have fewer items than its limit even if more pages follow.
    pub status: Option<CouponStatus>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListCoupons => Page<CouponView>, "coupon.list", Get "/api/coupons", Permission("coupon:read"), 200,
    "Lists coupons by code.", refuses [404]
}

/// Creates a coupon. 409 `CODE_TAKEN` if a coupon or a promotion has the code.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCoupon {
    /// The code, 3 to 40 characters, not counting spaces, `-` and `_`. Comparisons ignore these and case. By default a
    /// code is generated.
    pub code: Option<String>,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The maximum number of redemptions in total; null for no limit.
    pub max_redemptions: Option<u32>,
    /// The maximum number of redemptions per buyer, identified by account and e-mail address; null for no limit.
    pub per_user_limit: Option<u32>,
    /// The only user who can redeem it; null if anyone can.
    pub user_id: Option<UserId>,
    /// When it becomes valid.
    pub starts_at: Option<Timestamp>,
    /// When it ends, exclusive.
    pub ends_at: Option<Timestamp>,
}
operation! {
    CreateCoupon => CouponView, "coupon.create", Post "/api/coupons", Permission("coupon:write"), 201,
    "Creates a coupon.", keyed
}

/// Gets a coupon.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCoupon {
    /// The code, in any spelling.
    pub code: String,
}
operation! {
    GetCoupon => CouponView, "coupon.get", Get "/api/coupons/{code}", Permission("coupon:read"), 200,
    "Gets a coupon."
}

text_enum! {
    /// The statuses that a coupon can be set to.
    CouponSwitch {
        Active = "ACTIVE",
        Disabled = "DISABLED",
    }
}

/// Updates a coupon. Members that are left out keep their values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCoupon {
    /// The code.
    pub code: String,
    /// `DISABLED` disables it, `ACTIVE` enables it again.
    pub status: Option<CouponSwitch>,
    /// The maximum number of redemptions in total, not lower than the number of active ones; null for no limit.
    #[serde(default)]
    pub max_redemptions: Patch<u32>,
    /// The maximum number of redemptions per buyer, for future redemptions; null for no limit.
    #[serde(default)]
    pub per_user_limit: Patch<u32>,
    /// The only user who can redeem it; null if anyone can.
    #[serde(default)]
    pub user_id: Patch<UserId>,
    /// When it becomes valid.
    #[serde(default)]
    pub starts_at: Patch<Timestamp>,
    /// When it ends.
    #[serde(default)]
    pub ends_at: Patch<Timestamp>,
}
operation! {
    UpdateCoupon => CouponView, "coupon.update", Patch "/api/coupons/{code}", Permission("coupon:write"), 200,
    "Updates a coupon."
}

text_enum! {
    /// A filter of redemptions.
    RedemptionFilter {
        Live = "LIVE",
        Released = "RELEASED",
        All = "ALL",
    }
}

/// Lists a coupon's redemptions, oldest first; with `ALL`, the active ones come first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRedemptions {
    /// The coupon's code.
    pub code: String,
    /// Which redemptions to list: active ones (`LIVE`, the default), `RELEASED` ones, or `ALL`.
    pub status: Option<RedemptionFilter>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListRedemptions => Page<RedemptionView>, "coupon.redemptions", Get "/api/coupons/{code}/redemptions",
    Permission("coupon:read"), 200,
    "Lists a coupon's redemptions."
}

/// Creates a batch of coupons. They are generated in the background, and the batch shows the progress.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateBatch {
    /// The number of coupons, 1 to 10,000,000.
    pub count: i64,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The pattern, such as `SAVE-####-####`, where each `#` is a random letter or digit. At least 1,000 codes must be
    /// possible for each that is generated.
    pub pattern: Option<String>,
    /// A prefix, instead of a pattern.
    pub prefix: Option<String>,
    /// The number of random characters after the prefix, 6 to 20; 12 by default.
    pub length: Option<u32>,
    /// The maximum number of redemptions of each coupon; 1 by default.
    pub max_redemptions: Option<u32>,
    /// The maximum number of redemptions of each coupon per buyer; null for no limit.
    pub per_user_limit: Option<u32>,
    /// When they become valid.
    pub starts_at: Option<Timestamp>,
    /// When they end, exclusive.
    pub ends_at: Option<Timestamp>,
    /// The number of days for which they are valid from now, 1 to 3,650. If `endsAt` is also given, the earlier end
    /// applies.
    pub valid_days: Option<u32>,
}
operation! {
    CreateBatch => BatchView, "coupon.bulk", Post "/api/coupons/bulk", Permission("coupon:write"), 202,
    "Creates a batch of coupons.", keyed
}

/// Lists batches, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBatches {
    /// Only batches of this promotion.
    pub promotion_id: Option<PromotionId>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListBatches => Page<BatchView>, "coupon.batches", Get "/api/coupons/batches", Permission("coupon:write"), 200,
    "Lists batches, newest first."
}

/// Gets a batch and its progress.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetBatch {
    /// The id.
    pub id: BatchId,
}
operation! {
    GetBatch => BatchView, "coupon.batch", Get "/api/coupons/batches/{id}", Permission("coupon:write"), 200,
    "Gets a batch and its progress."
}

/// Exports a batch's codes, in code order, with the columns `code,status,redeemed,maxRedemptions,endsAt`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportBatch {
    /// The id.
    pub id: BatchId,
}
operation! {
    ExportBatch => Download, "coupon.export", Get "/api/coupons/batches/{id}/export", Permission("coupon:write"), 200,
    "Exports a batch's codes as CSV. A row whose stored data is damaged is left out; the stream then ends with an error, so \
    that the client can tell that it is incomplete, and the log names the row.",
    sends ["text/csv"]
}

/// Disables a whole batch immediately and permanently. Codes that have not been generated yet will not be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisableBatch {
    /// The id.
    pub id: BatchId,
}
operation! {
    DisableBatch => BatchView, "coupon.disable_batch", Post "/api/coupons/batches/{id}/disable",
    Permission("coupon:write"), 200,
    "Disables a batch.", keyed
}

/// Imports codes that were issued elsewhere, and updates existing ones. A faulty row does not affect the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportCoupons {
    /// The promotion of rows that do not name one.
    pub promotion_id: Option<PromotionId>,
    /// Rows of CSV with a header (`code,promotionId,maxRedemptions,perUserLimit,userId,startsAt,endsAt`, of which only
    /// `code` is required), or one coupon with these members as JSON per line.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! {
    ImportCoupons => ImportReport, "coupon.import", Post "/api/coupons/import", Permission("coupon:write"), 200,
    "Imports codes that were issued elsewhere.", stream ["text/csv", "application/x-ndjson"], body
}

/// Checks whether a code is valid for the given items, and calculates its discount. 429 after too many wrong codes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidateCoupon {
    /// The code, in any spelling.
    pub code: String,
    /// The items. Without items, only the general validity is checked.
    #[serde(default)]
    pub items: Vec<SkuQuantity>,
    /// The buyer's e-mail address, for limits per user; by default, the account's.
    pub email: Option<Email>,
}
operation! {
    ValidateCoupon => Validation, "coupon.validate", Post "/api/coupons/validate", Anyone, 200,
    "Checks whether a code is valid, and calculates its discount."
}

/// Redeems a coupon outside an order, for example at a till or in another shop. 422 `COUPON_INVALID` with `reason` if
/// it is not valid or its promotion does not apply. Repeating the call with the same reference changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedeemCoupon {
    /// The code.
    pub code: String,
    /// The caller's reference, 1 to 100 characters, not beginning with `order:`.
    pub reference: String,
    /// The buyer's account. All buyers without one count as one buyer.
    pub user_id: Option<UserId>,
    /// The buyer's e-mail address.
    pub email: Option<Email>,
}
operation! {
    RedeemCoupon => RedemptionView, "coupon.redeem", Post "/api/coupons/{code}/redeem",
    Permission("coupon:redeem"), 200,
    "Redeems a coupon.", keyed
}

/// Releases a redemption. Repeating the call changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCoupon {
    /// The code.
    pub code: String,
    /// The reference of the redemption.
    pub reference: String,
}
operation! {
    ReleaseCoupon => RedemptionView, "coupon.release", Post "/api/coupons/{code}/release",
    Permission("coupon:redeem"), 200,
    "Releases a redemption.", keyed
}

/// A coupon.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponView {
    /// The code as written.
    pub code: String,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The batch, if any.
    pub batch_id: Option<BatchId>,
    /// The status.
    pub status: CouponStatus,
    /// The number of active redemptions.
    pub redeemed: u32,
    /// The maximum number of redemptions in total; null for no limit.
    pub max_redemptions: Option<u32>,
    /// The maximum number of redemptions per buyer; null for no limit.
    pub per_user_limit: Option<u32>,
    /// The only user who can redeem it.
    pub user_id: Option<UserId>,
    /// When it becomes valid.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// The version; it increases with each edit.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
}
json_reply!(CouponView, etag version);

/// A batch of coupons and its progress.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchView {
    /// The id.
    pub id: BatchId,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The status.
    pub status: BatchStatus,
    /// The number of coupons requested.
    pub count: i64,
    /// The number of coupons generated so far.
    pub generated: i64,
    /// The pattern.
    pub pattern: String,
    /// The maximum number of redemptions of each coupon.
    pub max_redemptions: Option<u32>,
    /// The maximum number of redemptions of each coupon per buyer; null for no limit.
    pub per_user_limit: Option<u32>,
    /// When they become valid.
    pub starts_at: Option<Timestamp>,
    /// When they end.
    pub ends_at: Option<Timestamp>,
    /// The version; it increases with each edit.
    pub version: i64,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When the last code was generated; null until then.
    pub completed_at: Option<Timestamp>,
    /// When it was disabled; null if it was not.
    pub disabled_at: Option<Timestamp>,
}
json_reply!(BatchView, etag version);

/// A redemption of a coupon.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CouponRedemptionView")]
pub struct RedemptionView {
    /// The id.
    pub id: i64,
    /// What it was redeemed for: `order:7`, or the caller's reference.
    pub reference: String,
    /// The order, if any.
    pub order_id: Option<OrderId>,
    /// The buyer's account; null for a guest.
    pub user_id: Option<UserId>,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The status.
    pub status: RedemptionStatus,
    /// When it was redeemed.
    pub redeemed_at: Timestamp,
    /// When it was released; null while it is active.
    pub released_at: Option<Timestamp>,
}
json_reply!(RedemptionView);

text_enum! {
    /// The status of a redemption.
    RedemptionStatus {
        Live = "LIVE",
        Released = "RELEASED",
    }
}

impl RedemptionStatus {
    /// The status of a redemption, by the state of its hold.
    pub(crate) fn of(state: HoldState) -> Self {
        if state.is_live() { Self::Live } else { Self::Released }
    }
}

/// The validity of a code.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Whether the code would apply now.
    pub valid: bool,
    /// The reason why it would not. For anonymous callers, unknown, expired and personal codes look the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RejectReason>,
    /// The unmet conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<RejectDetail>,
    /// The discount on goods and shipping.
    pub discount: Amount,
    /// The currency.
    pub currency: Currency,
}
json_reply!(Validation);
