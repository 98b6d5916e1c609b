//! What others ask of notifications: to send a message that carries a secret, which events never do.

use promox_kernel::{Email, UserId, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Sends one message by a template, once a reference. For what must not stand in an event: links with tokens in them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// Once a reference: `password-reset:12`.
    pub reference: String,
    /// The template's key, `"password_reset"`.
    pub template: String,
    /// To whom.
    pub email: Email,
    /// Whose inbox, if it is an account's.
    pub user_id: Option<UserId>,
    /// `"en"`; null for the store's.
    pub locale: Option<String>,
    /// What the template names. The built-in `verify_email` and `password_reset` show `link`, or `token` without one, and
    /// greet `name` if it is there.
    pub data: Map<String, Value>,
}
operation! { SendMessage => (), "notification.send", internal, "Sends a message from a template." }
