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
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListPayments => Page<PaymentView>, "payment.list", Get "/api/payments", Owner("payment:read"), 200, "Payments, newest first." }

/// One payment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPayment {
    /// Which.
    pub id: PaymentId,
}
operation! { GetPayment => PaymentView, "payment.get", Get "/api/payments/{id}", Owner("payment:read"), 200, "One payment." }

/// How one can pay: the methods that the store has switched on, each with the provider that takes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMethods {}
operation! { ListMethods => Page<MethodView>, "payment.methods", Get "/api/payments/methods", Anyone, 200, "The \
available payment methods." }

/// Goes on with a payment whose buyer did what the provider asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmPayment {
    /// Which.
    pub id: PaymentId,
}
operation! { ConfirmPayment => PaymentView, "payment.confirm", Post "/api/payments/{id}/confirm", Owner("payment:write"), 200, "\
Continues after REQUIRES_ACTION.", keyed }

/// Notes that a payment by hand has come, or takes what was authorised: always all that is due, which is the amount less what
/// returns took off before. The order has to be confirmed: while its checkout runs this is 409 `CHECKOUT_IN_PROGRESS`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapturePayment {
    /// Which.
    pub id: PaymentId,
}
operation! { CapturePayment => PaymentView, "payment.capture", Post "/api/payments/{id}/capture", Permission("payment:write"), 200, "\
Captures a payment in full.", keyed }

/// Ends a payment that was not captured, and cancels its order with all that a cancel gives back. After the first shipment it is
/// 409 `NOT_CANCELLABLE`: return the goods instead, which ends what is due; once all are back, a fee that is still due can be
/// voided too. A payment that is void already stays so. 202 while
/// the provider has not answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoidPayment {
    /// Which.
    pub id: PaymentId,
}
operation! { VoidPayment => PaymentView, "payment.void", Post "/api/payments/{id}/void", Permission("payment:write"), 200, "\
Voids a payment that was not captured and cancels its order.", keyed }

/// Gives money back. It moves money only: the order and its stock stay as they are, so that it can still be cancelled, returned
/// or, with `confirm`, shipped; an order is REFUNDED once its goods are back too. Without an `Idempotency-Key` a request
/// that is sent twice refunds twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRefund {
    /// Of which payment.
    pub id: PaymentId,
    /// How much; all that is left unless said.
    pub amount: Option<Amount>,
    /// Why, for the books: 1 to 200 characters.
    pub reason: String,
}
operation! { CreateRefund => PaymentView, "payment.refund", Post "/api/payments/{id}/refunds", Permission("payment:refund"), 201, "\
Refunds a payment in full or in part.", keyed }

/// A provider's news, signed by the Standard Webhooks scheme (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
/// The sandbox's body: `{"type":"payment.captured","data":{"key":"order-7-charge","reference":"…","amount":"19.90","currency":"GBP"}}`;
/// also `payment.authorized`, `payment.declined` with `code`, `payment.voided`, and `payment.refunded` with a refund's `key`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiveWebhook {
    /// Whose.
    pub provider: String,
    /// As it was signed.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! { ReceiveWebhook => (), "payment.webhook", Post "/api/payments/webhooks/{provider}", Signed, 204, "\
Receives a provider's webhook.", stream ["application/json"], body }

/// A payment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentView {
    /// Its id.
    pub id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// Who moves the money.
    pub provider: Provider,
    /// How it is paid.
    pub method: Method,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What is to be paid.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// What was authorised.
    pub authorized: Amount,
    /// What was taken.
    pub captured: Amount,
    /// What was given back.
    pub refunded: Amount,
    /// What of the amount no longer has to be paid: returns before the capture took it off, or all of it was voided.
    pub voided: Amount,
    /// The last times that the provider was asked.
    pub attempts: Vec<Attempt>,
    /// Refunds, oldest first.
    pub refunds: Vec<RefundView>,
    /// What the buyer has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether what was just asked for waits for the provider.
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
    /// Its id.
    pub id: i64,
    /// How much.
    pub amount: Amount,
    /// Why.
    pub reason: String,
    /// What asked for it: `return:7`, `cancel`, `request:3`.
    pub reference: String,
    /// PENDING until the provider has answered.
    pub status: RefundStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A way to pay.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodView {
    /// For `payment.method` of an order.
    pub method: Method,
    /// For `payment.provider` of an order. Payments of `sandbox` are test money.
    pub provider: Provider,
    /// What to call it.
    pub name: &'static str,
}
