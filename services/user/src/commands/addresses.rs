//! The address book: exactly one default as long as there is an entry.

use promox_contract::store::StoreTaxes;
use promox_kernel::{Cx, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::{CreateAddress, UpdateAddress};
use crate::records::Address;
use crate::reject;
use crate::rules::addresses::{MOST, check, patched};

fn book(tx: &Tx<'_>, user: UserId) -> Result<Vec<Address>, StoreError> {
    tx.scan::<Address>().prefix(user).collect(MOST)
}

fn entry(tx: &Tx<'_>, cx: &Cx, user: UserId, id: i64) -> Result<Address, Error> {
    let row = tx.get::<Address>(&(user, id))?.ok_or_else(|| Error::not_found("address"))?;
    cx.check_version(row.version)?;
    Ok(row)
}

/// A new entry.
fn entered(user: UserId, id: i64, it: CreateAddress, now: Timestamp) -> Address {
    Address {
        user,
        id,
        name: it.name,
        company: it.company,
        vat_id: it.vat_id,
        line1: it.line1,
        line2: it.line2,
        city: it.city,
        postal_code: it.postal_code,
        region: it.region,
        country: it.country,
        phone: it.phone,
        is_default: it.is_default,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Adds an address.
pub(crate) fn create(tx: &mut Tx<'_>, user: UserId, op: &CreateAddress, taxes: &StoreTaxes) -> Result<Address, Error> {
    let checked = check(op.clone(), taxes)?;
    let book = book(tx, user)?;
    if book.len() >= MOST {
        return Err(reject::book_full(MOST));
    }
    let mut row = entered(user, tx.next_id::<Address>()?, checked, tx.now());
    row.is_default |= book.is_empty();
    tx.insert(&row)?;
    if row.is_default {
        others_cease(tx, &row)?;
    }
    Ok(row)
}

/// Applies the address members that are sent.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    user: UserId,
    op: &UpdateAddress,
    taxes: &StoreTaxes,
) -> Result<Address, Error> {
    let before = entry(tx, cx, user, op.id)?;
    if before.is_default && op.is_default == Some(false) {
        return Err(Error::field(
            "/isDefault",
            "one address must be the default: make another one the default instead",
        ));
    }
    let checked = check(patched(request(&before), op.clone()), taxes)?;
    let mut row = Address {
        created_at: before.created_at,
        updated_at: before.updated_at,
        version: before.version,
        ..entered(user, before.id, checked, tx.now())
    };
    if row != before {
        row.updated_at = tx.now();
        row.version += 1;
        tx.put(&row)?;
        if row.is_default {
            others_cease(tx, &row)?;
        }
    }
    Ok(row)
}

/// Deletes an address; if it was the default, the oldest one left becomes the default.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, user: UserId, id: i64) -> Result<(), Error> {
    let row = entry(tx, cx, user, id)?;
    tx.delete::<Address>(&(user, id))?;
    if row.is_default
        && let Some(next) = book(tx, user)?.into_iter().next()
    {
        set_default(tx, next, true)?;
    }
    Ok(())
}

fn others_cease(tx: &mut Tx<'_>, chosen: &Address) -> Result<(), StoreError> {
    for other in book(tx, chosen.user)?.into_iter().filter(|other| other.is_default && other.id != chosen.id) {
        set_default(tx, other, false)?;
    }
    Ok(())
}

fn set_default(tx: &mut Tx<'_>, mut row: Address, is_default: bool) -> Result<(), StoreError> {
    row.is_default = is_default;
    row.updated_at = tx.now();
    row.version += 1;
    tx.put(&row)
}

fn request(row: &Address) -> CreateAddress {
    CreateAddress {
        name: row.name.clone(),
        company: row.company.clone(),
        vat_id: row.vat_id.clone(),
        line1: row.line1.clone(),
        line2: row.line2.clone(),
        city: row.city.clone(),
        postal_code: row.postal_code.clone(),
        region: row.region.clone(),
        country: row.country.clone(),
        phone: row.phone.clone(),
        is_default: row.is_default,
    }
}
