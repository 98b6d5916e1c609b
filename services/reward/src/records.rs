//! The tables of rewards: accounts, their ledger and its lots, what orders took and earned, achievements, the catalogue.

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
    /// An offer that was taken.
    RedemptionId,
}

record! {
    /// What a user has. Its sums are those of the ledger as it stands at `settled_at`.
    pub(crate) struct Account in Promox.reward_accounts = 620, key(user_id: UserId) {
        /// Sum of the entries that are available.
        balance: i64,
        /// Sum of the entries that are not available yet.
        pending: i64,
        /// Points that were to be taken back when there were none.
        debt: i64,
        /// Sum of the entries that count as earned.
        lifetime_earned: i64,
        /// The same over the last 365 days.
        tier_points: i64,
        tier: Tier,
        /// The version of the ladder that the tier was read from.
        ladder: i64,
        /// Until when lots have become available, lapsed and stopped counting.
        settled_at: Timestamp,
        /// When that happens next, or earlier; null for never.
        due_at: Option<Timestamp>,
        /// Whether the next order gives the signup bonus.
        signup_due: bool,
        /// The order that gave the signup bonus, and the lot that it lies in.
        signup_order: Option<OrderId>,
        signup_lot: Option<LotId>,
        /// When the last birthday bonus was given.
        birthday_at: Option<Timestamp>,
        /// When the person was dropped: the books stay, nothing is given any more.
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
        /// Somebody of the staff gave or took them.
        Adjust = "ADJUST",
        /// An order or an offer of the catalogue was paid with them.
        Redeem = "REDEEM",
        /// What was paid with them came back, and so did they.
        Restore = "RESTORE",
        /// What earned them came back.
        Revoke = "REVOKE",
        Expire = "EXPIRE",
        /// Their owner is gone.
        Forfeit = "FORFEIT",
    }
}

record! {
    /// An entry of the ledger: written once, never changed.
    pub(crate) struct Entry in Promox.point_transactions = 623, key(id: EntryId) {
        user_id: UserId,
        kind: EntryKind,
        /// Signed; 0 when nothing was there to be taken back.
        points: i64,
        order_id: Option<OrderId>,
        /// `order:7`, `signup`, `signup:order:7`, `achievement:FIRST_ORDER`.
        reference: String,
        created_at: Timestamp,
        /// From when on it counts in the balance; null for at once.
        available_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        /// Whose tier it counts for; null for what was not earned.
        counted_for: Option<UserId>,
        /// When it was earned, or what it takes back was.
        counted_at: Timestamp,
        /// What it counts there: its points, and those that are not there any more to be taken back.
        counted: i64,
    }
    index EntryByUser = 624 (user_id, created_at);
    index EntryByCount = 625 (counted_for, counted_at);
}

record! {
    /// Points that were given at once, lapse at once, and are spent from the first to lapse on.
    pub(crate) struct Lot in Promox.point_lots = 626, key(id: LotId) {
        user_id: UserId,
        /// The entry that gave them.
        entry_id: EntryId,
        points: i64,
        /// What of them is neither spent, nor lapsed, nor taken back.
        remaining: i64,
        available_at: Timestamp,
        expires_at: Option<Timestamp>,
        expired_at: Option<Timestamp>,
        /// What lapsed of them, and was not to be taken back since.
        lapsed: i64,
        /// When they were earned; null for what does not count for tiers.
        earned_at: Option<Timestamp>,
        /// Whose, while it is not available yet.
        pending_for: Option<UserId>,
        /// Whose, while there is something to spend in it.
        open_for: Option<UserId>,
        /// When it lapses; the end of time for never.
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
    /// What an order took and earned. Its order alone ends it.
    pub(crate) struct OrderPoints in Promox.order_points = 629, key(order_id: OrderId) {
        user_id: UserId,
        state: HoldState,
        redeemed: i64,
        /// The lots they came from, less what went back there.
        parts: Json<Vec<Part>>,
        given_back: i64,
        /// What one was worth when they were taken.
        point_value: Option<Amount>,
        earned: i64,
        /// What of it is to be gone, by returns or for good.
        taken_back: i64,
        /// The lot that it earned.
        lot_id: Option<LotId>,
        /// When it was confirmed and counted for achievements; null if it was released before.
        counted_at: Option<Timestamp>,
        created_at: Timestamp,
        changed_at: Option<Timestamp>,
        /// When it was cancelled: what it did counts for no achievement any more.
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
    /// A group of settings by name, and under `epoch` the count of all changes.
    pub(crate) struct Setting in Promox.reward_settings = 631, key(name: String) {
        value: Json<serde_json::Value>,
        version: i64,
    }
}

record! {
    /// Something to achieve.
    pub(crate) struct Achievement in Promox.achievements = 632, key(id: AchievementId) {
        /// Null once it is deleted: the code is free again.
        code: Option<String>,
        /// The code that it had to the end.
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
    /// An achievement that a user has: once, by its key.
    pub(crate) struct Unlocked in Promox.user_achievements = 635, key(user_id: UserId, achievement_id: AchievementId) {
        points: i64,
        at: Timestamp,
    }
}

text_enum! {
    /// What has become of a referral.
    ReferralStatus {
        /// The one who was sent has paid no order yet.
        Open = "OPEN",
        /// An order was confirmed, and whether it is the first that was paid and kept is to be found out.
        Due = "DUE",
        /// Both have their bonus for the order.
        Given = "GIVEN",
        /// They are one person, or who was sent had been a customer before: there is no bonus.
        Refused = "REFUSED",
    }
}

record! {
    /// Somebody who registered with somebody's code.
    pub(crate) struct Referral in Promox.reward_referrals = 648, key(user_id: UserId) {
        /// Who sent them.
        referrer: UserId,
        status: ReferralStatus,
        /// The order that the bonus was given for.
        order_id: Option<OrderId>,
        /// What each was given.
        points: i64,
        /// The lot of who was sent, and that of who sent them; null for who is gone.
        lot_id: Option<LotId>,
        referrer_lot_id: Option<LotId>,
        /// When it is looked at, while it is due.
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
    /// How far a user has come with an achievement.
    pub(crate) struct Progress in Promox.achievement_progress = 636, key(user_id: UserId, achievement_id: AchievementId) {
        count: i64,
        sum: Amount,
        /// The events themselves, where only recent ones count.
        marks: Json<Vec<Mark>>,
        updated_at: Timestamp,
    }
}

record! {
    /// What of an order or a redemption was counted, while it can still be given back. There is none while no achievement asks for it.
    pub(crate) struct Counted in Promox.achievement_counts = 646, key(event: CountedEvent, of: i64) {
        user_id: UserId,
        times: i64,
        amount: Amount,
        /// When it happened: achievements that came later have not counted it.
        at: Timestamp,
    }
}

record! {
    /// A promotion that an order used, heard of before the order itself: it counts when that is confirmed here, so that all that
    /// was cancelled before it is counted out already.
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
        /// What it costs.
        points: i64,
        /// What the coupon is the key to.
        promotion_id: PromotionId,
        /// Days that the coupon is good.
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
    /// What has become of an offer that was taken.
    RedemptionStatus {
        /// The points are taken, the coupon is being made.
        Pending = "PENDING",
        Issued = "ISSUED",
        /// There is no such coupon any more; the points went back.
        Failed = "FAILED",
    }
}

record! {
    /// An offer that was taken: the points first, then the coupon, then the note that it is there.
    pub(crate) struct Redemption in Promox.reward_redemptions = 642, key(id: RedemptionId) {
        user_id: UserId,
        offer_id: OfferId,
        points: i64,
        promotion_id: PromotionId,
        valid_days: Option<u32>,
        parts: Json<Vec<Part>>,
        status: RedemptionStatus,
        coupon_code: Option<String>,
        /// When somebody goes on with it, while it is pending.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        completed_at: Option<Timestamp>,
    }
    index RedemptionByDue = 643 (due_at);
    index RedemptionByUser = 644 (user_id, created_at);
}
