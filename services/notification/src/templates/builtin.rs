//! The built-in templates, in English.

use crate::kinds::{Channel, MessageKind};
use crate::templates::Source;

/// The parts that templates extend and include, by name.
pub(crate) const SHARED: &[(&str, &str)] = &[
    ("layout.html", include_str!("../../templates/layout.html")),
    ("greeting.html", include_str!("../../templates/greeting.html")),
    ("order_lines.html", include_str!("../../templates/order_lines.html")),
    ("order_lines.txt", include_str!("../../templates/order_lines.txt")),
];

/// The locale of the built-in templates.
pub(crate) const LOCALE: &str = "en";

macro_rules! mail {
    ($subject:literal, $key:literal) => {
        (
            $subject,
            include_str!(concat!("../../templates/", $key, ".html")),
            include_str!(concat!("../../templates/", $key, ".txt")),
        )
    };
}

/// The built-in template of a kind and channel.
pub(crate) fn source(kind: MessageKind, channel: Channel) -> Source {
    match channel {
        Channel::Email => {
            let (subject, html, text) = email(kind);
            Source { subject: subject.to_owned(), html: Some(html.to_owned()), text: text.to_owned() }
        }
        Channel::Inbox | Channel::Sms | Channel::Push => {
            let (subject, text) = inbox(kind);
            Source { subject: subject.to_owned(), html: None, text: text.to_owned() }
        }
    }
}

/// The subject, HTML part and plain text of an e-mail.
fn email(kind: MessageKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        MessageKind::OrderReceived => mail!("We received your order {{ order.number }}", "order_received"),
        MessageKind::OrderConfirmed => mail!("Your order {{ order.number }}", "order_confirmed"),
        MessageKind::OrderCancelled => mail!("Your order {{ order.number }} was cancelled", "order_cancelled"),
        MessageKind::OrderFailed => mail!("Your order {{ order.number }} could not be completed", "order_failed"),
        MessageKind::OrderShipped => mail!("Your order {{ order.number }} is on its way", "order_shipped"),
        MessageKind::OrderDelivered => mail!("Your order {{ order.number }} was delivered", "order_delivered"),
        MessageKind::OrderReturned => mail!("Your return of order {{ order.number }}", "order_returned"),
        MessageKind::PaymentRefunded => mail!("A refund for your order {{ order.number }}", "payment_refunded"),
        MessageKind::PaymentFailed => mail!("The payment of your order {{ order.number }} failed", "payment_failed"),
        MessageKind::Welcome => mail!("Welcome to {{ store.name }}", "welcome"),
        MessageKind::VerifyEmail => mail!("Confirm your address at {{ store.name }}", "verify_email"),
        MessageKind::PasswordReset => mail!("Set a new password for {{ store.name }}", "password_reset"),
        MessageKind::StockLow => mail!("{{ stock.sku }} is running low", "stock_low"),
        MessageKind::WebhookDisabled => mail!("A webhook of {{ store.name }} was disabled", "webhook_disabled"),
    }
}

/// The title and text of an inbox item, a text message or a push message.
fn inbox(kind: MessageKind) -> (&'static str, &'static str) {
    match kind {
        MessageKind::OrderReceived => (
            "Order {{ order.number }} received",
            "Thank you. We will send you another message when the payment is complete.",
        ),
        MessageKind::OrderConfirmed => (
            "Order {{ order.number }} confirmed",
            "Thank you. The total is {{ order.totals.total }} {{ order.currency }}.",
        ),
        MessageKind::OrderCancelled => (
            "Order {{ order.number }} cancelled",
            "Any payment that has not yet been refunded will be refunded to you.",
        ),
        MessageKind::OrderFailed => {
            ("Order {{ order.number }} failed", "It could not be completed; you were not charged.")
        }
        MessageKind::OrderShipped => (
            "Order {{ order.number }} shipped",
            "It is on its way{% if tracking %}: {{ tracking.carrier }}, {{ tracking.number }}{% endif %}.",
        ),
        MessageKind::OrderDelivered => {
            ("Order {{ order.number }} delivered", "Your order was delivered. We hope you like it.")
        }
        MessageKind::OrderReturned => {
            let text = "We have received the items that you returned.\
                {% if refund.some %} We are refunding {{ refund.amount }} {{ refund.currency }}.{% endif %}\
                {% if voided.some %} {{ voided.amount }} {{ voided.currency }} is no longer due.{% endif %}\
                {% if points %} {{ points }} points are returned to your account.{% endif %}";
            ("Return of order {{ order.number }}", text)
        }
        MessageKind::PaymentRefunded => {
            ("Refund for order {{ order.number }}", "We refunded {{ refund.amount }} {{ refund.currency }}.")
        }
        MessageKind::PaymentFailed => {
            ("Payment for order {{ order.number }} failed", "Your payment did not go through.")
        }
        MessageKind::Welcome => ("Welcome", "Your account at {{ store.name }} is ready."),
        MessageKind::VerifyEmail => ("Confirm your address", "We sent you a message to confirm your address."),
        MessageKind::PasswordReset => ("New password", "We sent you a message to set a new password."),
        MessageKind::StockLow => ("{{ stock.sku }} is running low", "Units left: {{ stock.available }}."),
        MessageKind::WebhookDisabled => ("A webhook was disabled", "{{ webhook.url }}: {{ webhook.reason }}"),
    }
}
