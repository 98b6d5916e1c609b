//! The audit log: every service emits entries in the transaction of the change, and the user service stores them as a
//! hash chain.

use promox_kernel::{Fact, fact};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change that was made with a permission. It contains ids only, never names, addresses or secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// The actor, as [`Principal::name`](promox_kernel::Principal::name) returns it.
    pub actor: String,
    /// The operation, such as `"product.update"`.
    pub action: String,
    /// The entity, such as `"product:7"`.
    pub subject: String,
    /// The changed members before the change; null if the entity did not exist.
    pub before: Value,
    /// The changed members after the change; null if the entity no longer exists.
    pub after: Value,
}
fact! { Audited = "AUDITED" in "audit" kept 30 }

impl Audited {
    /// An entry. The caller chooses which members `before` and `after` contain.
    pub fn new(actor: String, action: &str, subject: String, before: impl Serialize, after: impl Serialize) -> Self {
        let value = |view| serde_json::to_value(view).unwrap_or(Value::Null);
        let before = value(serde_json::json!(before));
        let after = value(serde_json::json!(after));
        Self { actor, action: action.to_owned(), subject, before, after }
    }

    /// The type of the event, for consumers.
    pub const KIND: &'static str = <Self as Fact>::TYPE;
}
