//! Requests and replies of the routes of hooks.

use promox_contract::hook::{HookAnswer, HookKind};
use promox_contract::ids::HookId;
use promox_kernel::{Page, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::records::HookFallback;

/// The default time in which a hook must answer, in milliseconds.
const DEFAULT_TIMEOUT_MS: u32 = 2_000;

fn default_timeout() -> u32 {
    DEFAULT_TIMEOUT_MS
}

/// Lists the hooks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListHooks {}
operation! {
    ListHooks => Page<HookView>, "store.list_hooks", Get "/api/hooks", Permission("hook:write"), 200,
    "The hooks that are asked during checkouts."
}

/// Returns a hook.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetHook {
    /// The hook's id.
    pub id: HookId,
}
operation! {
    GetHook => HookView, "store.get_hook", Get "/api/hooks/{id}", Permission("hook:write"), 200, "One hook."
}

/// Adds a hook. From then on quotes and orders with a shipping address ask it (`TAX`, `SHIPPING_RATES`), or orders
/// before they are placed (`VALIDATION`). Questions are posted as `{"type", "test", "data"}`, signed by the Standard
/// Webhooks scheme with the secret that is shown in this response only. A store has one hook of each kind (409
/// `HOOK_EXISTS`).
///
/// `TAX` answers `{"lines": ["1.20"], "shipping": "0.00"}`, one amount for each line of the question; `SHIPPING_RATES`
/// `{"methods": [{"method": "EXPRESS", "name": "Express", "amount": "9.90"}]}`; `VALIDATION` `{"accepted": false,
/// "message": "We do not sell this here."}`. Anything else, a status other than 200, more than 64 KiB and no answer in
/// time are failures.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateHook {
    /// What the hook is asked.
    pub kind: HookKind,
    /// The URL: `https`, on a public address.
    pub url: String,
    /// The time in which it must answer in milliseconds, 100 to 10000.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u32,
    /// What happens if it fails: `REFUSE` answers a checkout with 503 `HOOK_UNAVAILABLE`, with the `reason` for
    /// callers with `hook:write`; `STORE_RATES` (of `TAX` and
    /// `SHIPPING_RATES`) uses the store's own rates; `ACCEPT` (of `VALIDATION`) accepts the order.
    pub fallback: HookFallback,
}
operation! {
    CreateHook => HookSecretView, "store.create_hook", Post "/api/hooks", Permission("hook:write"), 201,
    "Adds a hook and shows its secret once."
}

/// Changes a hook. A disabled one is not asked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateHook {
    /// The hook's id.
    pub id: HookId,
    /// The URL: `https`, on a public address.
    pub url: Option<String>,
    /// The time in which it must answer in milliseconds, 100 to 10000.
    pub timeout_ms: Option<u32>,
    /// What happens if it fails.
    pub fallback: Option<HookFallback>,
    /// Whether it is asked.
    pub enabled: Option<bool>,
}
operation! {
    UpdateHook => HookView, "store.update_hook", Patch "/api/hooks/{id}", Permission("hook:write"), 200,
    "Updates a hook."
}

/// Removes a hook. The answers that it gave stay with their orders.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteHook {
    /// The hook's id.
    pub id: HookId,
}
operation! {
    DeleteHook => (), "store.delete_hook", Delete "/api/hooks/{id}", Permission("hook:write"), 204, "Removes a hook."
}

/// Asks a hook a sample question, marked as a test. It is asked even while it is disabled or fails often.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestHook {
    /// The hook's id.
    pub id: HookId,
}
operation! {
    TestHook => HookTestView, "store.test_hook", Post "/api/hooks/{id}/test", Permission("hook:write"), 200,
    "Asks a hook a sample question."
}

/// A hook.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookView {
    /// The hook's id.
    pub id: HookId,
    /// What it is asked.
    pub kind: HookKind,
    /// The URL.
    pub url: String,
    /// The time in which it must answer, in milliseconds.
    pub timeout_ms: u32,
    /// What happens if it fails.
    pub fallback: HookFallback,
    /// Whether it is asked.
    pub enabled: bool,
    /// The number of changes so far.
    pub version: i64,
    /// When the hook was added.
    pub created_at: Timestamp,
    /// When the hook last changed.
    pub updated_at: Timestamp,
}
json_reply!(HookView, etag version);

/// A hook with its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookSecretView {
    /// The hook.
    pub hook: HookView,
    /// The secret with which questions are signed: `whsec_` and base64.
    pub secret: String,
}
json_reply!(HookSecretView);

/// The result of a test.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookTestView {
    /// The id of the message (the header `webhook-id`).
    pub message: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// The answer; null if there was none that could be used.
    pub answer: Option<HookAnswer>,
    /// What went wrong, if anything.
    pub detail: Option<String>,
}
json_reply!(HookTestView);
