//! The messages that are posted to endpoints, as types and as the API description shows them.

use promox_contract::campaign::{CampaignEnded, CampaignPaused, CampaignStarted};
use promox_contract::cart::CartAbandoned;
use promox_contract::coupon::{CouponRedeemed, CouponReleased};
use promox_contract::flashsale::{FlashSaleEnded, FlashSaleSoldOut, FlashSaleStarted};
use promox_contract::inventory::{StockChanged, StockLow};
use promox_contract::order::{
    OrderCancelled, OrderConfirmed, OrderCreated, OrderDelivered, OrderFailed, OrderRefunded, OrderReturned,
    OrderShipped,
};
use promox_contract::payment::{PaymentAuthorized, PaymentCaptured, PaymentDisputed, PaymentFailed, PaymentRefunded};
use promox_contract::product::{ProductCreated, ProductUpdated};
use promox_contract::promotion::PromotionApplied;
use promox_contract::reward::{AchievementUnlocked, PointsAwarded, PointsExpired, PointsRedeemed, TierChanged};
use promox_contract::user::{UserErased, UserRegistered};
use promox_kernel::{Fact, Outgoing, Timestamp};
use promox_outbound::standard_webhooks;
use schemars::JsonSchema;
use serde::Serialize;

use super::kinds::WebhookEvent;
use super::records::WebhookId;
use super::rules::TEST;

/// The header that continues the trace of a change.
pub(crate) const TRACEPARENT: &str = "traceparent";

const HEADERS: &[(&str, &str)] = {
    let [id, timestamp, signature] = standard_webhooks::HEADERS;
    &[id, timestamp, signature, (TRACEPARENT, "Continues the trace of the change, W3C; absent if it had none.")]
};

const STATUSES: &[(&str, &str)] = &[
    ("2XX", "The message is accepted. It must be answered within 15 seconds; the body is ignored."),
    ("410", "The endpoint wants no more messages and is disabled."),
    ("default", "The message is sent again, for three days. Redirects are not followed."),
];

/// The body of a webhook.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookMessage<T> {
    /// The type of the event.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// When the event happened.
    pub(crate) timestamp: Timestamp,
    /// The id of the message, which is the same in every attempt (the header `webhook-id`).
    pub(crate) id: String,
    /// The version of the format of `data`.
    pub(crate) version: u32,
    /// The id of what the event is about, such as the order.
    pub(crate) aggregate_id: i64,
    /// The event's data.
    pub(crate) data: T,
}

/// Sent on request, to test an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestMessage {
    /// The type of the event.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// When the test was requested.
    pub(crate) timestamp: Timestamp,
    /// The data of a test.
    pub(crate) data: TestData,
}

/// The data of a test.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestData {
    /// The endpoint's id.
    pub(crate) webhook_id: WebhookId,
}

/// The message of an event with the fact `F`.
const fn message<F: Fact + JsonSchema>() -> Outgoing {
    Outgoing::of::<WebhookMessage<F>, F>("notification", F::TYPE)
}

/// Gives each event the message of the fact with its name.
macro_rules! messages_of_facts {
    ($($fact:ident),+ $(,)?) => {
        /// The message of an event.
        pub(crate) const fn message_of(event: WebhookEvent) -> Outgoing {
            let message = match event {
                $(WebhookEvent::$fact => message::<$fact>()),+
            };
            message.with_headers(HEADERS).with_statuses(STATUSES)
        }
    };
}

messages_of_facts! {
    AchievementUnlocked,
    CampaignEnded,
    CampaignPaused,
    CampaignStarted,
    CartAbandoned,
    CouponRedeemed,
    CouponReleased,
    FlashSaleEnded,
    FlashSaleSoldOut,
    FlashSaleStarted,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDelivered,
    OrderFailed,
    OrderRefunded,
    OrderReturned,
    OrderShipped,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PointsAwarded,
    PointsExpired,
    PointsRedeemed,
    ProductCreated,
    ProductUpdated,
    PromotionApplied,
    StockChanged,
    StockLow,
    TierChanged,
    UserErased,
    UserRegistered,
}

/// All messages: one for each event, and the test.
pub(crate) fn all() -> impl Iterator<Item = Outgoing> {
    let test = Outgoing::of::<TestMessage, TestMessage>("notification", TEST);
    let events = WebhookEvent::ALL.iter().map(|event| message_of(*event));
    events.chain([test.with_headers(HEADERS).with_statuses(STATUSES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_and_its_fact_have_the_same_type() {
        for event in WebhookEvent::ALL {
            assert_eq!(message_of(*event).kind, event.as_str());
        }
    }
}
