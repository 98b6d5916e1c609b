//! Roles: seeded, created, changed, deleted. Every change takes effect at once for everyone with the role.

use std::collections::BTreeSet;

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_kernel::{Cx, Error, Faults, Principal};
use promox_storage::{StoreError, Tx};
use serde_json::json;

use super::sessions::access_changed;
use crate::api::{CreateRole, UpdateRole};
use crate::queries::{self, ALL_ROLES, MAX_PERMISSIONS};
use crate::records::{Role, RolePermission, UserRoleByRole};
use crate::reject;
use crate::rules::permissions::{self, ADMIN, GAINED, SEEDS};

/// Writes the roles of a new store. An existing store keeps its roles, but gets permissions added since an earlier
/// release.
pub(crate) fn seed(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if tx.scan::<Role>().first()?.is_some() {
        return GAINED.iter().try_for_each(|(role, permission)| gain(tx, role, permission));
    }
    let now = tx.now();
    for seed in &SEEDS {
        let (name, description) = (seed.name.to_owned(), seed.description.to_owned());
        tx.insert(&Role { name: name.clone(), description, created_at: now, updated_at: now, version: 1 })?;
        let permissions = seed.permissions.iter().map(|permission| (*permission).to_owned()).collect();
        replace(tx, &name, &permissions)?;
    }
    Ok(())
}

/// Adds permissions that a role was created without. An edited role stays as it is.
fn gain(tx: &mut Tx<'_>, name: &str, permission: &str) -> Result<(), StoreError> {
    let Some(role) = tx.get::<Role>(&name.to_owned())?.filter(|role| role.version == 1) else { return Ok(()) };
    let had = queries::permissions_of_role(tx, name, &BTreeSet::new())?;
    if had.contains(permission) {
        return Ok(());
    }
    let wanted = had.iter().cloned().chain([permission.to_owned()]).collect();
    tx.put(&Role { updated_at: tx.now(), version: role.version + 1, ..role })?;
    replace(tx, name, &wanted)?;
    access_changed(tx, ALL_ROLES)?;
    let (before, after) = (json!({ "permissions": had }), json!({ "permissions": wanted }));
    tx.emit(0, &Audited::new("system".to_owned(), "role.update", format!("role:{name}"), before, after))
}

/// Refuses to touch permissions that the caller does not have.
pub(crate) fn check_reach<'a>(
    caller: &Principal,
    permissions: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    let within = permissions.into_iter().all(|permission| caller.allows(permission));
    if within { Ok(()) } else { Err(reject::beyond_reach()) }
}

/// Creates a role.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, op: &CreateRole, every: &BTreeSet<String>) -> Result<Role, Error> {
    let mut faults = Faults::default();
    let name = faults.take("/name", permissions::role_name(&op.name)).unwrap_or_default();
    let description = faults.take("/description", permissions::description(&op.description)).unwrap_or_default();
    let wanted = known(&mut faults, &op.permissions, every);
    faults.finish()?;
    check_reach(&cx.principal, &wanted)?;
    if tx.get::<Role>(&name)?.is_some() {
        return Err(reject::role_taken(&name));
    }
    let now = tx.now();
    let role = Role { name, description, created_at: now, updated_at: now, version: 1 };
    tx.insert(&role)?;
    replace(tx, &role.name, &wanted)?;
    access_changed(tx, ALL_ROLES)?;
    let after = json!({ "description": role.description, "permissions": wanted });
    audited(tx, cx, "role.create", &role.name, json!(null), after)?;
    Ok(role)
}

/// Changes a role.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, op: &UpdateRole, every: &BTreeSet<String>) -> Result<Role, Error> {
    let before = queries::role(tx, &op.name)?;
    cx.check_version(before.version)?;
    if before.name == ADMIN && op.permissions.is_some() {
        return Err(reject::admin_is_fixed());
    }
    let had = queries::permissions_of_role(tx, &op.name, every)?;
    let mut faults = Faults::default();
    let description = faults.optional("/description", op.description.as_deref(), permissions::description);
    let possible = every.union(&had).cloned().collect();
    let wanted = op.permissions.as_ref().map(|wanted| known(&mut faults, wanted, &possible));
    faults.finish()?;
    let wanted = wanted.unwrap_or_else(|| had.clone());
    check_reach(&cx.principal, had.symmetric_difference(&wanted))?;
    let description = description.unwrap_or_else(|| before.description.clone());
    if description == before.description && wanted == had {
        return Ok(before);
    }
    let role = Role { description, updated_at: tx.now(), version: before.version + 1, ..before.clone() };
    tx.put(&role)?;
    if op.permissions.is_some() {
        replace(tx, &role.name, &wanted)?;
        access_changed(tx, ALL_ROLES)?;
    }
    let snapshot = |role: &Role, permissions: &BTreeSet<String>| {
        let changed = op.permissions.is_some().then_some(permissions);
        json!({ "description": role.description, "permissions": changed })
    };
    audited(tx, cx, "role.update", &role.name, snapshot(&before, &had), snapshot(&role, &wanted))?;
    Ok(role)
}

/// Deletes a role that nobody has.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, name: &str) -> Result<(), Error> {
    let role = queries::role(tx, name)?;
    cx.check_version(role.version)?;
    if permissions::is_built_in(name) {
        return Err(reject::role_built_in(name));
    }
    if tx.scan_by::<UserRoleByRole>().prefix(name).first()?.is_some() {
        return Err(reject::role_in_use(name));
    }
    let had = queries::permissions_of_role(tx, name, &BTreeSet::new())?;
    check_reach(&cx.principal, &had)?;
    tx.delete::<Role>(&role.name)?;
    replace(tx, name, &BTreeSet::new())?;
    access_changed(tx, ALL_ROLES)?;
    audited(tx, cx, "role.delete", name, json!({ "permissions": had }), json!(null))
}

fn known(faults: &mut Faults, wanted: &[String], every: &BTreeSet<String>) -> BTreeSet<String> {
    if wanted.len() > MAX_PERMISSIONS {
        faults.note("/permissions", format!("must have at most {MAX_PERMISSIONS} permissions"));
    }
    for (place, permission) in wanted.iter().enumerate().filter(|(_, permission)| !every.contains(*permission)) {
        let detail = format!("There is no permission {permission:?}; GET /api/permissions lists them.");
        faults.code(format!("/permissions/{place}"), codes::UNKNOWN_PERMISSION, detail);
    }
    wanted.iter().cloned().collect()
}

fn replace(tx: &mut Tx<'_>, role: &str, wanted: &BTreeSet<String>) -> Result<(), StoreError> {
    let now = tx.now();
    let had: BTreeSet<String> = {
        let rows = tx.scan::<RolePermission>().prefix(role).collect(MAX_PERMISSIONS)?;
        rows.into_iter().map(|row| row.permission).collect()
    };
    for permission in had.difference(wanted) {
        tx.delete::<RolePermission>(&(role.to_owned(), permission.clone()))?;
    }
    for permission in wanted.difference(&had) {
        tx.put(&RolePermission { role: role.to_owned(), permission: permission.clone(), granted_at: now })?;
    }
    Ok(())
}

fn audited(
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
