//! Commands that create and revoke API keys, and record when they were last used.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::audit::Audited;
use promox_contract::discovery::{APP_NAME_RULE, is_app_name};
use promox_kernel::{Cx, Error, Faults, Json, Timestamp, bounded};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use super::roles::{check_within_permissions, checked_permissions};
use crate::api::CreateKey;
use crate::records::ApiKey;
use crate::rules::secrets;
use crate::{login, reject};

/// Maximum applications of a key.
const MAX_APPLICATIONS: usize = 100;
/// Characters of a key that are stored to recognise it: its prefix and 24 of its 256 random bits.
const HINT_LEN: usize = 8;

/// Creates a key. `key` is its text.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    cx: &Cx,
    op: &CreateKey,
    key: &str,
    all_permissions: &BTreeSet<String>,
) -> Result<ApiKey, Error> {
    let (creator, _) = login::session_of(cx).map_err(|_| reject::key_makes_no_key())?;
    let mut faults = Faults::default();
    let name = faults.take("/name", bounded(&op.name, 1, 100)).unwrap_or_default();
    if op.permissions.is_empty() {
        faults.note("/permissions", "must have at least one permission");
    }
    let permissions = checked_permissions(&mut faults, &op.permissions, all_permissions);
    let applications = checked_applications(&mut faults, &op.applications);
    if op.expires_at.is_some_and(|at| at <= tx.now()) {
        faults.note("/expiresAt", "must be in the future");
    }
    faults.finish()?;
    check_within_permissions(&cx.principal, &permissions)?;
    let row = ApiKey {
        id: tx.next_id::<ApiKey>()?,
        hash: secrets::hash(key),
        hint: key.chars().take(HINT_LEN).collect(),
        name,
        permissions: Json(permissions),
        applications: Json(applications),
        creator,
        created_at: tx.now(),
        expires_at: op.expires_at,
        last_used_at: None,
    };
    tx.insert(&row)?;
    emit_audit(tx, cx, "apikey.create", row.id, Value::Null, description(&row))?;
    Ok(row)
}

/// Revokes a key. Refused if somebody else has created it and it has permissions that the caller does not have: a key of
/// one's own never does more than oneself.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: i64) -> Result<(), Error> {
    let row = tx.get::<ApiKey>(&id)?.ok_or_else(|| Error::not_found("API key"))?;
    if cx.principal.user() != Some(row.creator) {
        check_within_permissions(&cx.principal, row.permissions.iter())?;
    }
    tx.delete::<ApiKey>(&id)?;
    Ok(emit_audit(tx, cx, "apikey.delete", id, description(&row), Value::Null)?)
}

/// Records when keys were last used. Revoked ones are left out.
pub(crate) fn record_uses(tx: &mut Tx<'_>, uses: &BTreeMap<i64, Timestamp>) -> Result<(), StoreError> {
    for (id, at) in uses {
        if let Some(row) = tx.get::<ApiKey>(id)?.filter(|row| row.last_used_at.is_none_or(|last| last < *at)) {
            tx.put(&ApiKey { last_used_at: Some(*at), ..row })?;
        }
    }
    Ok(())
}

/// The names of applications in upper case. Malformed ones are noted as faults.
fn checked_applications(faults: &mut Faults, names: &[String]) -> BTreeSet<String> {
    if names.len() > MAX_APPLICATIONS {
        faults.note("/applications", format!("must have at most {MAX_APPLICATIONS} applications"));
    }
    for (index, name) in names.iter().enumerate() {
        if !is_app_name(name) {
            faults.note(format!("/applications/{index}"), APP_NAME_RULE);
        }
    }
    names.iter().map(|name| name.to_ascii_uppercase()).collect()
}

fn description(row: &ApiKey) -> Value {
    json!({
        "name": row.name,
        "permissions": row.permissions.0,
        "applications": row.applications.0,
        "expiresAt": row.expires_at,
    })
}

fn emit_audit(tx: &mut Tx<'_>, cx: &Cx, action: &str, id: i64, before: Value, after: Value) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("key:{id}"), before, after))
}
