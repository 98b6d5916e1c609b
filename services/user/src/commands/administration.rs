//! Changes by administrators: they block and unblock users and assign roles. There is always an active administrator.

use std::collections::BTreeSet;

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_kernel::{Cx, Error, Faults, UserId};
use promox_storage::Tx;
use serde_json::json;

use super::accounts::{self, NewAccount, with_new_version};
use super::roles::check_within_permissions;
use super::sessions::{self, invalidate_access};
use crate::api::{UpdateUser, UserStatus};
use crate::queries::{self, MAX_ROLES};
use crate::records::{EndReason, Role, User, UserRole};
use crate::reject;
use crate::rules::permissions::{ADMIN, CUSTOMER};

/// The roles of a new administrator.
pub(crate) const ADMIN_ROLES: &[&str] = &[ADMIN, CUSTOMER];

/// Changes the status and the roles of a user.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    op: &UpdateUser,
    all_permissions: &BTreeSet<String>,
) -> Result<User, Error> {
    let before = queries::user(tx, op.id)?;
    cx.check_version(before.version)?;
    if before.status == UserStatus::Erased {
        return Err(reject::erased());
    }
    if before.status == UserStatus::Erasing {
        return Err(reject::erasing());
    }
    let old_roles = queries::roles_of(tx, op.id)?;
    let roles = requested_roles(tx, op, &old_roles)?;
    let status = op.status.unwrap_or(before.status);
    check_change(tx, cx, &before, status, &old_roles, &roles, all_permissions)?;
    if status == before.status && roles == old_roles {
        return Ok(before);
    }
    let mut after = with_new_version(tx, before.clone());
    after.status = status;
    if status == UserStatus::Blocked && before.status != status {
        sessions::end_all(tx, &mut after, None, EndReason::Blocked)?;
    }
    set_roles(tx, op.id, &old_roles, &roles)?;
    tx.put(&after)?;
    let snapshot = |user: &User, roles: &[String]| json!({ "status": user.status, "roles": roles });
    let subject = format!("user:{}", op.id);
    let entry = Audited::new(
        cx.principal.name(),
        "user.update",
        subject,
        snapshot(&before, &old_roles),
        snapshot(&after, &roles),
    );
    tx.emit(op.id, &entry)?;
    Ok(after)
}

/// The roles that the user shall have, without duplicates. All must exist.
fn requested_roles(tx: &Tx<'_>, op: &UpdateUser, old_roles: &[String]) -> Result<Vec<String>, Error> {
    let mut faults = Faults::default();
    if matches!(op.status, Some(UserStatus::Erased | UserStatus::Erasing)) {
        faults.note("/status", "only its owner can erase an account: use BLOCKED to lock it");
    }
    let Some(roles) = &op.roles else { return faults.finish().map(|()| old_roles.to_vec()) };
    if roles.len() > MAX_ROLES {
        faults.note("/roles", format!("must have at most {MAX_ROLES} roles"));
    }
    for (index, role) in roles.iter().enumerate().take(MAX_ROLES) {
        if tx.get::<Role>(role)?.is_none() {
            let detail = format!("there is no role {role:?}: GET /api/roles lists the roles");
            faults.code(format!("/roles/{index}"), codes::UNKNOWN_ROLE, detail);
        }
    }
    faults.finish()?;
    let roles: BTreeSet<String> = roles.iter().cloned().collect();
    Ok(roles.into_iter().collect())
}

/// Checks that the caller has all permissions of the user's old and new roles, and that an active administrator
/// remains.
fn check_change(
    tx: &Tx<'_>,
    cx: &Cx,
    before: &User,
    status: UserStatus,
    old_roles: &[String],
    roles: &[String],
    all_permissions: &BTreeSet<String>,
) -> Result<(), Error> {
    check_within_permissions(&cx.principal, &queries::permissions_of_roles(tx, old_roles, all_permissions)?)?;
    check_within_permissions(&cx.principal, &queries::permissions_of_roles(tx, roles, all_permissions)?)?;
    let is_admin =
        |status: UserStatus, roles: &[String]| status == UserStatus::Active && roles.iter().any(|role| role == ADMIN);
    let loses_admin = is_admin(before.status, old_roles) && !is_admin(status, roles);
    if loses_admin && !queries::has_admin(tx, Some(before.id))? { Err(reject::last_admin()) } else { Ok(()) }
}

/// Writes the roles of a user and invalidates cached access.
fn set_roles(tx: &mut Tx<'_>, user: UserId, old_roles: &[String], roles: &[String]) -> Result<(), Error> {
    let now = tx.now();
    for role in old_roles.iter().filter(|role| !roles.contains(role)) {
        tx.delete::<UserRole>(&(user, role.clone()))?;
    }
    for role in roles.iter().filter(|role| !old_roles.contains(role)) {
        tx.put(&UserRole { user, role: role.clone(), granted_at: now })?;
    }
    Ok(invalidate_access(tx, user.0)?)
}

/// Ensures that the account with this address is an administrator with this password, and creates it if needed.
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

/// Makes an existing account an active administrator with a new password, and ends its sessions.
fn promote(tx: &mut Tx<'_>, user: User, password_hash: &str) -> Result<User, Error> {
    let old_roles = queries::roles_of(tx, user.id)?;
    let roles: Vec<String> = old_roles
        .iter()
        .cloned()
        .chain(std::iter::once(ADMIN.to_owned()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut user = with_new_version(tx, user);
    user.status = UserStatus::Active;
    user.password_hash = Some(password_hash.to_owned());
    sessions::end_all(tx, &mut user, None, EndReason::PasswordChanged)?;
    set_roles(tx, user.id, &old_roles, &roles)?;
    tx.put(&user)?;
    Ok(user)
}
