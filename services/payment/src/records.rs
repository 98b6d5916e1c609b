//! The tables of payments.

use promox_contract::ids::{OrderId, PaymentId};
pub use promox_contract::payment::PaymentMethod as Method;
use promox_contract::payment::{CaptureAt, PaymentAction, PaymentStatus};
use promox_kernel::{Amount, Currency, Json, Timestamp, UserId, text_enum};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

text_enum! {
    /// The payment provider: the party that moves the money.
    Provider {
        Sandbox = "sandbox",
        Manual = "manual",
        Stripe = "stripe",
    }
}

text_enum! {
    /// The outcome of a request to a provider.
    AttemptOutcome {
        Answered = "ANSWERED",
        Declined = "DECLINED",
        NoAnswer = "NO_ANSWER",
        ProviderError = "PROVIDER_ERROR",
    }
}

/// One charge request to a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PaymentAttempt")]
pub struct Attempt {
    /// When the request ended.
    pub at: Timestamp,
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The provider's code, if it declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

record! {
    /// The payment of an order.
    pub(crate) struct Payment in Ecommerce.payments = 250, key(id: PaymentId) {
        order_id: OrderId,
        user_id: Option<UserId>,
        provider: Provider,
        method: Method,
        status: PaymentStatus,
        amount: Amount,
        currency: Currency,
        /// The sum of the ledger's `AUTHORIZE` entries; likewise `captured` and `refunded`.
        authorized: Amount,
        captured: Amount,
        refunded: Amount,
        /// The amount claimed by refunds that the provider has not answered.
        refunding: Amount,
        /// The amount that is no longer due: deducted by returns before the capture, or voided.
        voided: Amount,
        failure_code: Option<String>,
        /// The provider's token for the payment method, while it may be needed.
        token: Option<String>,
        /// The provider's reference of the charge.
        reference: Option<String>,
        action: Json<Option<PaymentAction>>,
        /// The latest attempts; `tries` counts all of them.
        attempts: Json<Vec<Attempt>>,
        tries: u32,
        /// The number of ledger entries, which is also the number of the newest one.
        entries: i64,
        /// When the order ended or the payment was voided; a later capture is refunded.
        cancelled_at: Option<Timestamp>,
        cancel_reason: Option<String>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
        /// When the money is captured; null, as for older payments, means with the order.
        capture_at: Option<CaptureAt>,
        /// The amount claimed by captures that the provider has not answered; null until there is one.
        capturing: Option<Amount>,
    }
    unique PaymentByOrder = 251 (order_id);
    index PaymentByUser = 252 (user_id, created_at);
    index PaymentByCreated = 265 (created_at);
}

text_enum! {
    /// The kind of a ledger entry.
    EntryKind {
        Authorize = "AUTHORIZE",
        Capture = "CAPTURE",
        Refund = "REFUND",
        Void = "VOID",
    }
}

record! {
    /// An entry of a payment's ledger, numbered from 1; never changed.
    pub(crate) struct PaymentEntry in Ecommerce.payment_entries = 253, key(payment_id: PaymentId, number: i64) {
        kind: EntryKind,
        amount: Amount,
        /// The provider's reference of the operation.
        reference: Option<String>,
        refund_id: Option<i64>,
        at: Timestamp,
    }
}

text_enum! {
    /// The status of a capture that follows a shipment.
    CaptureStatus {
        Pending = "PENDING",
        Succeeded = "SUCCEEDED",
        Failed = "FAILED",
    }
}

record! {
    /// A capture of a part of an authorised payment. Its amount is claimed from what is due before the provider is
    /// called.
    pub(crate) struct Capture in Ecommerce.captures = 270, key(id: i64) {
        payment_id: PaymentId,
        /// Unique per payment: `parcel:3`, `return:7`, `request:2`.
        reference: String,
        amount: Amount,
        /// Whether nothing else is to be captured, so that the provider releases the rest.
        is_last: bool,
        status: CaptureStatus,
        tries: u32,
        /// When the request is repeated; null once the capture is decided.
        due_at: Option<Timestamp>,
        created_at: Timestamp,
        settled_at: Option<Timestamp>,
    }
    unique CaptureByReference = 271 (payment_id, reference);
    index CaptureByDue = 272 (due_at);
}

text_enum! {
    /// The status of a refund.
    RefundStatus {
        Pending = "PENDING",
        Succeeded = "SUCCEEDED",
    }
}

record! {
    /// A refund, pending or completed. Its amount is claimed from the payment before the provider is called.
    pub(crate) struct Refund in Ecommerce.refunds = 255, key(id: i64) {
        payment_id: PaymentId,
        /// Unique per payment: `return:7`, `cancel`, `request:3`.
        reference: String,
        amount: Amount,
        reason: String,
        status: RefundStatus,
        tries: u32,
        /// When the request is repeated; null once the provider has answered.
        due_at: Option<Timestamp>,
        created_at: Timestamp,
        settled_at: Option<Timestamp>,
    }
    unique RefundByReference = 256 (payment_id, reference);
    index RefundByDue = 257 (due_at);
}

record! {
    /// The decided effect of a return; repeated requests get the same answer.
    pub(crate) struct Settlement in Ecommerce.return_settlements = 263, key(return_id: i64) {
        payment_id: PaymentId,
        refund: Amount,
        voided: Amount,
        fee: Amount,
        at: Timestamp,
    }
    index SettlementByPayment = 264 (payment_id);
}

record! {
    /// An order that ended before it had a payment; a payment that arrives later is refunded.
    pub(crate) struct Cancellation in Ecommerce.payment_cancellations = 259, key(order_id: OrderId) {
        reason: String,
        at: Timestamp,
    }
}

record! {
    /// An order whose payment was not decided some time after it was placed.
    pub(crate) struct UnpaidOrder in Ecommerce.unpaid_orders = 267, key(order_id: OrderId) {
        /// When its checkout is resumed next.
        due_at: Timestamp,
    }
    index UnpaidOrderByDue = 268 (due_at);
}

record! {
    /// A processed webhook, kept so that a repetition is recognised.
    pub(crate) struct ProviderEvent in Ecommerce.provider_events = 261, key(provider: Provider, event_id: String) {
        kind: String,
        at: Timestamp,
    }
    index ProviderEventByTime = 262 (at);
}
