//! The tables of payments.

use promox_contract::ids::{OrderId, PaymentId};
pub use promox_contract::payment::PaymentMethod as Method;
use promox_contract::payment::{PaymentAction, PaymentStatus};
use promox_kernel::{Amount, Currency, Json, Timestamp, UserId, text_enum};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

text_enum! {
    /// Who moves the money.
    Provider {
        Sandbox = "sandbox",
        Manual = "manual",
    }
}

text_enum! {
    /// What came of asking a provider.
    AttemptOutcome {
        Answered = "ANSWERED",
        Declined = "DECLINED",
        NoAnswer = "NO_ANSWER",
        ProviderError = "PROVIDER_ERROR",
    }
}

/// One time that a provider was asked for the money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// The provider's word for a decline.
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
        /// Sums of the ledger.
        authorized: Amount,
        captured: Amount,
        refunded: Amount,
        /// What refunds have claimed and the provider has not answered for.
        refunding: Amount,
        /// What no longer has to be paid: returns before the capture took it off, or all of it was voided.
        voided: Amount,
        failure_code: Option<String>,
        /// The provider's token for the means of payment, while it may be asked again.
        token: Option<String>,
        /// The provider's name for the charge.
        reference: Option<String>,
        action: Json<Option<PaymentAction>>,
        /// The last ones; `tries` counts all.
        attempts: Json<Vec<Attempt>>,
        tries: u32,
        /// Entries in the ledger: the number of the newest.
        entries: i64,
        /// When its order ended, or it was voided: what is captured later is given back.
        cancelled_at: Option<Timestamp>,
        cancel_reason: Option<String>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique PaymentByOrder = 251 (order_id);
    index PaymentByUser = 252 (user_id, created_at);
    index PaymentByCreated = 265 (created_at);
}

text_enum! {
    /// What an entry of the ledger says.
    EntryKind {
        Authorize = "AUTHORIZE",
        Capture = "CAPTURE",
        Refund = "REFUND",
        Void = "VOID",
    }
}

record! {
    /// An entry of a payment's ledger, numbered from 1 for each; never changed.
    pub(crate) struct PaymentEntry in Ecommerce.payment_entries = 253, key(payment_id: PaymentId, number: i64) {
        kind: EntryKind,
        amount: Amount,
        /// The provider's name for it.
        reference: Option<String>,
        refund_id: Option<i64>,
        at: Timestamp,
    }
}

text_enum! {
    /// Where a refund stands.
    RefundStatus {
        Pending = "PENDING",
        Succeeded = "SUCCEEDED",
    }
}

record! {
    /// Money on its way back, or given back. Its amount is claimed from the payment before the provider is asked.
    pub(crate) struct Refund in Ecommerce.refunds = 255, key(id: i64) {
        payment_id: PaymentId,
        /// Once a payment: `return:7`, `cancel`, `request:3`.
        reference: String,
        amount: Amount,
        reason: String,
        status: RefundStatus,
        tries: u32,
        /// When the provider is asked again, while it has not answered.
        due_at: Option<Timestamp>,
        created_at: Timestamp,
        settled_at: Option<Timestamp>,
    }
    unique RefundByReference = 256 (payment_id, reference);
    index RefundByDue = 257 (due_at);
}

record! {
    /// What a return gave, decided once: the answer whenever it is asked again.
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
    /// An order that ended before it had a payment: one that comes late is given back.
    pub(crate) struct Cancellation in Ecommerce.payment_cancellations = 259, key(order_id: OrderId) {
        reason: String,
        at: Timestamp,
    }
}

record! {
    /// An order whose payment was not decided a while after it was placed: it is looked after until that is.
    pub(crate) struct UnpaidOrder in Ecommerce.unpaid_orders = 267, key(order_id: OrderId) {
        /// When somebody looks after it next.
        due_at: Timestamp,
    }
    index UnpaidOrderByDue = 268 (due_at);
}

record! {
    /// A provider's news that was heard.
    pub(crate) struct ProviderEvent in Ecommerce.provider_events = 261, key(provider: Provider, event_id: String) {
        kind: String,
        at: Timestamp,
    }
    index ProviderEventByTime = 262 (at);
}
