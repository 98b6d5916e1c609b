//! Rewards: what users earn, what points are good for, tiers, achievements, and a catalogue of coupons for points.
//!
//! Tables: `reward_accounts` (a user's sums), `point_transactions` (the ledger), `point_lots` (what is left of what was
//! given), `order_points` (what orders took and earned), `reward_settings`, `achievements`, `user_achievements`,
//! `achievement_progress`, `achievement_counts` (what of it can be undone),
//! `achievement_early_uses` (of orders that were not heard of yet), `reward_catalogue`, `reward_redemptions`.
//!
//! What always holds:
//! - entries of the ledger never change. The balance is the sum of those that are available, and what is left in the lots
//!   that are; it is never below zero. Pending points lie in pending lots, listed and not in the balance;
//! - points are spent from the lots that lapse first, and each lot lapses once, whatever lapsed of it;
//! - an order takes once and gives back once, to the lots that it took from; what lapsed meanwhile lapses then. Its hold has
//!   no expiry: its saga alone ends it. One that gave back takes and earns nothing any more;
//! - what comes back takes back what it earned: from the lot that it earned, then from what else there is, then as the
//!   settings say;
//! - the tier follows from the ledger: what was earned in the last 365 days, less what of it was taken back, on the ladder
//!   as it is. What is given by hand is not earned;
//! - a user has the signup bonus once: for registering, or with the first order, which takes it back if it comes to nothing;
//! - an achievement is granted once a user; an offer of the catalogue is paid, then its coupon made, with the step between
//!   written down;
//! - the clock decides what is available, the rows follow within a second. An account in the books is brought up to date
//!   before anything is entered in it.
//!
//! Whether points may pay an order is said before it is placed (`ValuePoints`); that there are enough is decided by the hold.

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
    /// The service on its database.
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
