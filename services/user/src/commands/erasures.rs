//! Erasures of accounts: the owner requests one, and it is run once no order needs the personal data any more.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::order::OpenOrders;
use promox_contract::user::UserErased;
use promox_kernel::{BackOff, Cx, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};
use serde_json::json;

use super::accounts::{save, with_new_version};
use super::{messages, sessions};
use crate::api::UserStatus;
use crate::records::{Address, EndReason, Erasure, ErasureByDue, Purpose, UserRole};
use crate::rules::{addresses, permissions};
use crate::{queries, reject};

/// The pauses between checks of the orders that an erasure waits for.
const CHECK_PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 8 };

/// Requests the erasure of an account. All sessions end except the one that requested it, which may query the status.
/// Repeating the request returns the pending erasure.
pub(crate) fn request(tx: &mut Tx<'_>, cx: &Cx, id: UserId, session: i64) -> Result<Erasure, Error> {
    if let Some(known) = tx.get::<Erasure>(&id)? {
        return Ok(known);
    }
    let before = queries::user(tx, id)?;
    cx.check_version(before.version)?;
    let roles = queries::roles_of(tx, id)?;
    if roles.iter().any(|role| role == permissions::ADMIN) && !queries::has_admin(tx, Some(id))? {
        return Err(reject::last_admin());
    }
    let mut after = with_new_version(tx, before.clone());
    after.status = UserStatus::Erasing;
    sessions::end_all(tx, &mut after, Some(session), EndReason::Erased)?;
    save(tx, Some(&before), &after)?;
    let now = tx.now();
    let (requested_at, due_at) = (now, now);
    let erasure = Erasure { user: id, requested_at, session, open_orders: 0, not_before: None, due_at, tries: 0 };
    tx.insert(&erasure)?;
    let status = |status: UserStatus| json!({ "status": status });
    let (old, new) = (status(before.status), status(after.status));
    let entry = Audited::new(cx.principal.name(), "user.request_erasure", format!("user:{id}"), old, new);
    tx.emit(id, &entry)?;
    Ok(erasure)
}

/// At most `limit` erasures whose check is due.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<Erasure>, StoreError> {
    tx.scan_by::<ErasureByDue>().before(now + Duration::from_micros(1)).collect(limit)
}

/// Erases the account if no orders are open, or records what the erasure waits for and returns it.
pub(crate) fn run(tx: &mut Tx<'_>, cx: &Cx, id: UserId, orders: &OpenOrders) -> Result<Option<Erasure>, Error> {
    let Some(mut erasure) = tx.get::<Erasure>(&id)? else { return Ok(None) };
    if orders.open == 0 {
        erase(tx, cx, id)?;
        tx.delete::<Erasure>(&id)?;
        return Ok(None);
    }
    (erasure.open_orders, erasure.not_before) = (orders.open, orders.until);
    erasure.tries += 1;
    erasure.due_at = tx.now() + CHECK_PAUSES.after(erasure.tries);
    tx.put(&erasure)?;
    Ok(Some(erasure))
}

/// Erases an account. Personal data is removed. The id and timestamps stay because other records refer to them.
fn erase(tx: &mut Tx<'_>, cx: &Cx, id: UserId) -> Result<(), Error> {
    let before = queries::user(tx, id)?;
    let mut after = with_new_version(tx, before.clone());
    sessions::end_all(tx, &mut after, None, EndReason::Erased)?;
    for role in queries::roles_of(tx, id)? {
        tx.delete::<UserRole>(&(id, role))?;
    }
    for address in tx.scan::<Address>().prefix(id).collect(addresses::MAX_ADDRESSES)? {
        tx.delete::<Address>(&(id, address.id))?;
    }
    if let Some(email) = &before.email {
        messages::remove_requests(tx, email)?;
    }
    messages::revoke_tokens(tx, Purpose::PasswordReset, Some(id))?;
    messages::revoke_tokens(tx, Purpose::EmailVerification, Some(id))?;
    after.status = UserStatus::Erased;
    after.erased_at = Some(tx.now());
    (after.email, after.mailbox, after.password_hash) = (None, None, None);
    (after.name, after.phone) = (None, None);
    (after.birth_date, after.referral_code, after.email_verified_at) = (None, None, None);
    (after.locale, after.timezone) = (None, None);
    after.attributes.0.clear();
    save(tx, Some(&before), &after)?;
    tx.emit(id, &UserErased { user_id: id })?;
    let status = |status: UserStatus| json!({ "status": status });
    let (old, new) = (status(before.status), status(after.status));
    Ok(tx.emit(id, &Audited::new(cx.principal.name(), "user.erase", format!("user:{id}"), old, new))?)
}
