//! Operations of the notification service for other services: messages with secrets, which events must not contain.

use promox_kernel::{Email, Locale, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Sends a message from a template, once per reference. It is for data that must not be in an event, such as links with
/// tokens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// A unique reference, such as `password-reset:12`.
    pub reference: String,
    /// The template's key, such as `"password_reset"`.
    pub template: String,
    /// The recipient's address.
    pub email: Email,
    /// The account whose inbox receives the message, if any.
    pub user_id: Option<UserId>,
    /// The language; null for the store's language.
    pub locale: Option<Locale>,
    /// The template's data. The built-in `verify_email` and `password_reset` show `link`, or `token` without one, and
    /// greet `name` if present.
    pub data: Map<String, Value>,
}
operation! { SendMessage => (), "notification.send", internal, "Sends a message from a template." }

/// Gets when a cart counts as abandoned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCartIdleTime {}
operation! {
    GetCartIdleTime => CartIdleTime, "notification.cart_idle_time", internal, "When a cart counts as abandoned."
}

/// The answer to [`GetCartIdleTime`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartIdleTime {
    /// How long a cart with items must be unchanged.
    pub minutes: u32,
}
json_reply!(CartIdleTime);

/// Counts the messages that are not sent yet, each kind up to 1,000.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetMailQueue {}
operation! { GetMailQueue => MailQueue, "notification.mail_queue", internal, "The messages that are not sent yet." }

/// The answer to [`GetMailQueue`].
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailQueue {
    /// Messages that were not attempted yet.
    pub waiting: usize,
    /// Messages whose last attempt failed and that will be tried again.
    pub failing: usize,
}
json_reply!(MailQueue);
