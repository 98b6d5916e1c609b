//! Requests and replies of the payment service's own routes.

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{CaptureAt, PaymentAction, PaymentStatus};
use promox_kernel::{Amount, Body, Currency, Cursor, Limit, Page, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::records::{Attempt, AttemptOutcome, CaptureStatus, Method, Provider, RefundStatus};

/// Lists payments, newest first: all of them with the permission `payment:read`, otherwise the caller's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListPayments {
    /// Lists only this order's payment. Callers with an order token must send it.
    pub order_id: Option<OrderId>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListPayments => Page<PaymentView>, "payment.list", Get "/api/payments", Owner("payment:read"), 200,
    "Payments, newest first.", refuses [404]
}

/// Returns one payment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPayment {
    /// The payment's id.
    pub id: PaymentId,
}
operation! {
    GetPayment => PaymentView, "payment.get", Get "/api/payments/{id}", Owner("payment:read"), 200,
    "One payment."
}

/// Lists the available payment methods: those that the store has enabled, each with its provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMethods {}
operation! {
    ListMethods => Page<MethodView>, "payment.methods", Get "/api/payments/methods", Anyone, 200,
    "The available payment methods."
}

/// Continues a payment after the buyer has completed the action that the provider required. The payment is returned as
/// it then is: it may still be REQUIRES_ACTION, or be PROCESSING or FAILED.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmPayment {
    /// The payment's id.
    pub id: PaymentId,
}
operation! {
    ConfirmPayment => PaymentView, "payment.confirm", Post "/api/payments/{id}/confirm", Owner("payment:write"), 200,
    "Continues a payment that is REQUIRES_ACTION or PROCESSING.", keyed
}

/// Records that a manual payment has arrived, or captures an authorised payment. All that is due and not captured is
/// captured: the order's amount less earlier returns. A payment with `captureAt` `SHIPMENT` is captured by its
/// shipments without this request, which takes the rest ahead of the goods, for example before the card's authorisation
/// expires; the answer is 202 while the provider has not answered. While the order's checkout is running, the answer is
/// 409 `CHECKOUT_IN_PROGRESS`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapturePayment {
    /// The payment's id.
    pub id: PaymentId,
}
operation! {
    CapturePayment => PaymentView, "payment.capture", Post "/api/payments/{id}/capture",
    Permission("payment:write"), 200,
    "Captures a payment in full.", keyed, also [202]
}

/// Voids a payment that was not captured, and cancels its order. After the first shipment the answer is 409
/// `NOT_CANCELLABLE`: return the goods instead, which reduces the amount due; once all goods are returned, a fee that
/// is still due can be voided too. Voiding a voided payment changes nothing. The answer is 202 while the provider has
/// not answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoidPayment {
    /// The payment's id.
    pub id: PaymentId,
}
operation! {
    VoidPayment => PaymentView, "payment.void", Post "/api/payments/{id}/void", Permission("payment:write"), 200,
    "Voids a payment that was not captured and cancels its order.", keyed, also [202]
}

/// Refunds a payment in full or in part. The order and its stock are not changed: the order can still be cancelled,
/// returned or, with `confirm`, shipped, and becomes REFUNDED once its goods are returned too. Without an
/// `Idempotency-Key` a repeated request refunds twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRefund {
    /// The payment's id.
    pub id: PaymentId,
    /// The amount to refund; by default everything that has not been refunded.
    pub amount: Option<Amount>,
    /// The reason, 1 to 200 characters.
    pub reason: String,
}
operation! {
    CreateRefund => PaymentView, "payment.refund", Post "/api/payments/{id}/refunds", Permission("payment:refund"), 201,
    "Refunds a payment in full or in part.", keyed, also [202]
}

/// Receives a provider's webhook. The sandbox signs by the Standard Webhooks scheme (`webhook-id`, `webhook-timestamp`,
/// `webhook-signature`). An example of its body:
/// `{"type":"payment.captured","data":{"key":"order-7-charge","reference":"…","amount":"19.90","currency":"GBP"}}`.
/// Other types are `payment.authorized`, `payment.declined` with `code`, `payment.voided`, and `payment.refunded` with
/// a refund's `key`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiveWebhook {
    /// The provider's name.
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
    /// The payment's id.
    pub id: PaymentId,
    /// The order's id.
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
    /// The part of the amount that is no longer due: deducted by returns before the capture, or voided.
    pub voided: Amount,
    /// The latest charge requests to the provider, at most 20, oldest first.
    pub attempts: Vec<Attempt>,
    /// When the money is captured: `ORDER`, or `SHIPMENT`, in parts as goods are shipped.
    pub capture_at: CaptureAt,
    /// The captures of a payment that is captured as goods are shipped, oldest first. Others have none.
    pub captures: Vec<CaptureView>,
    /// Refunds, oldest first.
    pub refunds: Vec<RefundView>,
    /// The action required of the buyer while the status is REQUIRES_ACTION.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
    /// The provider's decline code, when the payment failed. `PAYMENT_MISMATCH` if the provider states another
    /// amount than is due, in an answer or a webhook: nothing is booked until that is settled with the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// When the payment was created.
    pub created_at: Timestamp,
    /// When the payment last changed.
    pub updated_at: Timestamp,
    /// Whether the provider has not answered the requested change yet.
    #[serde(skip)]
    #[schemars(skip)]
    pub waiting: bool,
}
json_reply!(PaymentView, status http_status);

impl PaymentView {
    /// 202 while the provider has not answered, otherwise the operation's own status.
    fn http_status(&self) -> Option<u16> {
        self.waiting.then_some(202)
    }
}

/// A capture of a payment that is captured as goods are shipped.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaptureView {
    /// The capture's id.
    pub id: i64,
    /// The amount.
    pub amount: Amount,
    /// Its cause: `parcel:` with the parcel's id, `return:` with the id of a return after which no goods were left to
    /// ship, or `request:` for a capture by an administrator.
    pub reference: String,
    /// The status: PENDING until the provider has answered, FAILED if it had cancelled the payment.
    pub status: CaptureStatus,
    /// When the capture was claimed.
    pub created_at: Timestamp,
}

/// A refund.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefundView {
    /// The refund's id.
    pub id: i64,
    /// The amount.
    pub amount: Amount,
    /// The reason given for it.
    pub reason: String,
    /// Its origin: `return:` with the return's id, `cancel`, or `request:` with the refund's id for a manual refund.
    pub reference: String,
    /// The status; PENDING until the provider has answered.
    pub status: RefundStatus,
    /// When the refund was requested.
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
    /// The display name.
    pub name: &'static str,
    /// The key with which the storefront's code asks the provider for a token, if it needs one. It is not a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishable_key: Option<String>,
}
