//! The audit trail: told by every service in the transaction of the change, kept by the user service as a chain.

use promox_kernel::{Fact, fact};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Somebody with a permission changed something. Ids only: never names, addresses or secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// Who: `Principal::name()`.
    pub actor: String,
    /// The operation, `"product.update"`.
    pub action: String,
    /// What was changed, `"product:7"`.
    pub subject: String,
    /// The changed members before, null when it was not there.
    pub before: Value,
    /// The changed members after, null when it is gone.
    pub after: Value,
}
fact! { Audited = "AUDITED" in "audit" kept 30 }

impl Audited {
    /// An entry; `before` and `after` are what the caller thinks worth keeping.
    pub fn new(actor: String, action: &str, subject: String, before: impl Serialize, after: impl Serialize) -> Self {
        let value = |it| serde_json::to_value(it).unwrap_or(Value::Null);
        let before = value(serde_json::json!(before));
        let after = value(serde_json::json!(after));
        Self { actor, action: action.to_owned(), subject, before, after }
    }

    /// The type of the event, for consumers.
    pub const KIND: &'static str = <Self as Fact>::TYPE;
}
