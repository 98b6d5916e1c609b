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
        CartAbandoned = "CART_ABANDONED",
        VerifyEmail = "VERIFY_EMAIL",
        PasswordReset = "PASSWORD_RESET",
        StockLow = "STOCK_LOW",
        WebhookDisabled = "WEBHOOK_DISABLED",
    }
}

text_enum! {
    /// The channel of a message.
    Channel {
        Email = "EMAIL",
        Inbox = "INBOX",
        /// A text message to the account's phone number. Users turn it on themselves.
        Sms = "SMS",
        /// A message to the browsers that a user has subscribed.
        Push = "PUSH",
    }
}

impl Channel {
    /// Whether messages are sent through the channel unless the user has said otherwise.
    pub(crate) fn is_on_by_default(self) -> bool {
        self != Self::Sms
    }
}

/// What a kind of message is about, which determines the data available to its templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An order, with the event's data.
    Order,
    /// A user.
    User,
    /// A cart, whose contents are queried when the message is sent.
    Cart,
    /// A link that contains a secret.
    Link,
    /// Something that the merchant should know, with the event's data.
    Merchant,
}

impl MessageKind {
    /// The key of the kind's templates, such as `order_confirmed`.
    pub fn key(self) -> String {
        self.as_str().to_ascii_lowercase()
    }

    /// The kind whose templates have this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.key() == key)
    }

    /// What messages of this kind are about.
    pub(crate) fn subject(self) -> Subject {
        match self {
            Self::Welcome => Subject::User,
            Self::CartAbandoned => Subject::Cart,
            Self::VerifyEmail | Self::PasswordReset => Subject::Link,
            Self::StockLow | Self::WebhookDisabled => Subject::Merchant,
            _ => Subject::Order,
        }
    }

    /// The channels of the kind. Secrets and messages to the merchant are sent by e-mail only.
    pub(crate) fn channels(self) -> &'static [Channel] {
        match self.subject() {
            Subject::Order | Subject::User | Subject::Cart => Channel::ALL,
            Subject::Link | Subject::Merchant => &[Channel::Email],
        }
    }

    /// Whether users can turn off this kind in a channel. E-mails that the law or the order requires are always sent.
    pub(crate) fn is_optional(self, channel: Channel) -> bool {
        let is_optional_email =
            matches!(self, Self::OrderShipped | Self::OrderDelivered | Self::Welcome) || self.is_marketing();
        channel != Channel::Email || is_optional_email
    }

    /// Whether the kind is advertising: it has a link that ends it, and waits for the end of quiet hours.
    pub(crate) fn is_marketing(self) -> bool {
        self == Self::CartAbandoned
    }

    /// Whether the kind is sent to customers, who then have a preference for it.
    pub(crate) fn is_for_customers(self) -> bool {
        self.subject() != Subject::Merchant
    }
}
