//! Commands on the address book, which has exactly one default address unless it is empty.

use promox_contract::store::StoreTaxes;
use promox_kernel::{Cx, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::{CreateAddress, UpdateAddress};
use crate::records::Address;
use crate::reject;
use crate::rules::addresses::{MAX_ADDRESSES, check, patched};

/// The addresses of a user, oldest first.
fn book(tx: &Tx<'_>, user: UserId) -> Result<Vec<Address>, StoreError> {
    tx.scan::<Address>().prefix(user).collect(MAX_ADDRESSES)
}

/// An address whose version matches the request's `If-Match`, or 404 if it does not exist.
fn checked_address(tx: &Tx<'_>, cx: &Cx, user: UserId, id: i64) -> Result<Address, Error> {
    let row = tx.get::<Address>(&(user, id))?.ok_or_else(|| Error::not_found("address"))?;
    cx.check_version(row.version)?;
    Ok(row)
}

/// The row of a new address.
fn new_address(user: UserId, id: i64, data: CreateAddress, now: Timestamp) -> Address {
    Address {
        user,
        id,
        name: data.name,
        company: data.company,
        vat_id: data.vat_id,
        line1: data.line1,
        line2: data.line2,
        city: data.city,
        postal_code: data.postal_code,
        region: data.region,
        country: data.country,
        phone: data.phone,
        is_default: data.is_default,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Adds an address.
pub(crate) fn create(tx: &mut Tx<'_>, user: UserId, op: &CreateAddress, taxes: &StoreTaxes) -> Result<Address, Error> {
    let checked = check(op.clone(), taxes)?;
    let book = book(tx, user)?;
    if book.len() >= MAX_ADDRESSES {
        return Err(reject::address_limit_reached(MAX_ADDRESSES));
    }
    let mut row = new_address(user, tx.next_id::<Address>()?, checked, tx.now());
    row.is_default |= book.is_empty();
    tx.insert(&row)?;
    if row.is_default {
        clear_other_defaults(tx, &row)?;
    }
    Ok(row)
}

/// Applies the members of an address that the request has.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    user: UserId,
    op: &UpdateAddress,
    taxes: &StoreTaxes,
) -> Result<Address, Error> {
    let before = checked_address(tx, cx, user, op.id)?;
    if before.is_default && op.is_default == Some(false) {
        return Err(Error::field(
            "/isDefault",
            "one address must be the default: make another one the default instead",
        ));
    }
    let checked = check(patched(as_request(&before), op.clone()), taxes)?;
    let mut row = Address {
        created_at: before.created_at,
        updated_at: before.updated_at,
        version: before.version,
        ..new_address(user, before.id, checked, tx.now())
    };
    if row != before {
        row.updated_at = tx.now();
        row.version += 1;
        tx.put(&row)?;
        if row.is_default {
            clear_other_defaults(tx, &row)?;
        }
    }
    Ok(row)
}

/// Deletes an address. If it was the default, the oldest remaining one becomes the default.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, user: UserId, id: i64) -> Result<(), Error> {
    let row = checked_address(tx, cx, user, id)?;
    tx.delete::<Address>(&(user, id))?;
    if row.is_default
        && let Some(next) = book(tx, user)?.into_iter().next()
    {
        set_default(tx, next, true)?;
    }
    Ok(())
}

/// Makes `chosen` the only default address.
fn clear_other_defaults(tx: &mut Tx<'_>, chosen: &Address) -> Result<(), StoreError> {
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

/// An address in the form of a request.
fn as_request(row: &Address) -> CreateAddress {
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
