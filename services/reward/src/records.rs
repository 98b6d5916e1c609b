//! Tables: accounts, the ledger and its lots, points of orders, achievements, referrals, offers.

use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Amount, Json, Timestamp, UserId, id, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

use crate::rules::achievement::{CountedEvent, Rule};
use crate::rules::ladder::Tier;

id! {
    /// The id of a ledger entry.
    EntryId,
    /// The id of a lot of points.
    LotId,
    /// The id of an achievement.
    AchievementId,
    /// The id of an offer.
    OfferId,
    /// The id of a redeemed offer.
    RedemptionId,
}

record! {
    /// A user's account. Its totals are those of the ledger at `settled_at`.
    pub(crate) struct Account in Promox.reward_accounts = 620, key(user_id: UserId) {
        /// The sum of the entries that are available.
        balance: i64,
        /// The sum of the entries that are not available yet.
        pending: i64,
        /// Points that were revoked although the user no longer had them; they are deducted from the next points.
        debt: i64,
        /// The sum of the entries that count as earned.
        lifetime_earned: i64,
        /// The sum of the entries that count as earned in the last 365 days.
        tier_points: i64,
        tier: Tier,
        /// The version of the thresholds by which the tier was determined.
        ladder: i64,
        /// The time up to which lots were made available and expired, and old entries stopped counting for the tier.
        settled_at: Timestamp,
        /// When the account must be updated next; null for never. It may be earlier than needed.
        due_at: Option<Timestamp>,
        /// Whether the next order earns the signup bonus.
        signup_due: bool,
        /// The order that earned the signup bonus.
        signup_order: Option<OrderId>,
        /// The lot of the signup bonus.
        signup_lot: Option<LotId>,
        /// When the last birthday bonus was granted.
        birthday_at: Option<Timestamp>,
        /// When the user was erased. The ledger stays, and nothing more is granted.
        erased_at: Option<Timestamp>,
        created_at: Timestamp,
    }
    index AccountByDue = 621 (due_at);
    index AccountByLadder = 622 (ladder);
}

text_enum! {
    /// Why an entry changed the points.
    EntryKind {
        /// An order earned the points.
        Earn = "EARN",
        SignupBonus = "SIGNUP_BONUS",
        ReferralBonus = "REFERRAL_BONUS",
        BirthdayBonus = "BIRTHDAY_BONUS",
        Achievement = "ACHIEVEMENT",
        /// Staff adjusted the points.
        Adjust = "ADJUST",
        /// The points paid for an order or an offer.
        Redeem = "REDEEM",
        /// The points were restored, because what they paid for was returned, cancelled or not delivered.
        Restore = "RESTORE",
        /// The points were revoked, because what earned them was returned or cancelled.
        Revoke = "REVOKE",
        Expire = "EXPIRE",
        /// The points were forfeited, because their owner was erased.
        Forfeit = "FORFEIT",
    }
}

record! {
    /// An entry of the ledger. It never changes.
    pub(crate) struct Entry in Promox.point_transactions = 623, key(id: EntryId) {
        user_id: UserId,
        kind: EntryKind,
        /// The signed number of points; 0 if there was nothing left to revoke.
        points: i64,
        order_id: Option<OrderId>,
        /// What the entry refers to, such as `order:7`, `signup`, `signup:order:7` or `achievement:FIRST_ORDER`.
        reference: String,
        created_at: Timestamp,
        /// The time from which it counts in the balance; null for at once.
        available_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        /// The user whose tier it counts for; null if it does not count as earned.
        counted_for: Option<UserId>,
        /// When its points were earned; for a revocation, when the revoked points were earned.
        counted_at: Timestamp,
        /// What it adds to the tier points: its points minus the revoked points that the user no longer had.
        counted: i64,
    }
    index EntryByUser = 624 (user_id, created_at);
    index EntryByCount = 625 (counted_for, counted_at);
}

record! {
    /// Points that were granted together and expire together. Lots are spent in the order of their expiry.
    pub(crate) struct Lot in Promox.point_lots = 626, key(id: LotId) {
        user_id: UserId,
        /// The entry that granted the points.
        entry_id: EntryId,
        points: i64,
        /// The points that are not spent, expired or revoked.
        remaining: i64,
        available_at: Timestamp,
        expires_at: Option<Timestamp>,
        expired_at: Option<Timestamp>,
        /// The points that expired minus those revoked afterwards.
        lapsed: i64,
        /// When the points were earned; null if they do not count for tiers.
        earned_at: Option<Timestamp>,
        /// The owner while the lot is pending; null otherwise.
        pending_for: Option<UserId>,
        /// The owner while the lot has points to spend; null otherwise.
        open_for: Option<UserId>,
        /// When the lot expires; the end of time if it never does.
        spend_by: Timestamp,
    }
    index LotByOpen = 627 (open_for, spend_by);
    index LotByPending = 628 (pending_for, available_at);
}

/// Points of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) lot: LotId,
    pub(crate) points: i64,
}

record! {
    /// The points that an order spent and earned. The hold ends only with the order.
    pub(crate) struct OrderPoints in Promox.order_points = 629, key(order_id: OrderId) {
        user_id: UserId,
        state: HoldState,
        redeemed: i64,
        /// The lots that the redeemed points came from, without the points that were restored.
        parts: Json<Vec<Part>>,
        /// Points that were restored.
        given_back: i64,
        /// The value of a point when the points were held.
        point_value: Option<Amount>,
        earned: i64,
        /// Points that were revoked, by returns or a cancellation.
        taken_back: i64,
        /// The lot of the earned points.
        lot_id: Option<LotId>,
        /// When the order was confirmed and counted for achievements; null if it was not.
        counted_at: Option<Timestamp>,
        created_at: Timestamp,
        changed_at: Option<Timestamp>,
        /// When the order was cancelled; since then it no longer counts for achievements.
        cancelled_at: Option<Timestamp>,
    }
}

impl Hold for OrderPoints {
    const KIND: &'static str = "points";
    type Reference = OrderId;

    fn of(tx: &Tx<'_>, order_id: &OrderId) -> Result<Vec<Self>, StoreError> {
        Ok(tx.get::<Self>(order_id)?.into_iter().collect())
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, at: Timestamp) {
        (self.state, self.changed_at) = (state, Some(at));
    }
}

record! {
    /// A group of settings by name. The version of the row `epoch` counts the changes of all groups.
    pub(crate) struct Setting in Promox.reward_settings = 631, key(name: String) {
        value: Json<serde_json::Value>,
        version: i64,
    }
}

record! {
    /// An achievement.
    pub(crate) struct Achievement in Promox.achievements = 632, key(id: AchievementId) {
        /// The code; null once the achievement is deleted, so that the code is free again.
        code: Option<String>,
        /// The code, or the last code of a deleted achievement.
        last_code: String,
        name: String,
        description: String,
        rule: Json<Rule>,
        points: i64,
        badge: Option<String>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique AchievementByCode = 633 (code);
}

record! {
    /// An achievement that a user has earned. The key ensures that it is earned once.
    pub(crate) struct Unlocked in Promox.user_achievements = 635, key(user_id: UserId, achievement_id: AchievementId) {
        points: i64,
        at: Timestamp,
    }
}

text_enum! {
    /// The status of a referral.
    ReferralStatus {
        /// The referred user has not paid an order yet.
        Open = "OPEN",
        /// An order was confirmed. Whether the user has paid for and kept an order is to be checked.
        Due = "DUE",
        /// The referrer and the referred user have received their bonus for the order.
        Given = "GIVEN",
        /// There is no bonus: the referrer and the referred user are the same person, or the referred user was a
        /// customer before.
        Refused = "REFUSED",
    }
}

record! {
    /// A user who registered with a referral code.
    pub(crate) struct Referral in Promox.reward_referrals = 648, key(user_id: UserId) {
        /// The referrer.
        referrer: UserId,
        status: ReferralStatus,
        /// The order that earned the bonus.
        order_id: Option<OrderId>,
        /// The points that each of the two users was granted.
        points: i64,
        /// The lot of the referred user; null if the user was erased.
        lot_id: Option<LotId>,
        /// The lot of the referrer; null if the referrer was erased.
        referrer_lot_id: Option<LotId>,
        /// When it is checked next; null unless the status is `Due`.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        changed_at: Timestamp,
    }
    index ReferralByDue = 649 (due_at);
}

/// A counted event of a rule that counts only recent events.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The order or the redemption of the event, or 0.
    pub(crate) of: i64,
    pub(crate) at: i64,
    pub(crate) amount: Amount,
}

record! {
    /// A user's progress towards an achievement.
    pub(crate) struct Progress in Promox.achievement_progress = 636, key(user_id: UserId, achievement_id: AchievementId) {
        count: i64,
        sum: Amount,
        /// The counted events, if the rule counts only recent ones.
        marks: Json<Vec<Mark>>,
        updated_at: Timestamp,
    }
}

record! {
    /// The events counted for an order or a redemption, as long as they can be undone. Stored only while an achievement
    /// needs them.
    pub(crate) struct Counted in Promox.achievement_counts = 646, key(event: CountedEvent, of: i64) {
        user_id: UserId,
        times: i64,
        amount: Amount,
        /// When the event happened; achievements created later have not counted it.
        at: Timestamp,
    }
}

record! {
    /// A promotion that was applied to an order whose own event has not arrived yet. It is counted when the
    /// confirmation of the order arrives, so that an earlier cancellation is applied first.
    pub(crate) struct EarlyUse in Promox.achievement_early_uses = 647, key(order_id: OrderId, promotion_id: PromotionId) {
        user_id: UserId,
        amount: Amount,
        at: Timestamp,
    }
}

record! {
    /// An offer: a personal coupon in exchange for points.
    pub(crate) struct Offer in Promox.reward_catalogue = 640, key(id: OfferId) {
        name: String,
        description: String,
        /// The price in points.
        points: i64,
        /// The promotion of the coupon.
        promotion_id: PromotionId,
        /// The number of days for which the coupon is valid; null for no expiry.
        valid_days: Option<u32>,
        /// `true`, or null once the offer is deleted.
        listed: Option<bool>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    index OfferByListed = 641 (listed);
}

text_enum! {
    /// The status of a redeemed offer.
    OfferRedemptionStatus {
        /// The points are spent, and the coupon is not issued yet.
        Pending = "PENDING",
        Issued = "ISSUED",
        /// The coupon can no longer be issued; the points were restored.
        Failed = "FAILED",
    }
}

record! {
    /// A redeemed offer. The points are spent first, then the coupon is issued, then its code is recorded here.
    pub(crate) struct Redemption in Promox.reward_redemptions = 642, key(id: RedemptionId) {
        user_id: UserId,
        offer_id: OfferId,
        points: i64,
        promotion_id: PromotionId,
        valid_days: Option<u32>,
        parts: Json<Vec<Part>>,
        status: OfferRedemptionStatus,
        coupon_code: Option<String>,
        /// When it is continued; null unless it is pending.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        completed_at: Option<Timestamp>,
    }
    index RedemptionByDue = 643 (due_at);
    index RedemptionByUser = 644 (user_id, created_at);
}
