//! What is written about, by which channels, and what may be turned off.

use promox_kernel::text_enum;

text_enum! {
    /// What a message is about.
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
    /// How a message reaches somebody.
    Channel {
        Email = "EMAIL",
        Inbox = "INBOX",
    }
}

/// What a template of a kind is given to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An order, with the facts of the event.
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

    /// The channels it goes by. Secrets and the merchant's messages go by e-mail only.
    pub(crate) fn channels(self) -> &'static [Channel] {
        match self.subject() {
            Subject::Order | Subject::User => Channel::ALL,
            Subject::Link | Subject::Stock => &[Channel::Email],
        }
    }

    /// Whether users may turn it off: what the law or the order demands is always sent.
    pub(crate) fn is_optional(self, channel: Channel) -> bool {
        let by_mail = matches!(self, Self::OrderShipped | Self::OrderDelivered | Self::Welcome);
        channel == Channel::Inbox || by_mail
    }

    /// Whether it is written to customers, so that they have preferences about it.
    pub(crate) fn is_for_customers(self) -> bool {
        self != Self::StockLow
    }
}
