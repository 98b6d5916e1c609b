//! Changes by administrators: block, unblock, assign roles. There is always an administrator.

use std::collections::BTreeSet;

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_kernel::{Cx, Error, Faults, UserId};
use promox_storage::Tx;
use serde_json::json;

use super::accounts::{self, NewAccount, touched};
use super::roles::check_reach;
use super::sessions::{self, access_changed};
use crate::api::{UpdateUser, UserStatus};
use crate::queries::{self, MAX_ROLES};
use crate::records::{EndReason, Role, User, UserRole};
use crate::reject;
use crate::rules::permissions::{ADMIN, CUSTOMER};

/// The roles of an administrator.
pub(crate) const ADMIN_ROLES: &[&str] = &[ADMIN, CUSTOMER];

/// Changes status and roles of a user.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, op: &UpdateUser, every: &BTreeSet<String>) -> Result<User, Error> {
    let before = queries::user(tx, op.id)?;
    cx.check_version(before.version)?;
    if before.status == UserStatus::Erased {
        return Err(reject::erased());
    }
    if before.status == UserStatus::Erasing {
        return Err(reject::erasing());
    }
    let had = queries::roles_of(tx, op.id)?;
    let roles = wanted_roles(tx, op, &had)?;
    let status = op.status.unwrap_or(before.status);
    guard(tx, cx, &before, status, &had, &roles, every)?;
    if status == before.status && roles == had {
        return Ok(before);
    }
    let mut after = touched(tx, before.clone());
    after.status = status;
    if status == UserStatus::Blocked && before.status != status {
        sessions::end_all(tx, &mut after, None, EndReason::Blocked)?;
    }
    set_roles(tx, op.id, &had, &roles)?;
    tx.put(&after)?;
    let snapshot = |user: &User, roles: &[String]| json!({ "status": user.status, "roles": roles });
    let subject = format!("user:{}", op.id);
    let entry =
        Audited::new(cx.principal.name(), "user.update", subject, snapshot(&before, &had), snapshot(&after, &roles));
    tx.emit(op.id, &entry)?;
    Ok(after)
}

/// The roles to assign, without duplicates, all of which must exist.
fn wanted_roles(tx: &Tx<'_>, op: &UpdateUser, had: &[String]) -> Result<Vec<String>, Error> {
    let mut faults = Faults::default();
    if matches!(op.status, Some(UserStatus::Erased | UserStatus::Erasing)) {
        faults.note("/status", "only its owner can erase an account; use BLOCKED to lock it");
    }
    let Some(roles) = &op.roles else { return faults.finish().map(|()| had.to_vec()) };
    if roles.len() > MAX_ROLES {
        faults.note("/roles", format!("must have at most {MAX_ROLES} roles"));
    }
    for (place, role) in roles.iter().enumerate().take(MAX_ROLES) {
        if tx.get::<Role>(role)?.is_none() {
            let detail = format!("There is no role {role:?}; GET /api/roles lists them.");
            faults.code(format!("/roles/{place}"), codes::UNKNOWN_ROLE, detail);
        }
    }
    faults.finish()?;
    let roles: BTreeSet<String> = roles.iter().cloned().collect();
    Ok(roles.into_iter().collect())
}

/// Nobody may change a user with more permissions, nobody may grant permissions they lack, and an administrator must
/// remain.
fn guard(
    tx: &Tx<'_>,
    cx: &Cx,
    before: &User,
    status: UserStatus,
    had: &[String],
    roles: &[String],
    every: &BTreeSet<String>,
) -> Result<(), Error> {
    check_reach(&cx.principal, &queries::permissions_of_roles(tx, had, every)?)?;
    check_reach(&cx.principal, &queries::permissions_of_roles(tx, roles, every)?)?;
    let is_admin =
        |status: UserStatus, roles: &[String]| status == UserStatus::Active && roles.iter().any(|role| role == ADMIN);
    let ceases = is_admin(before.status, had) && !is_admin(status, roles);
    if ceases && !queries::has_admin(tx, Some(before.id))? { Err(reject::last_admin()) } else { Ok(()) }
}

fn set_roles(tx: &mut Tx<'_>, user: UserId, had: &[String], roles: &[String]) -> Result<(), Error> {
    let now = tx.now();
    for role in had.iter().filter(|role| !roles.contains(role)) {
        tx.delete::<UserRole>(&(user, role.clone()))?;
    }
    for role in roles.iter().filter(|role| !had.contains(role)) {
        tx.put(&UserRole { user, role: role.clone(), granted_at: now })?;
    }
    Ok(access_changed(tx, user.0)?)
}

/// Ensures that somebody is an administrator with this password: a new account, or the one with this address.
pub(crate) fn ensure_admin(tx: &mut Tx<'_>, cx: &Cx, new: &NewAccount) -> Result<User, Error> {
    let user = match queries::user_by_email(tx, &new.email)? {
        None => accounts::create(tx, new)?,
        Some(user) => promote(tx, user, &new.password_hash)?,
    };
    let subject = format!("user:{}", user.id);
    let entry = Audited::new(cx.principal.name(), "user.ensure_admin", subject, json!(null), json!({ "role": ADMIN }));
    tx.emit(user.id, &entry)?;
    Ok(user)
}

fn promote(tx: &mut Tx<'_>, user: User, password_hash: &str) -> Result<User, Error> {
    let had = queries::roles_of(tx, user.id)?;
    let roles: Vec<String> =
        had.iter().cloned().chain(std::iter::once(ADMIN.to_owned())).collect::<BTreeSet<_>>().into_iter().collect();
    let mut user = touched(tx, user);
    user.status = UserStatus::Active;
    user.password_hash = Some(password_hash.to_owned());
    sessions::end_all(tx, &mut user, None, EndReason::PasswordChanged)?;
    set_roles(tx, user.id, &had, &roles)?;
    tx.put(&user)?;
    Ok(user)
}
