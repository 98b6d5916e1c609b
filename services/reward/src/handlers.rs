//! Operation handlers: one read or one write each, except that redeeming an offer takes three steps.

use promox_contract::codes;
use promox_contract::promotion::IsReferenced;
use promox_contract::reward::{
    EstimatePoints, GetTier, HoldPoints, IsPromotionReferencedByOffers, PointsEarned, PointsValue, ReleasePoints,
    TierName, ValuePoints,
};
use promox_contract::store::{GetStoreProfile, write_amounts};
use promox_contract::user::{ExportRewards, PersonalData};
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::{Transact, Transaction, Tx};

use crate::api::{
    AccountView, AchievementView, AdjustPoints, CreateAchievement, CreateOffer, DeleteAchievement, DeleteOffer,
    GetAccount, GetAchievement, GetOffer, GetRewardSettings, GetTiers, ListAchievements, ListOffers, ListRedemptions,
    ListTransactions, ListUserAchievements, OfferView, PatchRewardSettings, PutRewardSettings, PutTiers, RedeemOffer,
    RedemptionView, TransactionView, UpdateAchievement, UpdateOffer, UserAchievementView,
};
use crate::commands::{accounts, achievements, offers, orders};
use crate::queries::{self, achievement_view, offer_view, redemption_view};
use crate::records::{EntryByUser, OfferRedemptionStatus, RedemptionByUser, Unlocked};
use crate::rules::ladder::Ladder;
use crate::rules::worth;
use crate::settings::{self, RewardSettings};
use crate::{Rewards, checks, reject};

impl Handle<GetAccount> for Rewards {
    async fn handle(&self, cx: &Cx, op: GetAccount) -> Result<AccountView, Error> {
        checks::check_may_read(cx, op.id)?;
        let read = |tx: &Tx<'_>| {
            let terms = self.terms.at(tx)?;
            Ok::<_, Error>(queries::account(tx, &terms, op.id, cx.now)?.ok_or(queries::empty_account(&terms, op.id)))
        };
        match self.db.read(read).await? {
            Ok(view) => Ok(view),
            Err(empty) => self.check_user(cx, op.id).await.map(|()| empty),
        }
    }
}

impl Handle<ListTransactions> for Rewards {
    async fn handle(&self, cx: &Cx, op: ListTransactions) -> Result<Page<TransactionView>, Error> {
        checks::check_may_read(cx, op.id)?;
        self.check_user(cx, op.id).await?;
        self.db.read(|tx| queries::transactions(tx, op.clone())).await
    }
}

impl Handle<ListUserAchievements> for Rewards {
    async fn handle(&self, cx: &Cx, op: ListUserAchievements) -> Result<Page<UserAchievementView>, Error> {
        checks::check_may_read(cx, op.id)?;
        self.check_user(cx, op.id).await?;
        self.db.read(|tx| queries::user_achievements(tx, op.clone())).await
    }
}

impl Handle<ListRedemptions> for Rewards {
    async fn handle(&self, cx: &Cx, op: ListRedemptions) -> Result<Page<RedemptionView>, Error> {
        checks::check_may_read(cx, op.id)?;
        self.check_user(cx, op.id).await?;
        self.db.read(|tx| queries::redemptions(tx, op.clone())).await
    }
}

impl Handle<AdjustPoints> for Rewards {
    async fn handle(&self, cx: &Cx, op: AdjustPoints) -> Result<AccountView, Error> {
        self.check_user(cx, op.id).await?;
        let (caller, terms) = (cx.clone(), self.terms.clone());
        self.db.answer(cx, move |tx| accounts::adjust(tx, &*terms.at(tx)?, &caller, &op)).await
    }
}

impl Handle<GetTiers> for Rewards {
    async fn handle(&self, _: &Cx, _: GetTiers) -> Result<Ladder, Error> {
        Ok(self.db.read(|tx| self.terms.at(tx)).await?.ladder.clone())
    }
}

impl Handle<PutTiers> for Rewards {
    async fn handle(&self, cx: &Cx, op: PutTiers) -> Result<Ladder, Error> {
        settings::change(&self.db, cx, move |_| Ok(op.0.clone())).await
    }

    async fn check(&self, _: &Cx, op: PutTiers) -> Result<(), Error> {
        op.0.faults().finish()
    }
}

impl Handle<GetRewardSettings> for Rewards {
    async fn handle(&self, _: &Cx, _: GetRewardSettings) -> Result<RewardSettings, Error> {
        Ok(self.db.read(|tx| self.terms.at(tx)).await?.settings.clone())
    }
}

impl Handle<PutRewardSettings> for Rewards {
    async fn handle(&self, cx: &Cx, op: PutRewardSettings) -> Result<RewardSettings, Error> {
        self.change_settings(cx, move |_| Ok(op.0.clone())).await
    }

    async fn check(&self, _: &Cx, op: PutRewardSettings) -> Result<(), Error> {
        settings::Group::faults(&op.0).finish()
    }
}

impl Handle<PatchRewardSettings> for Rewards {
    async fn handle(&self, cx: &Cx, op: PatchRewardSettings) -> Result<RewardSettings, Error> {
        self.change_settings(cx, move |now| now.patched(op.0.clone())).await
    }

    async fn check(&self, _: &Cx, op: PatchRewardSettings) -> Result<(), Error> {
        let now = self.db.read(|tx| self.terms.at(tx)).await?;
        settings::Group::faults(&now.settings.patched(op.0)?).finish()
    }
}

impl Handle<ListAchievements> for Rewards {
    async fn handle(&self, _: &Cx, op: ListAchievements) -> Result<Page<AchievementView>, Error> {
        self.db.read(|tx| queries::achievements(tx, op.clone())).await
    }
}

impl Handle<GetAchievement> for Rewards {
    async fn handle(&self, _: &Cx, op: GetAchievement) -> Result<AchievementView, Error> {
        self.db.read(|tx| queries::achievement(tx, op.id)).await.map(achievement_view)
    }
}

impl Handle<CreateAchievement> for Rewards {
    async fn handle(&self, cx: &Cx, op: CreateAchievement) -> Result<AchievementView, Error> {
        let (caller, currency) = (cx.clone(), cx.call(GetStoreProfile {}).await?.currency);
        let money = op.rule.money();
        if let Some(Err(detail)) = money.map(|sum| currency.exact(sum)) {
            return Err(Error::field("/rule/sum", detail));
        }
        let made = self.db.answer(cx, move |tx| achievements::create(tx, &caller, &op));
        write_amounts(cx, currency, made, |made| made.is_ok() && money.is_some()).await
    }

    async fn check(&self, cx: &Cx, op: CreateAchievement) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.rehearse(cx, move |tx| achievements::create(tx, &caller, &op)).await
    }
}

impl Handle<UpdateAchievement> for Rewards {
    async fn handle(&self, cx: &Cx, op: UpdateAchievement) -> Result<AchievementView, Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| achievements::update(tx, &caller, &op)).await
    }

    async fn check(&self, cx: &Cx, op: UpdateAchievement) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.rehearse(cx, move |tx| achievements::update(tx, &caller, &op)).await
    }
}

impl Handle<DeleteAchievement> for Rewards {
    async fn handle(&self, cx: &Cx, op: DeleteAchievement) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| achievements::delete(tx, &caller, op.id)).await
    }
}

impl Handle<ListOffers> for Rewards {
    async fn handle(&self, _: &Cx, op: ListOffers) -> Result<Page<OfferView>, Error> {
        self.db.read(|tx| queries::offers(tx, op.clone())).await
    }
}

impl Handle<GetOffer> for Rewards {
    async fn handle(&self, _: &Cx, op: GetOffer) -> Result<OfferView, Error> {
        self.db.read(|tx| queries::offer(tx, op.id)).await.map(offer_view)
    }
}

impl Handle<CreateOffer> for Rewards {
    async fn handle(&self, cx: &Cx, op: CreateOffer) -> Result<OfferView, Error> {
        self.check_promotion(cx, op.promotion_id).await?;
        let caller = cx.clone();
        self.db.answer(cx, move |tx| offers::create(tx, &caller, &op)).await
    }

    async fn check(&self, cx: &Cx, op: CreateOffer) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.rehearse(cx, move |tx| offers::create(tx, &caller, &op)).await
    }
}

impl Handle<UpdateOffer> for Rewards {
    async fn handle(&self, cx: &Cx, op: UpdateOffer) -> Result<OfferView, Error> {
        if let Some(id) = op.promotion_id {
            self.check_promotion(cx, id).await?;
        }
        let caller = cx.clone();
        self.db.write(cx, move |tx| offers::update(tx, &caller, &op)).await
    }

    async fn check(&self, cx: &Cx, op: UpdateOffer) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.rehearse(cx, move |tx| offers::update(tx, &caller, &op)).await
    }
}

impl Handle<DeleteOffer> for Rewards {
    async fn handle(&self, cx: &Cx, op: DeleteOffer) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| offers::delete(tx, &caller, op.id)).await
    }
}

impl Handle<RedeemOffer> for Rewards {
    async fn handle(&self, cx: &Cx, op: RedeemOffer) -> Result<RedemptionView, Error> {
        let user_id = cx.principal.user().ok_or_else(|| Error::not_found("account"))?;
        let (caller, terms) = (cx.clone(), self.terms.clone());
        let redeem = move |tx: &mut Tx<'_>| offers::redeem(tx, &*terms.at(tx)?, &caller, (user_id, op.id));
        let redeemed = self.db.write_locked(cx, vec![orders::lock_key(user_id)], redeem).await?;
        let done = self.finish_redemption(cx, redeemed).await?;
        if done.status == OfferRedemptionStatus::Failed {
            let message = "A coupon for this offer can no longer be created; your points have been restored.";
            return Err(Error::conflict(codes::OFFER_ENDED, message));
        }
        Ok(redemption_view(done))
    }
}

impl Handle<ValuePoints> for Rewards {
    async fn handle(&self, cx: &Cx, op: ValuePoints) -> Result<PointsValue, Error> {
        let read = |tx: &Tx<'_>| {
            let terms = self.terms.at(tx)?;
            let value =
                worth::pay(op.points, &terms.settings, op.total, op.currency).map_err(reject::points_refused)?;
            let spendable = queries::account_state(tx, op.user_id, cx.now)?.1.spendable;
            if spendable < i64::from(op.points) {
                return Err(reject::not_enough_points(i64::from(op.points), spendable));
            }
            Ok(PointsValue { spendable: u32::try_from(spendable).unwrap_or(u32::MAX), value })
        };
        self.db.read(read).await
    }
}

impl Handle<EstimatePoints> for Rewards {
    async fn handle(&self, cx: &Cx, op: EstimatePoints) -> Result<PointsEarned, Error> {
        let read = |tx: &Tx<'_>| {
            let terms = self.terms.at(tx)?;
            let tier = terms.ladder.multiplier(queries::tier(tx, &terms, op.user_id, cx.now)?);
            Ok::<_, Error>(worth::earned(op.base, terms.settings.points_per_unit, tier, op.multiplier))
        };
        Ok(PointsEarned { points: self.db.read(read).await? })
    }
}

impl Handle<IsPromotionReferencedByOffers> for Rewards {
    async fn handle(&self, _: &Cx, op: IsPromotionReferencedByOffers) -> Result<IsReferenced, Error> {
        Ok(IsReferenced { referred: self.db.read(|tx| queries::is_promotion_referenced(tx, op.promotion_id)).await? })
    }
}

impl Handle<GetTier> for Rewards {
    async fn handle(&self, cx: &Cx, op: GetTier) -> Result<TierName, Error> {
        let read = |tx: &Tx<'_>| queries::tier(tx, &*self.terms.at(tx)?, op.user_id, cx.now);
        Ok(TierName { tier: self.db.read(read).await?.to_string() })
    }
}

impl Transact<HoldPoints> for Rewards {
    async fn transaction(&self, _: &Cx, op: HoldPoints) -> Result<Transaction<()>, Error> {
        if op.points == 0 {
            return Err(Error::field("/points", "must be at least 1 point"));
        }
        let terms = self.terms.clone();
        let hold =
            move |tx: &mut Tx<'_>| orders::hold(tx, &*terms.at(tx)?, op.order_id, (op.user_id, i64::from(op.points)));
        Ok(self.db.transaction(hold).locking(vec![orders::lock_key(op.user_id)]))
    }
}

impl Handle<ReleasePoints> for Rewards {
    async fn handle(&self, cx: &Cx, op: ReleasePoints) -> Result<(), Error> {
        let terms = self.terms.clone();
        self.db.write(cx, move |tx| orders::release(tx, &*terms.at(tx)?, op.order_id)).await
    }
}

impl Handle<ExportRewards> for Rewards {
    async fn handle(&self, cx: &Cx, op: ExportRewards) -> Result<PersonalData, Error> {
        let (db, user) = (&self.db, op.user_id);
        let entries = db.read_all(|tx, limit, cursor| {
            let page = tx.scan_by::<EntryByUser>().prefix(user).backward().page(limit, cursor)?;
            Ok(page.map(queries::transaction_view))
        });
        let achieved = db.read_all(|tx, limit, cursor| {
            let page = tx.scan::<Unlocked>().prefix(user).page(limit, cursor)?;
            Ok(page.map(|item| (item.achievement_id, item.at)))
        });
        let redeemed = db.read_all(|tx, limit, cursor| {
            let page = tx.scan_by::<RedemptionByUser>().prefix(user).backward().page(limit, cursor)?;
            Ok(page.map(redemption_view))
        });
        let (entries, achieved, redeemed) = (entries.await?, achieved.await?, redeemed.await?);
        let account = db.read(|tx| queries::account(tx, &*self.terms.at(tx)?, user, cx.now)).await?;
        Ok(PersonalData(serde_json::json!({
            "account": account, "transactions": entries, "achievements": achieved, "redemptions": redeemed})))
    }
}
