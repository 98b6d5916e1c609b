//! Rewards: points that users earn and spend, tiers, achievements, and a catalogue of coupons for points.
//!
//! Tables: `reward_accounts` (a user's sums), `point_transactions` (the ledger), `point_lots` (the rest of granted
//! points), `order_points` (points that orders spent and earned), `reward_settings`, `achievements`,
//! `user_achievements`, `achievement_progress`, `achievement_counts` (counted events that can be undone),
//! `achievement_early_uses` (promotions of orders whose own event is still to come), `reward_catalogue`,
//! `reward_redemptions`.
//!
//! Invariants:
//! - entries of the ledger never change. The balance is the sum of the available entries, and of the rest of the
//!   available lots; it is never negative. Pending points are in pending lots: listed, but not in the balance;
//! - points are spent from the lots that expire first, and each lot expires once;
//! - an order takes points once and restores them once, to the lots that it took from; points that would have expired
//!   since expire then. Its hold has no expiry: only its saga ends it. After a release it takes and earns nothing;
//! - a return revokes what was earned: from the lot of the order, then from other lots, then as the settings say;
//! - the tier follows from the ledger: points earned in the last 365 days, less those revoked, by the current
//!   thresholds. Manual adjustments do not count as earned;
//! - a user gets the signup bonus once: for registering, or with the first order, whose failure or cancellation revokes
//!   it;
//! - an achievement is granted once per user; an offer of the catalogue is paid for, then its coupon is issued, and the
//!   step in between is recorded;
//! - the clock decides what is available; the rows follow within a second. An account is brought up to date before any
//!   entry is added to it.
//!
//! `ValuePoints` says before an order is placed whether points may pay it; the hold decides whether there are enough.

mod api;
mod audit;
mod commands;
mod events;
mod handlers;
mod jobs;
mod queries;
mod records;
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
pub use records::{AchievementId, EntryId, EntryKind, OfferId, RedemptionId, RedemptionStatus};
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
    /// Creates the service on its database.
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
            jobs::keep_time(self),
            jobs::finish_redemptions(self),
            jobs::give_referrals(self),
            jobs::celebrate(self),
            jobs::prune_keys(self),
        ]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.take_over_redemptions(cx).await
    }
}
