//! The life cycle of a sale: created as a draft, listed once its stock is allocated, started and ended on schedule,
//! closed when the inventory knows everything sold.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::flashsale::{FlashSaleEnded, FlashSaleFact, FlashSaleStarted};
use promox_contract::ids::FlashSaleId;
use promox_contract::inventory::VariantQuantity;
use promox_kernel::{Claim, Error, Json};
use promox_storage::{Recall, StoreError, Tx};
use serde::Serialize;

use crate::queries;
use crate::records::{Draft, FlashItem, FlashSale, SaleStatus, Terms};
use crate::reject;

/// How long a draft is left to the request that made it before a job completes it.
const DRAFT_TIMEOUT: Duration = Duration::from_secs(30);

/// The audit action of an update.
const UPDATE: &str = "flashsale.update";

fn fact(sale: &FlashSale) -> FlashSaleFact {
    FlashSaleFact { flash_sale_id: sale.id }
}

/// Records a change in the audit trail.
pub(crate) fn audit_change(
    tx: &mut Tx<'_>,
    id: FlashSaleId,
    (by, action): (&str, &str),
    before: impl Serialize,
    after: impl Serialize,
) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(by.to_owned(), action, format!("flash-sale:{id}"), before, after))
}

/// Creates an unlisted sale with a draft. A repeated request with the same idempotency key returns its existing sale.
pub(crate) fn create(tx: &mut Tx<'_>, claim: Option<&Claim>, draft: &Draft) -> Result<FlashSaleId, StoreError> {
    if let Some(claim) = claim
        && let Recall::Undecided(id) = tx.recall(claim)?
    {
        if tx.get::<FlashSale>(&FlashSaleId(id))?.is_some() {
            return Ok(FlashSaleId(id));
        }
        tx.unclaim(claim)?;
    }
    let (id, now) = (FlashSaleId(tx.next_id::<FlashSale>()?), tx.now());
    let mut sale = FlashSale {
        id,
        name: String::new(),
        campaign_id: None,
        status: SaleStatus::Scheduled,
        starts_at: now,
        ends_at: now,
        currency: draft.terms.currency,
        ttl_seconds: 0,
        draft: Some(Json(draft.clone())),
        listed: None,
        open_until: None,
        due_at: Some(now + DRAFT_TIMEOUT),
        version: 0,
        created_at: now,
        updated_at: now,
    };
    set_terms(&mut sale, &draft.terms);
    tx.insert(&sale)?;
    if let Some(claim) = claim {
        tx.claim(claim, id.0)?;
    }
    Ok(id)
}

/// Copies the terms into the sale, except for the items, which have rows of their own.
fn set_terms(sale: &mut FlashSale, terms: &Terms) {
    sale.name.clone_from(&terms.name);
    sale.campaign_id = terms.campaign_id;
    sale.starts_at = terms.starts_at;
    sale.ends_at = terms.ends_at;
    sale.currency = terms.currency;
    sale.ttl_seconds = terms.ttl_seconds;
}

/// Stores a draft of changed terms for a sale that has not started, or changes a running sale at once. `version` is the
/// version that the terms were derived from; the update is refused if the sale has changed since.
pub(crate) fn update(tx: &mut Tx<'_>, id: FlashSaleId, version: i64, draft: &Draft) -> Result<(), Error> {
    let mut sale = queries::listed(tx, id)?;
    if sale.version != version || sale.draft.is_some() {
        return Err(reject::sale_changing());
    }
    if sale.is_over() {
        return Err(reject::sale_ended(sale.status));
    }
    if sale.is_open() {
        amend(tx, &mut sale, draft)?;
    } else {
        sale.draft = Some(Json(draft.clone()));
        sale.due_at = Some(tx.now() + DRAFT_TIMEOUT);
    }
    Ok(tx.put(&sale)?)
}

/// Changes the name and end of a running sale; anything else is refused.
fn amend(tx: &mut Tx<'_>, sale: &mut FlashSale, draft: &Draft) -> Result<(), Error> {
    let before = sale.terms(&queries::items(tx, sale.id)?);
    if !before.differs_only_in_name_or_end(&draft.terms) {
        return Err(reject::sale_running());
    }
    set_terms(sale, &draft.terms);
    sale.open_until = Some(sale.ends_at);
    sale.due_at = Some(sale.ends_at);
    touch(tx, sale);
    Ok(audit_change(tx, sale.id, (&draft.by, UPDATE), before, &draft.terms)?)
}

/// Increments the version and sets the time of the last change.
fn touch(tx: &Tx<'_>, sale: &mut FlashSale) {
    sale.version += 1;
    sale.updated_at = tx.now();
}

/// Applies the draft of a sale whose stock is allocated, and starts the sale if it is due.
pub(crate) fn apply_draft(tx: &mut Tx<'_>, id: FlashSaleId) -> Result<FlashSale, Error> {
    let mut sale = tx.get::<FlashSale>(&id)?.ok_or(Error::not_found("flash sale"))?;
    let Some(Json(Draft { terms, by })) = sale.draft.take() else { return Ok(sale) };
    let old = queries::items(tx, id)?;
    let before = sale.listed.map(|_| sale.terms(&old));
    for old in old {
        tx.delete::<FlashItem>(&(id, old.item))?;
    }
    for (item, terms) in (0..).zip(&terms.items) {
        let Some(variant_id) = terms.variant_id else { continue };
        tx.put(&FlashItem {
            sale_id: id,
            item,
            variant_id,
            sku: terms.sku.clone(),
            sale_price: terms.sale_price,
            stock: i64::from(terms.stock),
            per_user_limit: terms.per_user_limit,
            taken: 0,
            sold: 0,
        })?;
    }
    set_terms(&mut sale, &terms);
    sale.listed = Some(true);
    sale.due_at = Some(sale.starts_at);
    touch(tx, &mut sale);
    let action = if before.is_some() { UPDATE } else { "flashsale.create" };
    audit_change(tx, id, (&by, action), before, &terms)?;
    apply_schedule(tx, &mut sale)?;
    tx.put(&sale)?;
    Ok(sale)
}

/// Discards a draft whose stock was refused. A new sale is deleted; an existing one keeps its terms.
pub(crate) fn discard_draft(tx: &mut Tx<'_>, claim: Option<&Claim>, id: FlashSaleId) -> Result<(), StoreError> {
    let Some(mut sale) = tx.get::<FlashSale>(&id)?.filter(|sale| sale.draft.is_some()) else { return Ok(()) };
    if sale.listed.is_some() {
        sale.draft = None;
        sale.due_at = Some(sale.starts_at);
        return tx.put(&sale);
    }
    tx.delete::<FlashSale>(&id)?;
    claim.map_or(Ok(()), |claim| tx.unclaim(claim))
}

/// Moves a sale to the status that the current time requires.
fn apply_schedule(tx: &mut Tx<'_>, sale: &mut FlashSale) -> Result<(), StoreError> {
    let now = tx.now();
    if sale.status == SaleStatus::Scheduled && sale.starts_at <= now {
        sale.status = SaleStatus::Active;
        sale.open_until = Some(sale.ends_at);
        sale.due_at = Some(sale.ends_at);
        touch(tx, sale);
        tx.emit(sale.id, &FlashSaleStarted(fact(sale)))?;
    }
    if sale.is_open() && sale.ends_at <= now {
        end(tx, sale, SaleStatus::Ended)?;
    }
    Ok(())
}

/// Ends a sale with a status. A job closes it afterwards.
fn end(tx: &mut Tx<'_>, sale: &mut FlashSale, status: SaleStatus) -> Result<(), StoreError> {
    let ran = sale.is_open();
    sale.status = status;
    sale.draft = None;
    sale.open_until = None;
    sale.due_at = Some(tx.now());
    touch(tx, sale);
    if ran { tx.emit(sale.id, &FlashSaleEnded(fact(sale))) } else { Ok(()) }
}

/// Advances a sale that is due, unless a draft is pending. Returns its status.
pub(crate) fn advance(tx: &mut Tx<'_>, id: FlashSaleId) -> Result<SaleStatus, Error> {
    let mut sale = tx.get::<FlashSale>(&id)?.ok_or(Error::not_found("flash sale"))?;
    if sale.draft.is_none() && !sale.is_over() {
        apply_schedule(tx, &mut sale)?;
        tx.put(&sale)?;
    }
    Ok(sale.status)
}

/// Cancels a sale. Repeating the call changes nothing.
pub(crate) fn cancel(tx: &mut Tx<'_>, id: FlashSaleId) -> Result<FlashSale, Error> {
    let mut sale = queries::listed(tx, id)?;
    match sale.status {
        SaleStatus::Cancelled => Ok(sale),
        SaleStatus::Ended => Err(reject::sale_ended(sale.status)),
        _ => {
            end(tx, &mut sale, SaleStatus::Cancelled)?;
            tx.put(&sale)?;
            Ok(sale)
        }
    }
}

/// Deletes a sale that is not running: it is unlisted, and its rows remain.
pub(crate) fn delete(tx: &mut Tx<'_>, id: FlashSaleId) -> Result<FlashSale, Error> {
    let mut sale = queries::listed(tx, id)?;
    if sale.is_open() {
        return Err(reject::sale_running());
    }
    if !sale.is_over() {
        end(tx, &mut sale, SaleStatus::Cancelled)?;
    }
    sale.listed = None;
    tx.put(&sale)?;
    Ok(sale)
}

/// Closes a sale that is over, given that the inventory still allocates `kept` to it. Returns true, without closing it,
/// if the units to keep have changed meanwhile.
pub(crate) fn close(tx: &mut Tx<'_>, id: FlashSaleId, kept: &[VariantQuantity]) -> Result<bool, Error> {
    let mut sale = tx.get::<FlashSale>(&id)?.ok_or_else(|| Error::not_found("flash sale"))?;
    if queries::units_to_keep(tx, id)? != kept {
        return Ok(true);
    }
    sale.due_at = None;
    tx.put(&sale)?;
    Ok(false)
}

/// Schedules another close of an ended sale, after which the inventory keeps fewer units for it.
pub(crate) fn schedule_report(tx: &mut Tx<'_>, id: FlashSaleId) -> Result<(), StoreError> {
    let over = tx.get::<FlashSale>(&id)?.filter(|sale| sale.is_over() && sale.due_at.is_none());
    let Some(mut sale) = over else { return Ok(()) };
    sale.due_at = Some(tx.now());
    tx.put(&sale)
}
