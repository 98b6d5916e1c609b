//! The refusals of the notification service.

use promox_contract::codes;
use promox_kernel::{Error, FieldError};

use crate::kinds::{Channel, MessageKind};
use crate::templates::Fault;

/// 422: the template does not render. The pointer names the part, the member `line` the line in it.
pub(crate) fn template_invalid(fault: &Fault) -> Error {
    let detail = match fault.line {
        Some(line) => format!("line {line}: {}", fault.detail),
        None => fault.detail.clone(),
    };
    let pointer = format!("/{}", fault.part);
    let error = Error::invalid(vec![FieldError::coded(pointer, codes::TEMPLATE_INVALID, detail)]);
    match fault.line {
        Some(line) => error.with("line", line),
        None => error,
    }
}

/// 404: there is no template with this key and channel.
pub(crate) fn no_template() -> Error {
    Error::not_found("template")
}

/// 422: a mandatory message cannot be turned off.
pub(crate) fn mandatory(index: usize, kind: MessageKind) -> FieldError {
    let detail = format!("{kind} is always sent by e-mail");
    FieldError::coded(format!("/preferences/{index}/enabled"), codes::MANDATORY_MESSAGE, detail)
}

/// 422: this kind is not sent through this channel.
pub(crate) fn no_such_channel(index: usize, kind: MessageKind, channel: Channel) -> FieldError {
    FieldError::new(format!("/preferences/{index}/channel"), format!("{kind} is not sent by {channel}"))
}

/// 422: a template has too many locales.
pub(crate) fn too_many_locales() -> Error {
    Error::refused(codes::TOO_MANY_LOCALES, "A template can have at most 50 locales.")
}

/// 422: the store has the maximum number of webhook endpoints.
pub(crate) fn too_many_webhooks(max: usize) -> Error {
    Error::refused(codes::TOO_MANY_WEBHOOKS, format!("A store can have at most {max} webhook endpoints."))
}

/// 422: the user has the maximum number of subscribed browsers.
pub(crate) fn too_many_subscriptions(max: usize) -> Error {
    Error::refused(codes::TOO_MANY_SUBSCRIPTIONS, format!("At most {max} browsers can be subscribed."))
}

/// 409: nothing is sent to a disabled webhook endpoint.
pub(crate) fn webhook_disabled() -> Error {
    Error::conflict(codes::WEBHOOK_DISABLED, "The webhook endpoint is disabled; enable it first.")
}

/// 409: the message was already sent.
pub(crate) fn already_sent() -> Error {
    Error::conflict(codes::ALREADY_SENT, "This message was already sent.")
}

/// 409: the body contained a secret and was deleted.
pub(crate) fn body_gone() -> Error {
    Error::conflict(codes::MESSAGE_GONE, "This message contained a secret and is no longer stored: request a new one.")
}

/// 404: no message has this link.
pub(crate) fn no_such_link() -> Error {
    Error::not_found("link of a message")
}
