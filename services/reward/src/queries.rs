//! Queries: current accounts, the ledger, achievements, offers, redemptions.

use promox_contract::ids::PromotionId;
use promox_kernel::{Error, Page, Timestamp, UserId};
use promox_storage::{Record as _, StoreError, Tx};

use crate::api::{
    AccountView, AchievementView, Expiring, ListAchievements, ListOffers, ListRedemptions, ListTransactions,
    ListUserAchievements, OfferView, RedemptionView, TransactionView, UserAchievementStatus, UserAchievementView,
};
use crate::records::{
    Account, Achievement, AchievementByCode, Entry, EntryByCount, EntryByUser, Lot, LotByOpen, LotByPending, Offer,
    OfferByListed, Progress, Redemption, RedemptionByDue, RedemptionByUser, Unlocked,
};
use crate::rules::calendar::INSTANT;
use crate::rules::calendar::TIER_SPAN;
use crate::rules::ladder::Tier;
use crate::settings::Terms;

/// The maximum number of lots that are examined for the next expiries.
const MAX_LOTS: usize = 500;
/// The maximum number of expiry times in a reply.
const MAX_EXPIRING: usize = 12;

/// Returns the first `most` pending lots that become available by a time.
pub(crate) fn first_pending(tx: &Tx<'_>, user: UserId, by: Timestamp, most: usize) -> Result<Vec<Lot>, StoreError> {
    tx.scan_by::<LotByPending>().prefix(Some(user)).before(by + INSTANT).collect(most)
}

/// Returns the first `most` open lots that expire by a time.
pub(crate) fn first_expired(tx: &Tx<'_>, user: UserId, by: Timestamp, most: usize) -> Result<Vec<Lot>, StoreError> {
    tx.scan_by::<LotByOpen>().prefix(Some(user)).before(by + INSTANT).collect(most)
}

/// Returns the sum of the entries that count as earned after one time and up to another.
pub(crate) fn tier_points_between(
    tx: &Tx<'_>,
    user: UserId,
    after: Timestamp,
    to: Timestamp,
) -> Result<i64, StoreError> {
    let entries = tx.scan_by::<EntryByCount>().prefix(Some(user)).from(after + INSTANT).before(to + INSTANT);
    entries.rows().try_fold(0, |sum, entry| entry.map(|entry| sum + entry.counted))
}

/// The points of an account at a time, even if its row is not up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountState {
    /// The sum of the entries that are available.
    pub(crate) balance: i64,
    /// The sum of the entries that are not available yet.
    pub(crate) pending: i64,
    /// The part of the balance that has not expired.
    pub(crate) spendable: i64,
    /// The sum of the entries that count as earned in the last 365 days.
    pub(crate) tier_points: i64,
}

/// Returns the row of an account, if it exists, and the state of the account at `now`.
pub(crate) fn account_state(
    tx: &Tx<'_>,
    user: UserId,
    now: Timestamp,
) -> Result<(Option<Account>, AccountState), StoreError> {
    let Some(account) = tx.get::<Account>(&user)? else { return Ok((None, AccountState::default())) };
    let Account { balance, pending, tier_points, .. } = account;
    let mut state = AccountState { balance, pending, spendable: balance, tier_points };
    if account.due_at.is_some_and(|due| due <= now) {
        let matured = first_pending(tx, user, now, usize::MAX)?;
        let available: i64 = matured.iter().map(|lot| lot.remaining).sum();
        let still_valid = |lot: &&Lot| lot.spend_by > now;
        let expired: i64 = first_expired(tx, user, now, usize::MAX)?.iter().map(|lot| lot.remaining).sum();
        state.balance += available;
        state.pending -= available;
        state.spendable += matured.iter().filter(still_valid).map(|lot| lot.remaining).sum::<i64>() - expired;
        state.tier_points -= tier_points_between(tx, user, account.settled_at - TIER_SPAN, now - TIER_SPAN)?;
    }
    Ok((Some(account), state))
}

/// Returns a user's tier by the current thresholds.
pub(crate) fn tier(tx: &Tx<'_>, terms: &Terms, user: UserId, now: Timestamp) -> Result<Tier, StoreError> {
    Ok(terms.ladder.tier(account_state(tx, user, now)?.1.tier_points))
}

/// Returns the view of an account, if it exists.
pub(crate) fn account(
    tx: &Tx<'_>,
    terms: &Terms,
    user_id: UserId,
    now: Timestamp,
) -> Result<Option<AccountView>, StoreError> {
    let (account, state) = account_state(tx, user_id, now)?;
    let next = terms.ladder.next(state.tier_points);
    let view = AccountView {
        user_id,
        tier: terms.ladder.tier(state.tier_points),
        balance: state.balance,
        pending: state.pending,
        owed: account.as_ref().map_or(0, |account| account.debt),
        lifetime_earned: account.as_ref().map_or(0, |account| account.lifetime_earned),
        tier_points: state.tier_points,
        next_tier: next.map(|(tier, _)| tier),
        points_to_next_tier: next.map(|(_, points)| points),
        expiring: expiring(tx, user_id, now)?,
    };
    Ok(account.map(|_| view))
}

/// Returns the view of an account without points.
pub(crate) fn empty_account(terms: &Terms, user_id: UserId) -> AccountView {
    let next = terms.ladder.next(0);
    AccountView {
        user_id,
        tier: terms.ladder.tier(0),
        balance: 0,
        pending: 0,
        owed: 0,
        lifetime_earned: 0,
        tier_points: 0,
        next_tier: next.map(|(tier, _)| tier),
        points_to_next_tier: next.map(|(_, points)| points),
        expiring: Vec::new(),
    }
}

fn expiring(tx: &Tx<'_>, user: UserId, now: Timestamp) -> Result<Vec<Expiring>, StoreError> {
    let mut expiring: Vec<Expiring> = Vec::new();
    for lot in tx.scan_by::<LotByOpen>().prefix(Some(user)).from(now + INSTANT).rows().take(MAX_LOTS) {
        let lot = lot?;
        let Some(at) = lot.expires_at else { break };
        let times = expiring.len();
        match expiring.last_mut() {
            Some(last) if last.at == at => last.points += lot.remaining,
            _ if times == MAX_EXPIRING => break,
            _ => expiring.push(Expiring { points: lot.remaining, at }),
        }
    }
    Ok(expiring)
}

/// Returns a page of a user's ledger, newest first.
pub(crate) fn transactions(tx: &Tx<'_>, op: ListTransactions) -> Result<Page<TransactionView>, Error> {
    let scan = tx.scan_by::<EntryByUser>().prefix(op.id).backward();
    let page = scan.page_of(op.limit, op.cursor, |entry| op.kind.is_none_or(|kind| kind == entry.kind))?;
    Ok(page.map(transaction_view))
}

pub(crate) fn transaction_view(entry: Entry) -> TransactionView {
    TransactionView {
        id: entry.id,
        kind: entry.kind,
        points: entry.points,
        order_id: entry.order_id,
        reference: entry.reference,
        created_at: entry.created_at,
        available_at: entry.available_at,
        expires_at: entry.expires_at,
    }
}

/// Returns an achievement, unless it is deleted.
pub(crate) fn achievement(tx: &Tx<'_>, id: crate::AchievementId) -> Result<Achievement, Error> {
    let found = tx.get::<Achievement>(&id)?.filter(|row| row.code.is_some());
    found.ok_or_else(|| Error::not_found("achievement"))
}

/// Returns a page of the achievements, ordered by code.
pub(crate) fn achievements(tx: &Tx<'_>, op: ListAchievements) -> Result<Page<AchievementView>, Error> {
    let page = tx.scan_by::<AchievementByCode>().page_of(op.limit, op.cursor, |_| true)?;
    Ok(page.map(achievement_view))
}

pub(crate) fn achievement_view(row: Achievement) -> AchievementView {
    AchievementView {
        id: row.id,
        code: row.last_code,
        name: row.name,
        description: row.description,
        rule: row.rule.0,
        points: row.points,
        badge: row.badge,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// Returns a page of a user's unlocked achievements, or of those in progress.
pub(crate) fn user_achievements(tx: &Tx<'_>, op: ListUserAchievements) -> Result<Page<UserAchievementView>, Error> {
    let view = |id, count, sum, unlocked: Option<&Unlocked>| {
        let row = tx.get::<Achievement>(&id)?.ok_or_else(|| StoreError::DamagedRow {
            table: Achievement::TABLE.full_name(),
            place: format!("achievement {id} is missing"),
        })?;
        Ok::<_, Error>(UserAchievementView {
            achievement_id: id,
            code: row.last_code,
            name: row.name,
            description: row.description,
            badge: row.badge,
            points: unlocked.map_or(row.points, |unlocked| unlocked.points),
            count,
            sum,
            unlocked_at: unlocked.map(|unlocked| unlocked.at),
        })
    };
    if op.status == Some(UserAchievementStatus::InProgress) {
        let page = tx.scan::<Progress>().prefix(op.id).page_of(op.limit, op.cursor, |_| true)?;
        return page.try_map(|item| view(item.achievement_id, Some(item.count), Some(item.sum), None));
    }
    let page = tx.scan::<Unlocked>().prefix(op.id).page_of(op.limit, op.cursor, |_| true)?;
    page.try_map(|item| view(item.achievement_id, None, None, Some(&item)))
}

/// Returns an offer, unless it is deleted.
pub(crate) fn offer(tx: &Tx<'_>, id: crate::OfferId) -> Result<Offer, Error> {
    let found = tx.get::<Offer>(&id)?.filter(|offer| offer.listed.is_some());
    found.ok_or_else(|| Error::not_found("offer"))
}

/// Returns whether an offer refers to a promotion, or a redemption is still waiting for a coupon of it.
pub(crate) fn is_promotion_referenced(tx: &Tx<'_>, id: PromotionId) -> Result<bool, StoreError> {
    for offer in tx.scan_by::<OfferByListed>().prefix(Some(true)).rows() {
        if offer?.promotion_id == id {
            return Ok(true);
        }
    }
    for waiting in tx.scan_by::<RedemptionByDue>().from(Some(Timestamp::EPOCH)).rows() {
        if waiting?.promotion_id == id {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns a page of the offers.
pub(crate) fn offers(tx: &Tx<'_>, op: ListOffers) -> Result<Page<OfferView>, Error> {
    let page = tx.scan_by::<OfferByListed>().prefix(Some(true)).page_of(op.limit, op.cursor, |_| true)?;
    Ok(page.map(offer_view))
}

pub(crate) fn offer_view(offer: Offer) -> OfferView {
    OfferView {
        id: offer.id,
        name: offer.name,
        description: offer.description,
        points: offer.points,
        promotion_id: offer.promotion_id,
        valid_days: offer.valid_days,
        version: offer.version,
        created_at: offer.created_at,
        updated_at: offer.updated_at,
    }
}

/// Returns a page of a user's redeemed offers, newest first.
pub(crate) fn redemptions(tx: &Tx<'_>, op: ListRedemptions) -> Result<Page<RedemptionView>, Error> {
    let page = tx.scan_by::<RedemptionByUser>().prefix(op.id).backward().page_of(op.limit, op.cursor, |_| true)?;
    Ok(page.map(redemption_view))
}

pub(crate) fn redemption_view(row: Redemption) -> RedemptionView {
    RedemptionView {
        id: row.id,
        offer_id: row.offer_id,
        points: row.points,
        status: row.status,
        coupon_code: row.coupon_code,
        created_at: row.created_at,
        completed_at: row.completed_at,
    }
}
