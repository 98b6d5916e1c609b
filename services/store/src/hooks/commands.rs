//! Changes of hooks. Each raises the epoch of the settings, so that every service learns which hooks there are.

use promox_contract::audit::Audited;
use promox_contract::hook::HookKind;
use promox_contract::ids::HookId;
use promox_kernel::{Cx, Error, Faults};
use promox_storage::Tx;
use serde_json::{Value, json};

use super::api::{CreateHook, UpdateHook};
use super::queries;
use super::records::{Hook, HookByKind, HookFallback};
use crate::commands::settings::increment_epoch;
use crate::reject;

/// Validates a hook's members except the URL.
fn check(kind: HookKind, timeout_ms: u32, fallback: HookFallback) -> Result<(), Error> {
    let mut faults = Faults::default();
    if !(100..=10_000).contains(&timeout_ms) {
        faults.note("/timeoutMs", format!("must be 100 to 10000 milliseconds; got {timeout_ms}"));
    }
    let other = if kind == HookKind::Validation { HookFallback::Accept } else { HookFallback::StoreRates };
    if ![HookFallback::Refuse, other].contains(&fallback) {
        faults.note("/fallback", format!("must be REFUSE or {other} for a hook of the kind {kind}"));
    }
    faults.finish()
}

/// Adds a hook with its secret.
pub(crate) fn create(tx: &mut Tx<'_>, actor: &str, op: &CreateHook, secret: &str) -> Result<Hook, Error> {
    check(op.kind, op.timeout_ms, op.fallback)?;
    if tx.get_by::<HookByKind>(op.kind)?.is_some() {
        return Err(reject::hook_exists(op.kind));
    }
    let now = tx.now();
    let hook = Hook {
        id: HookId(tx.next_id::<Hook>()?),
        kind: op.kind,
        url: op.url.clone(),
        secret: secret.to_owned(),
        timeout_ms: op.timeout_ms,
        fallback: op.fallback,
        enabled: true,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    tx.insert(&hook)?;
    record(tx, (actor, "hook.create"), &hook, Value::Null, shown(&hook))?;
    Ok(hook)
}

/// Changes a hook.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, op: &UpdateHook) -> Result<Hook, Error> {
    let old = queries::hook(tx, op.id)?;
    cx.check_version(old.version)?;
    let mut hook = Hook {
        url: op.url.clone().unwrap_or_else(|| old.url.clone()),
        timeout_ms: op.timeout_ms.unwrap_or(old.timeout_ms),
        fallback: op.fallback.unwrap_or(old.fallback),
        enabled: op.enabled.unwrap_or(old.enabled),
        ..old.clone()
    };
    check(hook.kind, hook.timeout_ms, hook.fallback)?;
    if hook != old {
        hook.version += 1;
        hook.updated_at = tx.now();
        tx.put(&hook)?;
        record(tx, (&cx.principal.name(), "hook.update"), &hook, shown(&old), shown(&hook))?;
    }
    Ok(hook)
}

/// Removes a hook.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: HookId) -> Result<(), Error> {
    let hook = queries::hook(tx, id)?;
    cx.check_version(hook.version)?;
    tx.delete::<Hook>(&id)?;
    record(tx, (&cx.principal.name(), "hook.delete"), &hook, shown(&hook), Value::Null)
}

/// A hook in the audit log.
fn shown(hook: &Hook) -> Value {
    let Hook { kind, url, timeout_ms, fallback, enabled, .. } = hook;
    json!({"kind": kind, "url": url, "timeoutMs": timeout_ms, "fallback": fallback, "enabled": enabled})
}

fn record(
    tx: &mut Tx<'_>,
    (actor, action): (&str, &str),
    hook: &Hook,
    before: Value,
    after: Value,
) -> Result<(), Error> {
    increment_epoch(tx)?;
    let subject = format!("hook:{}", hook.id);
    Ok(tx.emit(hook.id, &Audited::new(actor.to_owned(), action, subject, before, after))?)
}
