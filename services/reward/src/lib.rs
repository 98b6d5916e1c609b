//! Rewards: points that users earn and spend, tiers, achievements, and offers of coupons for points.
//!
//! Tables: `reward_accounts` (each user's totals), `point_transactions` (the ledger), `point_lots` (granted points
//! and what remains of them), `order_points` (points that orders spent and earned), `reward_settings`, `achievements`,
//! `user_achievements`, `achievement_progress`, `achievement_counts` (counted events that can be undone),
//! `achievement_early_uses` (promotions of orders whose own event has not arrived yet), `reward_catalogue` (offers),
//! `reward_redemptions`, `reward_referrals`.
//!
//! Invariants:
//! - ledger entries never change. The balance is the sum of the available entries, and also the sum of the points that
//!   remain in the available lots; it is never negative. Pending points are listed, but are not in the balance;
//! - points are spent from the lots that expire first, and each lot expires once;
//! - an order spends points once, and they are restored once, to the lots that they came from; points that would have
//!   expired in the meantime expire then. An order's hold does not expire: only the order's saga ends it. After a
//!   release the order spends and earns nothing;
//! - a return revokes the points earned: from the order's lot, then from other lots; the settings decide whether the
//!   rest is waived or owed;
//! - the tier is derived from the ledger: the points earned in the last 365 days minus those revoked, compared with the
//!   current thresholds. Manual adjustments do not count as earned;
//! - a user gets the signup bonus once: for registering, or with the first order, in which case the failure or
//!   cancellation of that order revokes it;
//! - an achievement is granted once per user;
//! - an offer is first paid for with points, then its coupon is issued; the state in between is recorded;
//! - the clock decides which points are available; the rows are updated within a second. An account is brought up to
//!   date before any entry is added to it.
//!
//! `ValuePoints` checks before an order is placed whether points may pay for it; the hold decides whether the user has
//! enough.

mod api;
mod audit;
mod checks;
mod commands;
mod events;
mod handlers;
mod jobs;
mod queries;
mod records;
mod redeeming;
mod reject;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::reward::{
    EstimatePoints, GetTier, HoldPoints, IsPromotionReferencedByOffers, ReleasePoints, ValuePoints,
};
use promox_contract::user::ExportRewards;
use promox_kernel::{Cx, Error, Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
pub use records::{AchievementId, EntryId, EntryKind, OfferId, OfferRedemptionStatus, RedemptionId};
pub use rules::achievement::{CountedEvent, Days, Rule};
pub use rules::ladder::{Ladder, Tier, TierStep};
pub use settings::{RewardPatch, RewardSettings, Shortfall, SignupBonusOn};

/// The reward service.
#[derive(Debug)]
pub struct Rewards {
    db: Db,
    terms: Arc<settings::TermsCache>,
}

impl Rewards {
    /// Creates the service with its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db, terms: Arc::default() })
    }
}

impl Service for Rewards {
    const NAME: &'static str = "reward";
    const DATABASE: Database = Database::Promox;
    const TABLES: &'static [&'static TableDef] = &[
        records::Account::TABLE,
        records::Entry::TABLE,
        records::Lot::TABLE,
        records::OrderPoints::TABLE,
        records::Setting::TABLE,
        records::Achievement::TABLE,
        records::Unlocked::TABLE,
        records::Progress::TABLE,
        records::Counted::TABLE,
        records::EarlyUse::TABLE,
        records::Offer::TABLE,
        records::Redemption::TABLE,
        records::Referral::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; GetAccount, ListTransactions, ListUserAchievements, ListRedemptions, AdjustPoints);
        register!(registry, self; GetTiers, PutTiers, GetRewardSettings, PutRewardSettings, PatchRewardSettings);
        register!(registry, self; ListAchievements, GetAchievement, CreateAchievement, UpdateAchievement, DeleteAchievement);
        register!(registry, self; ListOffers, GetOffer, CreateOffer, UpdateOffer, DeleteOffer, RedeemOffer);
        register!(registry, self; ValuePoints, EstimatePoints, GetTier, ReleasePoints, ExportRewards);
        promox_storage::register_transactions!(registry, self; HoldPoints);
        register!(registry, self; IsPromotionReferencedByOffers);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::FollowShop(self.terms.clone())), Arc::new(events::FollowPromotions(self.terms.clone()))]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![
            jobs::settle_due_accounts(self),
            jobs::finish_redemptions(self),
            jobs::check_referrals(self),
            jobs::grant_birthday_bonuses(self),
            jobs::prune_keys(self),
        ]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.make_pending_redemptions_due(cx).await
    }
}
