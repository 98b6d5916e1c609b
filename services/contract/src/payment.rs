//! Operations of payments for other services: charge an order, once, and refund it.

use promox_kernel::{Amount, Currency, UserId, fact, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PaymentId};

/// Orders and payments both state the captured amount of each paid order.
pub const PAID: &str = "a paid order has one active capture, equal to its total";
/// Orders and payments both state the amount to be captured of each order that awaits its money.
pub const DUE: &str = "an order that waits for its money has a payment that can be captured";
/// Orders and payments both state the effect of each approved return: refunded and no longer due.
pub const SETTLED: &str = "a return's refund = its payment's refund";
/// Orders and payments both state the refunds of each order.
pub const PAYMENT_REFUNDS: &str = "an order's refunds = its payment's refunds";

/// The effect of a return, as both state it.
pub fn return_effect(refund: Amount, voided: Amount) -> String {
    format!("{refund} refunded, {voided} no longer due")
}

text_enum! {
    /// The status of a payment.
    PaymentStatus {
        Pending = "PENDING",
        RequiresAction = "REQUIRES_ACTION",
        Authorized = "AUTHORIZED",
        Captured = "CAPTURED",
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        Refunded = "REFUNDED",
        Voided = "VOIDED",
        Failed = "FAILED",
    }
}

text_enum! {
    /// A payment method.
    PaymentMethod {
        /// A card, through a provider.
        Card = "CARD",
        /// Cash on delivery, captured manually.
        CashOnDelivery = "CASH_ON_DELIVERY",
        /// A bank transfer, captured manually.
        BankTransfer = "BANK_TRANSFER",
    }
}

/// The payment in an order's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentChoice {
    /// `CARD`, `CASH_ON_DELIVERY`, `BANK_TRANSFER`.
    pub method: String,
    /// The provider; by default `sandbox` for `CARD` and `manual` for the other methods.
    #[serde(default)]
    pub provider: Option<String>,
    /// The provider's token for the payment method.
    #[serde(default)]
    pub token: Option<String>,
}

/// Validates a choice before anything is held: unknown or disabled providers and methods, and missing tokens, are
/// refused with a pointer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckPaymentChoice {
    /// The choice.
    pub choice: PaymentChoice,
}
operation! { CheckPaymentChoice => (), "payment.check_choice", internal, "Validates a payment method and token." }

/// Charges an order: authorises and captures a card, records a manual payment. An order has one payment: repeating the
/// request continues it, with the same key at the provider, so nothing is ever charged twice.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakePayment {
    /// The order.
    pub order_id: OrderId,
    /// The amount, greater than zero.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
    /// The payment method and token.
    pub choice: PaymentChoice,
    /// The account that pays, if any: it may see the payment.
    #[serde(default)]
    pub user_id: Option<UserId>,
}
operation! { TakePayment => PaymentOutcome, "payment.take", internal, "Charges an order." }

/// Gets the status of an order's payment, 404 without one. The provider is not asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrderPayment {
    /// The order.
    pub order_id: OrderId,
}
operation! { GetOrderPayment => PaymentOutcome, "payment.get_for_order", internal, "The status of an order's payment." }

/// The status of a payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentOutcome {
    /// The payment.
    pub id: PaymentId,
    /// PENDING while the provider has not answered; for `manual` it is PENDING until captured by hand.
    pub status: PaymentStatus,
    /// Whether the provider's answer is outstanding: then ask again. A manual PENDING payment is not undecided.
    pub undecided: bool,
    /// Why it was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// What the buyer must do, for REQUIRES_ACTION.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
    /// The amount captured so far.
    pub captured: Amount,
    /// The amount refunded so far.
    pub refunded: Amount,
    /// The amount that can still be refunded: captured, and neither refunded nor claimed by a refund.
    pub left: Amount,
    /// The amount that covers goods shipped now: captured, authorised, or collected on delivery.
    pub secured: Amount,
}
json_reply!(PaymentOutcome);

/// What the buyer must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAction {
    /// `REDIRECT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address to go to.
    pub url: String,
}

/// Ends an order's payment because the order ended: an uncaptured one is voided, a captured one is refunded as far as
/// money is left. Repeating it changes nothing; an order without a payment is fine. A later capture is refunded too.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelPayment {
    /// The order.
    pub order_id: OrderId,
    /// The reason, for the books.
    pub reason: String,
}
operation! { CancelPayment => (), "payment.cancel", internal, "Ends an order's payment and refunds it." }

/// Decides the refund of an approved return, and carries it out, once per return. What was captured is refunded as far
/// as money is left; what was not captured is no longer due. Repeating it returns the same result. The amounts are
/// decided before the provider is asked: a slow provider delays the money, not the reply. 404 without a payment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettleReturn {
    /// The order.
    pub order_id: OrderId,
    /// The return.
    pub return_id: i64,
    /// The worth of the return in money: its units and the shipping refunded with them.
    pub amount: Amount,
    /// The fee that is deducted.
    pub fee: Amount,
    /// Whether this return leaves nothing of the order with the buyer: then only the fee is still due.
    pub whole: bool,
    /// The reason, for the books.
    pub reason: String,
}
operation! { SettleReturn => ReturnSettlement, "payment.settle_return", internal, "Refunds a return." }

/// The effect of a return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnSettlement {
    /// The amount refunded, or claimed and pending.
    pub refund: Amount,
    /// The amount not captured, and no longer due.
    pub voided: Amount,
    /// The fee that was deducted.
    pub fee: Amount,
    /// The status of the payment now.
    pub payment: PaymentOutcome,
}
json_reply!(ReturnSettlement);

/// Money was captured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// The amount.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
}

/// A payment failed finally.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// The reason.
    pub code: String,
}

/// Money was refunded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// The amount of this refund.
    pub amount: Amount,
    /// The amount refunded in total.
    pub refunded: Amount,
    /// The amount captured.
    pub captured: Amount,
    /// The currency.
    pub currency: Currency,
    /// The return; null for a refund of money alone and for the end of an order.
    #[serde(default)]
    pub return_id: Option<i64>,
}
fact! {
    PaymentCaptured = "PAYMENT_CAPTURED" in "payment",
    PaymentFailed = "PAYMENT_FAILED" in "payment",
    PaymentRefunded = "PAYMENT_REFUNDED" in "payment",
}
