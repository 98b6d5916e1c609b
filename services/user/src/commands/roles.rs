//! Commands that seed, create, change and delete roles. A change takes effect at once for every user with the role.

use std::collections::BTreeSet;

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_kernel::{Cx, Error, Faults, Principal};
use promox_storage::{StoreError, Tx};
use serde_json::json;

use super::sessions::invalidate_access;
use crate::api::{CreateRole, UpdateRole};
use crate::queries::{self, ALL_ROLES, MAX_PERMISSIONS};
use crate::records::{Role, RolePermission, UserRoleByRole};
use crate::reject;
use crate::rules::permissions::{self, ADDED_PERMISSIONS, ADMIN, SEED_ROLES};

/// Writes the roles of a new store. An existing store keeps its roles, to which permissions added in this release are
/// added.
pub(crate) fn seed(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if tx.scan::<Role>().first()?.is_some() {
        return ADDED_PERMISSIONS.iter().try_for_each(|(role, permission)| add_permission(tx, role, permission));
    }
    let now = tx.now();
    for seed in &SEED_ROLES {
        let (name, description) = (seed.name.to_owned(), seed.description.to_owned());
        tx.insert(&Role { name: name.clone(), description, created_at: now, updated_at: now, version: 1 })?;
        let permissions = seed.permissions.iter().map(|permission| (*permission).to_owned()).collect();
        set_permissions(tx, &name, &permissions)?;
    }
    Ok(())
}

/// Adds a permission to a role that was created without it. An edited role stays as it is.
fn add_permission(tx: &mut Tx<'_>, name: &str, permission: &str) -> Result<(), StoreError> {
    let Some(role) = tx.get::<Role>(&name.to_owned())?.filter(|role| role.version == 1) else { return Ok(()) };
    let old_permissions = queries::permissions_of_role(tx, name, &BTreeSet::new())?;
    if old_permissions.contains(permission) {
        return Ok(());
    }
    let new_permissions = old_permissions.iter().cloned().chain([permission.to_owned()]).collect();
    tx.put(&Role { updated_at: tx.now(), version: role.version + 1, ..role })?;
    set_permissions(tx, name, &new_permissions)?;
    invalidate_access(tx, ALL_ROLES)?;
    let (before, after) = (json!({ "permissions": old_permissions }), json!({ "permissions": new_permissions }));
    tx.emit(0, &Audited::new("system".to_owned(), "role.update", format!("role:{name}"), before, after))
}

/// Refuses a change to permissions that the caller does not have.
pub(crate) fn check_within_permissions<'a>(
    caller: &Principal,
    permissions: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    let has_all = permissions.into_iter().all(|permission| caller.allows(permission));
    if has_all { Ok(()) } else { Err(reject::beyond_permissions()) }
}

/// Creates a role.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    cx: &Cx,
    op: &CreateRole,
    all_permissions: &BTreeSet<String>,
) -> Result<Role, Error> {
    let mut faults = Faults::default();
    let name = faults.take("/name", permissions::role_name(&op.name)).unwrap_or_default();
    let description = faults.take("/description", permissions::description(&op.description)).unwrap_or_default();
    let new_permissions = checked_permissions(&mut faults, &op.permissions, all_permissions);
    faults.finish()?;
    check_within_permissions(&cx.principal, &new_permissions)?;
    if tx.get::<Role>(&name)?.is_some() {
        return Err(reject::role_taken(&name));
    }
    let now = tx.now();
    let role = Role { name, description, created_at: now, updated_at: now, version: 1 };
    tx.insert(&role)?;
    set_permissions(tx, &role.name, &new_permissions)?;
    invalidate_access(tx, ALL_ROLES)?;
    let after = json!({ "description": role.description, "permissions": new_permissions });
    emit_audit(tx, cx, "role.create", &role.name, json!(null), after)?;
    Ok(role)
}

/// Changes a role.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    op: &UpdateRole,
    all_permissions: &BTreeSet<String>,
) -> Result<Role, Error> {
    let before = queries::role(tx, &op.name)?;
    cx.check_version(before.version)?;
    if before.name == ADMIN && op.permissions.is_some() {
        return Err(reject::admin_permissions_fixed());
    }
    let old_permissions = queries::permissions_of_role(tx, &op.name, all_permissions)?;
    let mut faults = Faults::default();
    let description = faults.optional("/description", op.description.as_deref(), permissions::description);
    let possible = all_permissions.union(&old_permissions).cloned().collect();
    let new_permissions =
        op.permissions.as_ref().map(|new_permissions| checked_permissions(&mut faults, new_permissions, &possible));
    faults.finish()?;
    let new_permissions = new_permissions.unwrap_or_else(|| old_permissions.clone());
    check_within_permissions(&cx.principal, old_permissions.symmetric_difference(&new_permissions))?;
    let description = description.unwrap_or_else(|| before.description.clone());
    if description == before.description && new_permissions == old_permissions {
        return Ok(before);
    }
    let role = Role { description, updated_at: tx.now(), version: before.version + 1, ..before.clone() };
    tx.put(&role)?;
    if op.permissions.is_some() {
        set_permissions(tx, &role.name, &new_permissions)?;
        invalidate_access(tx, ALL_ROLES)?;
    }
    let snapshot = |role: &Role, permissions: &BTreeSet<String>| {
        let changed = op.permissions.is_some().then_some(permissions);
        json!({ "description": role.description, "permissions": changed })
    };
    emit_audit(
        tx,
        cx,
        "role.update",
        &role.name,
        snapshot(&before, &old_permissions),
        snapshot(&role, &new_permissions),
    )?;
    Ok(role)
}

/// Deletes a role that no user has.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, name: &str) -> Result<(), Error> {
    let role = queries::role(tx, name)?;
    cx.check_version(role.version)?;
    if permissions::is_built_in(name) {
        return Err(reject::role_built_in(name));
    }
    if tx.scan_by::<UserRoleByRole>().prefix(name).first()?.is_some() {
        return Err(reject::role_in_use(name));
    }
    let old_permissions = queries::permissions_of_role(tx, name, &BTreeSet::new())?;
    check_within_permissions(&cx.principal, &old_permissions)?;
    tx.delete::<Role>(&role.name)?;
    set_permissions(tx, name, &BTreeSet::new())?;
    invalidate_access(tx, ALL_ROLES)?;
    emit_audit(tx, cx, "role.delete", name, json!({ "permissions": old_permissions }), json!(null))
}

/// The requested permissions, without duplicates. Unknown ones are noted as faults.
pub(crate) fn checked_permissions(
    faults: &mut Faults,
    requested: &[String],
    all_permissions: &BTreeSet<String>,
) -> BTreeSet<String> {
    if requested.len() > MAX_PERMISSIONS {
        faults.note("/permissions", format!("must have at most {MAX_PERMISSIONS} permissions"));
    }
    for (index, permission) in
        requested.iter().enumerate().filter(|(_, permission)| !all_permissions.contains(*permission))
    {
        let detail = format!("there is no permission {permission:?}: GET /api/permissions lists the permissions");
        faults.code(format!("/permissions/{index}"), codes::UNKNOWN_PERMISSION, detail);
    }
    requested.iter().cloned().collect()
}

/// Writes the permissions of a role: adds the missing ones and removes the others.
fn set_permissions(tx: &mut Tx<'_>, role: &str, new_permissions: &BTreeSet<String>) -> Result<(), StoreError> {
    let now = tx.now();
    let old_permissions: BTreeSet<String> = {
        let rows = tx.scan::<RolePermission>().prefix(role).collect(MAX_PERMISSIONS)?;
        rows.into_iter().map(|row| row.permission).collect()
    };
    for permission in old_permissions.difference(new_permissions) {
        tx.delete::<RolePermission>(&(role.to_owned(), permission.clone()))?;
    }
    for permission in new_permissions.difference(&old_permissions) {
        tx.put(&RolePermission { role: role.to_owned(), permission: permission.clone(), granted_at: now })?;
    }
    Ok(())
}

/// Emits the audit entry of a change to a role.
fn emit_audit(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    role: &str,
    before: serde_json::Value,
    after: serde_json::Value,
) -> Result<(), Error> {
    let entry = Audited::new(cx.principal.name(), action, format!("role:{role}"), before, after);
    Ok(tx.emit(0, &entry)?)
}
