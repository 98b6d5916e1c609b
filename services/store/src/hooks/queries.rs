//! Reads of hooks.

use promox_contract::hook::HookKind;
use promox_contract::ids::HookId;
use promox_kernel::Error;
use promox_storage::{StoreError, Tx};

use super::api::HookView;
use super::records::Hook;

/// The hooks, oldest first.
pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Hook>, StoreError> {
    tx.scan::<Hook>().collect(HookKind::ALL.len())
}

/// The kinds of the hooks that are asked.
pub(crate) fn enabled_kinds(tx: &Tx<'_>) -> Result<Vec<HookKind>, StoreError> {
    Ok(all(tx)?.into_iter().filter(|hook| hook.enabled).map(|hook| hook.kind).collect())
}

/// A hook, or 404.
pub(crate) fn hook(tx: &Tx<'_>, id: HookId) -> Result<Hook, Error> {
    tx.get::<Hook>(&id)?.ok_or_else(|| Error::not_found("hook"))
}

/// A hook as clients see it.
pub(crate) fn view(hook: Hook) -> HookView {
    let Hook { id, kind, url, timeout_ms, fallback, enabled, version, created_at, updated_at, secret: _ } = hook;
    HookView { id, kind, url, timeout_ms, fallback, enabled, version, created_at, updated_at }
}
