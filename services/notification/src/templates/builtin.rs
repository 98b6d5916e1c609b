//! The built-in templates, in English and German.

use promox_kernel::Language;

use crate::kinds::{Channel, MessageKind};
use crate::templates::source::Source;

/// The parts that templates extend and include, by name. Those with text are in the language.
pub(crate) fn shared(language: Language) -> [(&'static str, &'static str); 4] {
    let layout = ("layout.html", include_str!("../../templates/layout.html"));
    match language {
        Language::English => [
            layout,
            ("greeting.html", include_str!("../../templates/en/greeting.html")),
            ("order_lines.html", include_str!("../../templates/en/order_lines.html")),
            ("order_lines.txt", include_str!("../../templates/en/order_lines.txt")),
        ],
        Language::German => [
            layout,
            ("greeting.html", include_str!("../../templates/de/greeting.html")),
            ("order_lines.html", include_str!("../../templates/de/order_lines.html")),
            ("order_lines.txt", include_str!("../../templates/de/order_lines.txt")),
        ],
    }
}

/// The texts of one kind of message.
struct Texts {
    /// The subject of the e-mail.
    subject: &'static str,
    html: &'static str,
    text: &'static str,
    /// The title in the inbox, of a text message and of a push message.
    title: &'static str,
    /// The text there.
    short: &'static str,
}

/// Declares the function that gives the texts of every kind in a language: the subject of the e-mail, the title
/// elsewhere, and the text elsewhere. The e-mail's parts are files.
macro_rules! messages {
    ($function:ident, $language:literal: $($kind:ident $key:literal $subject:literal, $title:literal, $short:literal;)+) => {
        fn $function(kind: MessageKind) -> Texts {
            match kind {
                $(MessageKind::$kind => Texts {
                    subject: $subject,
                    html: include_str!(concat!("../../templates/", $language, "/", $key, ".html")),
                    text: include_str!(concat!("../../templates/", $language, "/", $key, ".txt")),
                    title: $title,
                    short: $short,
                }),+
            }
        }
    };
}

/// The built-in template of a kind and channel.
pub(crate) fn source(kind: MessageKind, channel: Channel, language: Language) -> Source {
    let texts = match language {
        Language::English => english(kind),
        Language::German => german(kind),
    };
    match channel {
        Channel::Email => {
            Source { subject: texts.subject.to_owned(), html: Some(texts.html.to_owned()), text: texts.text.to_owned() }
        }
        Channel::Inbox | Channel::Sms | Channel::Push => {
            Source { subject: texts.title.to_owned(), html: None, text: texts.short.to_owned() }
        }
    }
}

messages! { english, "en":
    OrderReceived "order_received"
        "We received your order {{ order.number }}",
        "Order {{ order.number }} received",
        "Thank you. We will send you another message when the payment is complete.";
    OrderConfirmed "order_confirmed"
        "Your order {{ order.number }}",
        "Order {{ order.number }} confirmed",
        "Thank you. The total is {{ order.totals.total|money(order.currency) }}.";
    OrderCancelled "order_cancelled"
        "Your order {{ order.number }} was cancelled",
        "Order {{ order.number }} cancelled",
        "Any payment that has not yet been refunded will be refunded to you.";
    OrderFailed "order_failed"
        "Your order {{ order.number }} could not be completed",
        "Order {{ order.number }} failed",
        "It could not be completed; you were not charged.";
    OrderShipped "order_shipped"
        "Your order {{ order.number }} is on its way",
        "Order {{ order.number }} shipped",
        "It is on its way{% if tracking %}: {{ tracking.carrier }}, {{ tracking.number }}{% endif %}.";
    OrderDelivered "order_delivered"
        "Your order {{ order.number }} was delivered",
        "Order {{ order.number }} delivered",
        "Your order was delivered. We hope you like it.";
    OrderReturned "order_returned"
        "Your return of order {{ order.number }}",
        "Return of order {{ order.number }}",
        "We have received the items that you returned.\
         {% if refund.some %} We are refunding {{ refund.amount|money(refund.currency) }}.{% endif %}\
         {% if voided.some %} {{ voided.amount|money(voided.currency) }} is no longer due.{% endif %}\
         {% if points %} {{ points|number }} points are returned to your account.{% endif %}";
    PaymentRefunded "payment_refunded"
        "A refund for your order {{ order.number }}",
        "Refund for order {{ order.number }}",
        "We refunded {{ refund.amount|money(refund.currency) }}.";
    PaymentFailed "payment_failed"
        "The payment of your order {{ order.number }} failed",
        "Payment for order {{ order.number }} failed",
        "Your payment did not go through.";
    Welcome "welcome"
        "Welcome to {{ store.name }}",
        "Welcome",
        "Your account at {{ store.name }} is ready.";
    CartAbandoned "cart_abandoned"
        "Your cart at {{ store.name }}",
        "Your cart is waiting",
        "There are still items in your cart: {{ cart.link }}";
    VerifyEmail "verify_email"
        "Confirm your address at {{ store.name }}",
        "Confirm your address",
        "We sent you a message to confirm your address.";
    PasswordReset "password_reset"
        "Set a new password for {{ store.name }}",
        "New password",
        "We sent you a message to set a new password.";
    StockLow "stock_low"
        "{{ stock.sku }} is running low",
        "{{ stock.sku }} is running low",
        "Units left: {{ stock.available|number }}.";
    WebhookDisabled "webhook_disabled"
        "A webhook of {{ store.name }} was disabled",
        "A webhook was disabled",
        "No more events are sent to {{ webhook.url }}.";
}

messages! { german, "de":
    OrderReceived "order_received"
        "Ihre Bestellung {{ order.number }} ist eingegangen",
        "Bestellung {{ order.number }} eingegangen",
        "Vielen Dank. Sobald die Zahlung abgeschlossen ist, erhalten Sie eine weitere Nachricht.";
    OrderConfirmed "order_confirmed"
        "Ihre Bestellung {{ order.number }}",
        "Bestellung {{ order.number }} bestätigt",
        "Vielen Dank. Die Gesamtsumme beträgt {{ order.totals.total|money(order.currency) }}.";
    OrderCancelled "order_cancelled"
        "Ihre Bestellung {{ order.number }} wurde storniert",
        "Bestellung {{ order.number }} storniert",
        "Was Sie bereits bezahlt haben und noch nicht zurückerhalten haben, erstatten wir Ihnen.";
    OrderFailed "order_failed"
        "Ihre Bestellung {{ order.number }} konnte nicht abgeschlossen werden",
        "Bestellung {{ order.number }} nicht abgeschlossen",
        "Sie konnte nicht abgeschlossen werden. Es wurde nichts abgebucht.";
    OrderShipped "order_shipped"
        "Ihre Bestellung {{ order.number }} ist unterwegs",
        "Bestellung {{ order.number }} versandt",
        "Sie ist unterwegs{% if tracking %}: {{ tracking.carrier }}, {{ tracking.number }}{% endif %}.";
    OrderDelivered "order_delivered"
        "Ihre Bestellung {{ order.number }} wurde zugestellt",
        "Bestellung {{ order.number }} zugestellt",
        "Ihre Bestellung wurde zugestellt. Wir hoffen, dass sie Ihnen gefällt.";
    OrderReturned "order_returned"
        "Ihre Rücksendung aus der Bestellung {{ order.number }}",
        "Rücksendung aus der Bestellung {{ order.number }}",
        "Die Artikel, die Sie zurückgeschickt haben, sind bei uns eingetroffen.\
         {% if refund.some %} Wir erstatten Ihnen {{ refund.amount|money(refund.currency) }}.{% endif %}\
         {% if voided.some %} {{ voided.amount|money(voided.currency) }} müssen Sie nicht mehr bezahlen.{% endif %}\
         {% if points %} {{ points|number }} Punkte werden Ihrem Konto wieder gutgeschrieben.{% endif %}";
    PaymentRefunded "payment_refunded"
        "Eine Erstattung für Ihre Bestellung {{ order.number }}",
        "Erstattung für die Bestellung {{ order.number }}",
        "Wir haben Ihnen {{ refund.amount|money(refund.currency) }} erstattet.";
    PaymentFailed "payment_failed"
        "Die Zahlung Ihrer Bestellung {{ order.number }} ist fehlgeschlagen",
        "Zahlung der Bestellung {{ order.number }} fehlgeschlagen",
        "Ihre Zahlung konnte nicht ausgeführt werden.";
    Welcome "welcome"
        "Willkommen bei {{ store.name }}",
        "Willkommen",
        "Ihr Konto bei {{ store.name }} ist eingerichtet.";
    CartAbandoned "cart_abandoned"
        "Ihr Warenkorb bei {{ store.name }}",
        "Ihr Warenkorb wartet",
        "In Ihrem Warenkorb liegen noch Artikel: {{ cart.link }}";
    VerifyEmail "verify_email"
        "Bestätigen Sie Ihre Adresse bei {{ store.name }}",
        "Bestätigen Sie Ihre Adresse",
        "Wir haben Ihnen eine Nachricht geschickt, mit der Sie Ihre Adresse bestätigen.";
    PasswordReset "password_reset"
        "Neues Passwort für {{ store.name }} festlegen",
        "Neues Passwort",
        "Wir haben Ihnen eine Nachricht geschickt, mit der Sie ein neues Passwort festlegen.";
    StockLow "stock_low"
        "{{ stock.sku }} geht zur Neige",
        "{{ stock.sku }} geht zur Neige",
        "Noch verfügbar: {{ stock.available|number }}.";
    WebhookDisabled "webhook_disabled"
        "Ein Webhook von {{ store.name }} wurde abgeschaltet",
        "Ein Webhook wurde abgeschaltet",
        "An {{ webhook.url }} werden keine Ereignisse mehr gesendet.";
}
