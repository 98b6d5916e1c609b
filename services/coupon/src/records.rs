//! The tables of coupons. The codes of a batch repeat its terms, so that a lookup reads at most two rows.

use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Timestamp, UserId, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};

promox_kernel::id! {
    /// A batch of codes.
    BatchId
}

text_enum! {
    /// The status of a coupon.
    CouponStatus {
        Active = "ACTIVE",
        Disabled = "DISABLED",
        Expired = "EXPIRED",
        Exhausted = "EXHAUSTED",
    }
}

text_enum! {
    /// The status of a batch.
    BatchStatus {
        Generating = "GENERATING",
        Completed = "COMPLETED",
        /// Its pattern has no free codes left.
        Failed = "FAILED",
        Disabled = "DISABLED",
    }
}

record! {
    /// A coupon. Its key is the normal form of its code.
    pub(crate) struct Coupon in Promox.coupons = 590, key(code: String) {
        promotion_id: PromotionId,
        /// Its batch, if any.
        batch_id: Option<BatchId>,
        /// The code as written; null if it equals the key, and for codes of a batch, which are formatted by its
        /// pattern.
        written: Option<String>,
        max_redemptions: Option<u32>,
        per_user_limit: Option<u32>,
        /// The only user who can redeem it; null if anyone can.
        user_id: Option<UserId>,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        disabled: bool,
        /// The number of active redemptions.
        redeemed: u32,
        /// The version; it increases with each edit, but not with redemptions.
        version: i64,
        created_at: Timestamp,
    }
    index CouponByPromotion = 591 (promotion_id, batch_id);
}

record! {
    /// A batch of codes and its progress.
    pub(crate) struct Batch in Promox.coupon_batches = 592, key(id: BatchId) {
        promotion_id: PromotionId,
        pattern: String,
        count: i64,
        generated: i64,
        max_redemptions: Option<u32>,
        per_user_limit: Option<u32>,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        status: BatchStatus,
        /// True while codes remain to be generated, otherwise null, so that the index contains only such batches.
        making: Option<bool>,
        version: i64,
        created_at: Timestamp,
        completed_at: Option<Timestamp>,
        disabled_at: Option<Timestamp>,
    }
    index BatchByMaking = 593 (making);
    index BatchByCreated = 615 (created_at);
}

record! {
    /// A use of a code. It counts from the hold on, so posting changes nothing.
    pub(crate) struct Redemption in Promox.coupon_redemptions = 594, key(id: i64) {
        code: String,
        promotion_id: PromotionId,
        /// What it was redeemed for: `order:7`, or the caller's reference.
        reference: String,
        order_id: Option<OrderId>,
        user_id: Option<UserId>,
        /// The buyer's address in normal form, the account's or the guest's; `-` for buyers without any.
        email: Option<String>,
        /// The exact form of the address within its mailbox.
        email_exact: Option<String>,
        /// The address that was given in addition to the account's, in normal form.
        other_email: Option<String>,
        /// The exact form of the other address within its mailbox.
        other_exact: Option<String>,
        /// The limit per user at the time.
        user_limit: Option<u32>,
        state: HoldState,
        redeemed_at: Timestamp,
        released_at: Option<Timestamp>,
    }
    unique RedemptionByReference = 595 (reference, code);
    index RedemptionByCode = 596 (code, state);
    index RedemptionByUser = 597 (user_id, code, state);
    index RedemptionByEmail = 598 (email, code, state);
    index RedemptionByOtherEmail = 601 (other_email, code, state);
}

impl Hold for Redemption {
    const KIND: &'static str = "coupon";
    type Reference = String;

    fn of(tx: &Tx<'_>, reference: &String) -> Result<Vec<Self>, StoreError> {
        tx.scan_by::<RedemptionByReference>().prefix(reference.as_str()).rows().collect()
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, at: Timestamp) {
        (self.state, self.released_at) = (state, Some(at));
    }
}

record! {
    /// A personal coupon, by the reference for which it was issued.
    pub(crate) struct Issue in Promox.coupon_issues = 600, key(reference: String) {
        /// The code as written.
        code: String,
        at: Timestamp,
    }
}
