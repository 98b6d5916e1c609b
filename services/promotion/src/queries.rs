//! Queries: promotions, their uses, and what remains of their limits.

use std::collections::HashMap;
use std::sync::Arc;

use promox_contract::ids::PromotionId;
use promox_contract::promotion::{FindReferencingPromotion, PromotionDescription, RejectReason};
use promox_kernel::{Amount, Currency, Error, Page, Timestamp};
use promox_storage::{StoreError, Tx};

use crate::api::{ListPromotions, ListUsage, PromotionView, UsageView};
use crate::commands::uses::has_reached_limit;
use crate::records::{
    Count, Promotion, PromotionByCampaign, PromotionByCode, PromotionByCreated, PromotionByStatus, PromotionStatus,
    UseByTime,
};
use crate::rules::{self, Allowance, CountedBuyer, Rule, TOTAL};

/// The number of active uses of a promotion, and their total cost.
pub(crate) fn uses_and_spent(tx: &Tx<'_>, id: PromotionId) -> Result<(i64, Amount), StoreError> {
    let count = tx.get::<Count>(&(id, TOTAL.to_owned()))?;
    Ok(count.map_or((0, Amount::ZERO), |count| (count.uses, count.spent)))
}

/// Builds the view of a promotion.
pub(crate) fn view(tx: &Tx<'_>, row: Promotion, currency: Currency) -> Result<PromotionView, StoreError> {
    let (uses, spent) = uses_and_spent(tx, row.id)?;
    let document: rules::Promotion = row.document.0;
    Ok(PromotionView {
        id: row.id,
        name: document.name,
        status: row.status,
        code: document.code,
        coupon_only: document.coupon_only,
        campaign_id: document.campaign_id,
        stage: document.stage,
        priority: document.priority,
        stacking: document.stacking,
        include_flash: document.include_flash,
        starts_at: document.starts_at,
        ends_at: document.ends_at,
        timezone: document.timezone,
        schedule: document.schedule,
        when: document.when,
        actions: document.actions,
        limits: document.limits,
        uses,
        spent: currency.round(spent.0),
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// Reads a promotion; NOT_FOUND if it does not exist.
pub(crate) fn promotion(tx: &Tx<'_>, id: PromotionId) -> Result<Promotion, Error> {
    tx.get::<Promotion>(&id)?.ok_or_else(|| Error::not_found("promotion"))
}

/// A page of promotions, newest first.
pub(crate) fn list(tx: &Tx<'_>, op: ListPromotions, currency: Currency) -> Result<Page<PromotionView>, Error> {
    let query = op.q.map(|q| q.trim().to_lowercase());
    let keep = |row: &Promotion| {
        let text = |text: &str| query.as_ref().is_none_or(|query| text.to_lowercase().contains(query.as_str()));
        op.status.is_none_or(|status| status == row.status)
            && op.stage.is_none_or(|stage| stage == row.document.stage)
            && op.campaign_id.is_none_or(|id| Some(id) == row.campaign_id)
            && (text(&row.document.name) || row.document.code.as_deref().is_some_and(text))
    };
    let page = match (op.campaign_id, op.status) {
        (Some(id), _) => {
            tx.scan_by::<PromotionByCampaign>().prefix(Some(id)).backward().page_of(op.limit, op.cursor, keep)
        }
        (None, Some(status)) => {
            tx.scan_by::<PromotionByStatus>().prefix(status).backward().page_of(op.limit, op.cursor, keep)
        }
        (None, None) => tx.scan_by::<PromotionByCreated>().backward().page_of(op.limit, op.cursor, keep),
    }?;
    page.try_map(|row| view(tx, row, currency))
}

/// A page of a promotion's uses by confirmed orders, newest first.
pub(crate) fn usage(tx: &Tx<'_>, op: ListUsage) -> Result<Page<UsageView>, Error> {
    promotion(tx, op.id)?;
    let page = tx.scan_by::<UseByTime>().prefix(op.id).backward().page(op.limit, op.cursor)?;
    Ok(page.map(|used| UsageView {
        order_id: used.order_id,
        user_id: used.user_id,
        coupon_code: used.coupon_code,
        amount: used.amount,
        used_at: used.used_at,
        released_at: used.released_at,
    }))
}

/// Names and campaigns of promotions. Unknown ids are left out.
pub(crate) fn describe(tx: &Tx<'_>, ids: &[PromotionId]) -> Result<Vec<PromotionDescription>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = tx.get::<Promotion>(id)? {
            let (name, campaign_id) = (row.document.0.name, row.campaign_id);
            found.push(PromotionDescription { id: *id, name, campaign_id });
        }
    }
    Ok(found)
}

/// A promotion that refers to a campaign, or one that is not archived and refers to a segment or a category.
pub(crate) fn referencing_promotion(
    tx: &Tx<'_>,
    op: &FindReferencingPromotion,
) -> Result<Option<PromotionId>, StoreError> {
    if let Some(id) = op.campaign_id
        && let Some(row) = tx.scan_by::<PromotionByCampaign>().prefix(Some(id)).first()?
    {
        return Ok(Some(row.id));
    }
    if op.segment.is_none() && op.category_id.is_none() {
        return Ok(None);
    }
    let refers = |document: &rules::Promotion| {
        let when = document.when.as_ref();
        let named = op
            .segment
            .as_ref()
            .is_some_and(|segment| when.is_some_and(|when| when.names("customer.segments", segment)));
        named || op.category_id.is_some_and(|id| document.names_category(id.0))
    };
    Ok(find_live(tx, |row| refers(&row.document))?.map(|row| row.id))
}

/// The first promotion that is not archived and for which `has` holds.
pub(crate) fn find_live(tx: &Tx<'_>, has: impl Fn(&Promotion) -> bool) -> Result<Option<Promotion>, StoreError> {
    for status in [PromotionStatus::Active, PromotionStatus::Paused, PromotionStatus::Draft] {
        for row in tx.scan_by::<PromotionByStatus>().prefix(status).rows() {
            let row = row?;
            if has(&row) {
                return Ok(Some(row));
            }
        }
    }
    Ok(None)
}

/// Those of the codes (in normal form) that promotions have.
pub(crate) fn taken_codes(tx: &Tx<'_>, codes: Vec<String>) -> Result<Vec<String>, StoreError> {
    let mut taken = Vec::new();
    for code in codes {
        if tx.get_by::<PromotionByCode>(Some(&code))?.is_some() {
            taken.push(code);
        }
    }
    Ok(taken)
}

/// The reason why a promotion that is not active does not apply.
pub(crate) fn inactive_reason(row: Option<Promotion>) -> RejectReason {
    match row.map(|row| row.status) {
        Some(PromotionStatus::Paused) => RejectReason::Paused,
        Some(PromotionStatus::Archived) => RejectReason::Expired,
        Some(PromotionStatus::Draft | PromotionStatus::Active) | None => RejectReason::Unknown,
    }
}

/// The promotion with a code in normal form, whatever its status.
pub(crate) fn by_code(tx: &Tx<'_>, code: &str) -> Result<Option<Promotion>, StoreError> {
    tx.get_by::<PromotionByCode>(Some(code))
}

/// What remains of each promotion's limits for a buyer now, and whether some limit could not be checked.
pub(crate) fn allowances(
    tx: &Tx<'_>,
    rules: &[Arc<Rule>],
    buyer: &CountedBuyer,
    now: Timestamp,
) -> Result<(HashMap<PromotionId, Allowance>, bool), StoreError> {
    let mut left = HashMap::with_capacity(rules.len());
    let mut unchecked = false;
    for rule in rules.iter().filter(|rule| rule.needs().limits) {
        let counting = rule.counting(buyer, now);
        unchecked |= counting.unchecked;
        let mut allowance = Allowance { exhausted: None, budget_left: rule.budget_amount() };
        if has_reached_limit(tx, rule.id(), &buyer.person, &counting.person)? {
            allowance.exhausted = Some(RejectReason::UserLimitReached);
        }
        for counter in counting.counters {
            let Some(count) = tx.get::<Count>(&(rule.id(), counter.name.clone()))? else { continue };
            if counter.name == TOTAL {
                allowance.budget_left = allowance.budget_left.map(|budget| budget - count.spent);
            }
            if counter.most.is_some_and(|most| count.uses >= i64::from(most)) {
                allowance.exhausted.get_or_insert(counter.reason);
            }
        }
        left.insert(rule.id(), allowance);
    }
    Ok((left, unchecked))
}
