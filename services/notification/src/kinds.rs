//! Kinds of messages, their channels, and which of them users can turn off.

use promox_kernel::text_enum;

text_enum! {
    /// A kind of message.
    MessageKind {
        OrderReceived = "ORDER_RECEIVED",
        OrderConfirmed = "ORDER_CONFIRMED",
        OrderCancelled = "ORDER_CANCELLED",
        OrderFailed = "ORDER_FAILED",
        OrderShipped = "ORDER_SHIPPED",
        OrderDelivered = "ORDER_DELIVERED",
        OrderReturned = "ORDER_RETURNED",
        PaymentRefunded = "PAYMENT_REFUNDED",
        PaymentFailed = "PAYMENT_FAILED",
        Welcome = "WELCOME",
        VerifyEmail = "VERIFY_EMAIL",
        PasswordReset = "PASSWORD_RESET",
        StockLow = "STOCK_LOW",
    }
}

text_enum! {
    /// A channel.
    Channel {
        Email = "EMAIL",
        Inbox = "INBOX",
    }
}

/// The data available to a template of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An order, with the event's data.
    Order,
    /// A user.
    User,
    /// A link with a secret in it.
    Link,
    /// A SKU.
    Stock,
}

impl MessageKind {
    /// The key of its templates, `order_confirmed`.
    pub fn key(self) -> String {
        self.as_str().to_ascii_lowercase()
    }

    /// The kind whose templates have this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.key() == key)
    }

    pub(crate) fn subject(self) -> Subject {
        match self {
            Self::Welcome => Subject::User,
            Self::VerifyEmail | Self::PasswordReset => Subject::Link,
            Self::StockLow => Subject::Stock,
            _ => Subject::Order,
        }
    }

    /// Its channels. Secrets and messages to the merchant are sent by e-mail only.
    pub(crate) fn channels(self) -> &'static [Channel] {
        match self.subject() {
            Subject::Order | Subject::User => Channel::ALL,
            Subject::Link | Subject::Stock => &[Channel::Email],
        }
    }

    /// Whether users can turn it off: what law or the order requires is always sent.
    pub(crate) fn is_optional(self, channel: Channel) -> bool {
        let by_mail = matches!(self, Self::OrderShipped | Self::OrderDelivered | Self::Welcome);
        channel == Channel::Inbox || by_mail
    }

    /// Whether it is sent to customers, so that they have preferences about it.
    pub(crate) fn is_for_customers(self) -> bool {
        self != Self::StockLow
    }
}
