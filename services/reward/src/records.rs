//! The tables of rewards: accounts, their ledger and its lots, points of orders, achievements, the catalogue.

use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Amount, Json, Timestamp, UserId, id, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

use crate::rules::achievement::{CountedEvent, Rule};
use crate::rules::ladder::Tier;

id! {
    /// An entry of the ledger.
    EntryId,
    /// A lot of points.
    LotId,
    /// An achievement.
    AchievementId,
    /// An offer of the catalogue.
    OfferId,
    /// A redeemed offer.
    RedemptionId,
}

record! {
    /// A user's account. Its sums are those of the ledger at `settled_at`.
    pub(crate) struct Account in Promox.reward_accounts = 620, key(user_id: UserId) {
        /// Sum of the entries that are available.
        balance: i64,
        /// Sum of the entries that are not available yet.
        pending: i64,
        /// Points that were to be revoked but were not there.
        debt: i64,
        /// Sum of the entries that count as earned.
        lifetime_earned: i64,
        /// Sum of the entries that count as earned in the last 365 days.
        tier_points: i64,
        tier: Tier,
        /// The version of the thresholds that the tier is from.
        ladder: i64,
        /// The time until which lots were made available, expired and taken out of the count.
        settled_at: Timestamp,
        /// When that is due next, or earlier; null for never.
        due_at: Option<Timestamp>,
        /// Whether the next order earns the signup bonus.
        signup_due: bool,
        /// The order that earned the signup bonus, and the lot of the bonus.
        signup_order: Option<OrderId>,
        signup_lot: Option<LotId>,
        /// When the last birthday bonus was granted.
        birthday_at: Option<Timestamp>,
        /// When the person was erased: the ledger stays, nothing is granted any more.
        erased_at: Option<Timestamp>,
        created_at: Timestamp,
    }
    index AccountByDue = 621 (due_at);
    index AccountByLadder = 622 (ladder);
}

text_enum! {
    /// Why points moved.
    EntryKind {
        /// An order earned them.
        Earn = "EARN",
        SignupBonus = "SIGNUP_BONUS",
        ReferralBonus = "REFERRAL_BONUS",
        BirthdayBonus = "BIRTHDAY_BONUS",
        Achievement = "ACHIEVEMENT",
        /// Staff adjusted them.
        Adjust = "ADJUST",
        /// They paid an order or an offer of the catalogue.
        Redeem = "REDEEM",
        /// What they paid was returned or refunded, and so were they.
        Restore = "RESTORE",
        /// What earned them was returned or cancelled.
        Revoke = "REVOKE",
        Expire = "EXPIRE",
        /// Their owner was erased.
        Forfeit = "FORFEIT",
    }
}

record! {
    /// An entry of the ledger; never changed.
    pub(crate) struct Entry in Promox.point_transactions = 623, key(id: EntryId) {
        user_id: UserId,
        kind: EntryKind,
        /// Signed; 0 when there was nothing to revoke.
        points: i64,
        order_id: Option<OrderId>,
        /// `order:7`, `signup`, `signup:order:7`, `achievement:FIRST_ORDER`.
        reference: String,
        created_at: Timestamp,
        /// From when it counts in the balance; null for at once.
        available_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        /// The user whose tier it counts for; null if it does not count as earned.
        counted_for: Option<UserId>,
        /// When it was earned, or when what it revokes was earned.
        counted_at: Timestamp,
        /// What it counts for the tier: its points, and revoked ones that were not there any more.
        counted: i64,
    }
    index EntryByUser = 624 (user_id, created_at);
    index EntryByCount = 625 (counted_for, counted_at);
}

record! {
    /// Points that were granted together and expire together; lots are spent in the order of their expiry.
    pub(crate) struct Lot in Promox.point_lots = 626, key(id: LotId) {
        user_id: UserId,
        /// The entry that granted them.
        entry_id: EntryId,
        points: i64,
        /// The points that are neither spent, expired nor revoked.
        remaining: i64,
        available_at: Timestamp,
        expires_at: Option<Timestamp>,
        expired_at: Option<Timestamp>,
        /// The points that expired, less those revoked since.
        lapsed: i64,
        /// When they were earned; null if they do not count for tiers.
        earned_at: Option<Timestamp>,
        /// The owner, while the lot is pending.
        pending_for: Option<UserId>,
        /// The owner, while the lot has points to spend.
        open_for: Option<UserId>,
        /// When it expires; the end of time for never.
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
    /// The points that an order took and earned. Only its order ends it.
    pub(crate) struct OrderPoints in Promox.order_points = 629, key(order_id: OrderId) {
        user_id: UserId,
        state: HoldState,
        redeemed: i64,
        /// The lots that they came from, less what was restored.
        parts: Json<Vec<Part>>,
        given_back: i64,
        /// The value of a point when they were taken.
        point_value: Option<Amount>,
        earned: i64,
        /// Points to revoke in total, by returns or a cancellation.
        taken_back: i64,
        /// The lot of its earned points.
        lot_id: Option<LotId>,
        /// When it was confirmed and counted for achievements; null if it was released before.
        counted_at: Option<Timestamp>,
        created_at: Timestamp,
        changed_at: Option<Timestamp>,
        /// When it was cancelled: it no longer counts for achievements.
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
    /// A group of settings by name, and under `epoch` the number of all changes.
    pub(crate) struct Setting in Promox.reward_settings = 631, key(name: String) {
        value: Json<serde_json::Value>,
        version: i64,
    }
}

record! {
    /// An achievement.
    pub(crate) struct Achievement in Promox.achievements = 632, key(id: AchievementId) {
        /// Null once it is deleted: the code is free again.
        code: Option<String>,
        /// Its last code.
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
    /// An achievement that a user has earned; the key allows it once.
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
        /// An order was confirmed; whether it is the first that was paid and kept is to be checked.
        Due = "DUE",
        /// Both have their bonus for the order.
        Given = "GIVEN",
        /// They are one person, or the referred user was a customer before: there is no bonus.
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
        /// The points that each was granted.
        points: i64,
        /// The lots of the referred user and of the referrer; null for an erased user.
        lot_id: Option<LotId>,
        referrer_lot_id: Option<LotId>,
        /// When it is checked next, while it is due.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        changed_at: Timestamp,
    }
    index ReferralByDue = 649 (due_at);
}

/// An event that counts while it is recent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The order, or 0.
    pub(crate) of: i64,
    pub(crate) at: i64,
    pub(crate) amount: Amount,
}

record! {
    /// A user's progress with an achievement.
    pub(crate) struct Progress in Promox.achievement_progress = 636, key(user_id: UserId, achievement_id: AchievementId) {
        count: i64,
        sum: Amount,
        /// The events themselves, where only recent ones count.
        marks: Json<Vec<Mark>>,
        updated_at: Timestamp,
    }
}

record! {
    /// The events counted for an order or a redemption, while they can be undone. Not stored while no achievement needs
    /// them.
    pub(crate) struct Counted in Promox.achievement_counts = 646, key(event: CountedEvent, of: i64) {
        user_id: UserId,
        times: i64,
        amount: Amount,
        /// When it happened: achievements created later have not counted it.
        at: Timestamp,
    }
}

record! {
    /// A promotion of an order whose own event is still to come. It counts when the order is confirmed here, so that
    /// earlier cancellations are applied first.
    pub(crate) struct EarlyUse in Promox.achievement_early_uses = 647, key(order_id: OrderId, promotion_id: PromotionId) {
        user_id: UserId,
        amount: Amount,
        at: Timestamp,
    }
}

record! {
    /// An offer of the catalogue: a personal coupon for points.
    pub(crate) struct Offer in Promox.reward_catalogue = 640, key(id: OfferId) {
        name: String,
        description: String,
        /// Its cost in points.
        points: i64,
        /// The promotion of the coupon.
        promotion_id: PromotionId,
        /// Days that the coupon is valid.
        valid_days: Option<u32>,
        /// Null once it is deleted.
        listed: Option<bool>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    index OfferByListed = 641 (listed);
}

text_enum! {
    /// The status of a redeemed offer.
    RedemptionStatus {
        /// The points are spent, the coupon is pending.
        Pending = "PENDING",
        Issued = "ISSUED",
        /// The coupon can no longer be issued; the points were restored.
        Failed = "FAILED",
    }
}

record! {
    /// A redeemed offer: first the points, then the coupon, then the record that it was issued.
    pub(crate) struct Redemption in Promox.reward_redemptions = 642, key(id: RedemptionId) {
        user_id: UserId,
        offer_id: OfferId,
        points: i64,
        promotion_id: PromotionId,
        valid_days: Option<u32>,
        parts: Json<Vec<Part>>,
        status: RedemptionStatus,
        coupon_code: Option<String>,
        /// When it is continued, while it is pending.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        completed_at: Option<Timestamp>,
    }
    index RedemptionByDue = 643 (due_at);
    index RedemptionByUser = 644 (user_id, created_at);
}
