//! Requests and replies of the payment service's own routes.

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentAction, PaymentStatus};
use promox_kernel::{Amount, Body, Currency, Cursor, Limit, Page, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::records::{Attempt, AttemptOutcome, Method, Provider, RefundStatus};

/// Payments, newest first: the caller's own, or all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListPayments {
    /// Only this order's.
    pub order_id: Option<OrderId>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListPayments => Page<PaymentView>, "payment.list", Get "/api/payments", Owner("payment:read"), 200,
    "Payments, newest first."
}

/// One payment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPayment {
    /// The id.
    pub id: PaymentId,
}
operation! {
    GetPayment => PaymentView, "payment.get", Get "/api/payments/{id}", Owner("payment:read"), 200,
    "One payment."
}

/// The available payment methods: those that the store has enabled, each with its provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMethods {}
operation! {
    ListMethods => Page<MethodView>, "payment.methods", Get "/api/payments/methods", Anyone, 200,
    "The available payment methods."
}

/// Continues a payment after the buyer has done what the provider requested.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmPayment {
    /// The id.
    pub id: PaymentId,
}
operation! {
    ConfirmPayment => PaymentView, "payment.confirm", Post "/api/payments/{id}/confirm", Owner("payment:write"), 200,
    "Continues after REQUIRES_ACTION.", keyed
}

/// Records that a manual payment has arrived, or captures an authorised one: always the full amount due, which is the
/// amount less earlier returns. The order must be confirmed: while its checkout is running this is 409
/// `CHECKOUT_IN_PROGRESS`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapturePayment {
    /// The id.
    pub id: PaymentId,
}
operation! {
    CapturePayment => PaymentView, "payment.capture", Post "/api/payments/{id}/capture",
    Permission("payment:write"), 200,
    "Captures a payment in full.", keyed
}

/// Voids a payment that was not captured, and cancels its order with everything that includes. After the first shipment
/// it is 409 `NOT_CANCELLABLE`: return the goods instead, which ends what is due; once all are returned, a fee that is
/// still due can be voided too. A voided payment stays voided. 202 while the provider has not answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoidPayment {
    /// The id.
    pub id: PaymentId,
}
operation! {
    VoidPayment => PaymentView, "payment.void", Post "/api/payments/{id}/void", Permission("payment:write"), 200,
    "Voids a payment that was not captured and cancels its order.", keyed
}

/// Refunds money. It moves money only: the order and its stock stay as they are, so that it can still be cancelled,
/// returned or, with `confirm`, shipped; an order is REFUNDED once its goods are returned too. Without an
/// `Idempotency-Key` a repeated request refunds twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRefund {
    /// The payment.
    pub id: PaymentId,
    /// The amount; by default everything that is left.
    pub amount: Option<Amount>,
    /// The reason, for the books: 1 to 200 characters.
    pub reason: String,
}
operation! {
    CreateRefund => PaymentView, "payment.refund", Post "/api/payments/{id}/refunds", Permission("payment:refund"), 201,
    "Refunds a payment in full or in part.", keyed
}

/// A provider's webhook, signed by the Standard Webhooks scheme (`webhook-id`, `webhook-timestamp`,
/// `webhook-signature`). The sandbox's body:
/// `{"type":"payment.captured","data":{"key":"order-7-charge","reference":"…","amount":"19.90","currency":"GBP"}}`;
/// also `payment.authorized`, `payment.declined` with `code`, `payment.voided`, and `payment.refunded` with a refund's
/// `key`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiveWebhook {
    /// The provider.
    pub provider: String,
    /// The signed body.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! {
    ReceiveWebhook => (), "payment.webhook", Post "/api/payments/webhooks/{provider}", Signed, 204,
    "Receives a provider's webhook.", stream ["application/json"], body
}

/// A payment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentView {
    /// The id.
    pub id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// The provider.
    pub provider: Provider,
    /// The payment method.
    pub method: Method,
    /// The status.
    pub status: PaymentStatus,
    /// The amount to pay.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
    /// The amount authorised.
    pub authorized: Amount,
    /// The amount captured.
    pub captured: Amount,
    /// The amount refunded.
    pub refunded: Amount,
    /// The part of the amount that no longer has to be paid: deducted by returns before the capture, or voided.
    pub voided: Amount,
    /// The latest requests to the provider.
    pub attempts: Vec<Attempt>,
    /// Refunds, oldest first.
    pub refunds: Vec<RefundView>,
    /// What the buyer must do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether the requested change still waits for the provider.
    #[serde(skip)]
    #[schemars(skip)]
    pub waiting: bool,
}
json_reply!(PaymentView, status http_status);

impl PaymentView {
    /// 202 while the provider has not answered.
    fn http_status(&self) -> Option<u16> {
        self.waiting.then_some(202)
    }
}

/// A refund.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefundView {
    /// The id.
    pub id: i64,
    /// The amount.
    pub amount: Amount,
    /// The reason.
    pub reason: String,
    /// Its origin: `return:7`, `cancel`, `request:3`.
    pub reference: String,
    /// PENDING until the provider has answered.
    pub status: RefundStatus,
    /// When it was requested.
    pub created_at: Timestamp,
}

/// An available payment method.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodView {
    /// The value for `payment.method` of an order.
    pub method: Method,
    /// The value for `payment.provider` of an order. Payments by `sandbox` are test money.
    pub provider: Provider,
    /// Its display name.
    pub name: &'static str,
}
