//! Creates, updates, activates, pauses, archives and deletes promotions.

use promox_contract::audit::Audited;
use promox_contract::ids::{CategoryId, PromotionId};
use promox_kernel::{Amount, Currency, Cx, Error, Json};
use promox_storage::{StoreError, Tx};

use super::recount::{self, NewCount};
use super::{codes, rule_rows};
use crate::api::PromotionView;
use crate::compiled::{EPOCH, MAX_ACTIVE, epoch};
use crate::queries::{self, uses_and_spent};
use crate::records::{Epoch, Promotion, PromotionStatus as Status};
use crate::reject::{self, allowed};
use crate::rules::{self, CountedBy, normal_code};

/// The caller and the store's currency.
#[derive(Clone, Debug)]
pub(crate) struct CommandContext {
    pub(crate) cx: Cx,
    pub(crate) currency: Currency,
}

/// Increments the epoch, which makes all compiled promotions stale. Returns the new epoch.
fn increment_epoch(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let next = epoch(tx)? + 1;
    tx.put(&Epoch { id: EPOCH, epoch: next })?;
    Ok(next)
}

/// Records a change in the audit trail. Returns the view of the changed promotion.
fn audit_change(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    action: &str,
    before: Option<&Promotion>,
    after: &Promotion,
) -> Result<PromotionView, StoreError> {
    let summary = |promotion: &Promotion| serde_json::json!({"status": promotion.status, "version": promotion.version, "promotion": *promotion.document});
    let subject = format!("promotion:{}", after.id);
    let entry = Audited::new(context.cx.principal.name(), action, subject, before.map(summary), summary(after));
    tx.emit(after.id, &entry)?;
    queries::view(tx, after.clone(), context.currency)
}

/// Creates a DRAFT. `claim` is the owner of the claim of its code.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    document: &rules::Promotion,
    claim: Option<&String>,
) -> Result<PromotionView, Error> {
    let code_key = document.code.as_deref().map(normal_code);
    codes::check_code(tx, None, code_key.as_ref())?;
    codes::finish_claim(tx, claim)?;
    let row = Promotion {
        id: PromotionId(tx.next_id::<Promotion>()?),
        status: Status::Draft,
        code_key,
        campaign_id: document.campaign_id,
        changed: epoch(tx)?,
        document: Json(document.clone()),
        version: 1,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    tx.insert(&row)?;
    rule_rows::replace(tx, row.id, None, Some(document))?;
    Ok(audit_change(tx, context, "promotion.create", None, &row)?)
}

/// Announces the limits of a changed document, if they count what the current limits do not. Then [`update`] is refused
/// until all earlier uses are counted for them.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    (id, version): (PromotionId, i64),
    document: &rules::Promotion,
    count: &NewCount,
) -> Result<(), Error> {
    let before = changeable(tx, context, (id, version))?;
    check_limits(tx, id, document)?;
    let counted = CountedBy::of(document);
    if before.status != Status::Draft && counted.exceeds(&CountedBy::of(&before.document)) {
        recount::begin(tx, id, counted, count)?;
    }
    Ok(())
}

/// Reads a promotion that may be changed from this version on.
fn changeable(tx: &Tx<'_>, context: &CommandContext, (id, version): (PromotionId, i64)) -> Result<Promotion, Error> {
    let before = tx.get::<Promotion>(&id)?.ok_or(Error::not_found("promotion"))?;
    context.cx.check_version(before.version)?;
    if before.version != version {
        return Err(reject::changed_meanwhile());
    }
    if before.status == Status::Archived {
        return Err(reject::invalid_transition(Status::Archived, Status::Archived));
    }
    Ok(before)
}

/// Replaces a promotion's document. `claim` is the owner of the claim of its code, if the code changes.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    (id, version): (PromotionId, i64),
    document: &rules::Promotion,
    claim: Option<&String>,
) -> Result<PromotionView, Error> {
    let before = changeable(tx, context, (id, version))?;
    if before.document.0 == *document {
        return Ok(queries::view(tx, before, context.currency)?);
    }
    let code_key = document.code.as_deref().map(normal_code);
    codes::check_code(tx, Some(id), code_key.as_ref())?;
    check_limits(tx, id, document)?;
    let counted = CountedBy::of(document);
    if counted.exceeds(&CountedBy::of(&before.document)) {
        if uses_and_spent(tx, id)?.0 > 0 && !recount::is_complete(tx, id, &counted)? {
            return Err(reject::changed_meanwhile());
        }
        recount::end(tx, id)?;
    }
    codes::finish_claim(tx, claim)?;
    let row = Promotion {
        code_key,
        campaign_id: document.campaign_id,
        changed: increment_epoch(tx)?,
        document: Json(document.clone()),
        version: before.version + 1,
        updated_at: tx.now(),
        ..before.clone()
    };
    tx.put(&row)?;
    rule_rows::replace(tx, id, Some(&before.document), Some(document))?;
    Ok(audit_change(tx, context, "promotion.update", Some(&before), &row)?)
}

/// Replaces a category in one promotion that refers to it. Returns false if there is none.
pub(crate) fn replace_category(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    category: CategoryId,
    by: CategoryId,
) -> Result<bool, Error> {
    let Some(before) = queries::find_live(tx, |row| row.document.names_category(category.0))? else { return Ok(false) };
    let mut document = before.document.0.clone();
    document.replace_category(category.0, by.0);
    let row = Promotion {
        changed: increment_epoch(tx)?,
        document: Json(document),
        version: before.version + 1,
        updated_at: tx.now(),
        ..before.clone()
    };
    tx.put(&row)?;
    rule_rows::replace(tx, row.id, Some(&before.document), Some(&row.document))?;
    audit_change(tx, context, "promotion.update", Some(&before), &row)?;
    Ok(true)
}

/// Refuses a limit or a budget that is lower than what is used so far.
fn check_limits(tx: &Tx<'_>, id: PromotionId, document: &rules::Promotion) -> Result<(), Error> {
    let Some(limits) = &document.limits else { return Ok(()) };
    let (uses, spent) = uses_and_spent(tx, id)?;
    if limits.total.is_some_and(|total| i64::from(total) < uses) {
        return Err(reject::below_use("/limits/total", uses));
    }
    if limits.budget.is_some_and(|budget: Amount| budget < spent) {
        return Err(reject::below_use("/limits/budget", spent));
    }
    Ok(())
}

/// Changes a promotion's status. Does nothing if it has the status already.
pub(crate) fn change_status(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    id: PromotionId,
    to: Status,
    active: usize,
) -> Result<PromotionView, Error> {
    let before = tx.get::<Promotion>(&id)?.ok_or(Error::not_found("promotion"))?;
    context.cx.check_version(before.version)?;
    if before.status == to {
        return Ok(queries::view(tx, before, context.currency)?);
    }
    if !allowed(before.status).contains(&to) {
        return Err(reject::invalid_transition(before.status, to));
    }
    if to == Status::Active && active >= MAX_ACTIVE {
        return Err(reject::too_many_active(MAX_ACTIVE));
    }
    let row = Promotion {
        status: to,
        code_key: before.code_key.clone().filter(|_| to != Status::Archived),
        changed: increment_epoch(tx)?,
        version: before.version + 1,
        updated_at: tx.now(),
        ..before.clone()
    };
    tx.put(&row)?;
    let action = match to {
        Status::Active => "promotion.activate",
        Status::Paused => "promotion.pause",
        Status::Draft | Status::Archived => "promotion.archive",
    };
    Ok(audit_change(tx, context, action, Some(&before), &row)?)
}

/// Deletes a DRAFT, unless coupons or offers refer to it. Archives any other promotion.
pub(crate) fn delete(
    tx: &mut Tx<'_>,
    context: &CommandContext,
    id: PromotionId,
    referenced: bool,
) -> Result<(), Error> {
    let before = tx.get::<Promotion>(&id)?.ok_or(Error::not_found("promotion"))?;
    context.cx.check_version(before.version)?;
    if before.status != Status::Draft || referenced {
        return change_status(tx, context, id, Status::Archived, 0).map(drop);
    }
    tx.delete::<Promotion>(&id)?;
    rule_rows::replace(tx, id, Some(&before.document), None)?;
    let subject = format!("promotion:{id}");
    tx.emit(id, &Audited::new(context.cx.principal.name(), "promotion.delete", subject, &*before.document, ()))?;
    Ok(())
}
