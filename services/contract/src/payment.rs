//! What others ask of payments: to take an order's money, once, and to give it back.

use promox_kernel::{Amount, Currency, UserId, fact, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PaymentId};

/// Orders and payments both state what is captured for each order that is paid for.
pub const PAID: &str = "a paid order has one active capture, equal to its total";
/// Orders and payments both state what is still to be captured for each order that waits for its money.
pub const DUE: &str = "an order that waits for its money has a payment that can be captured";
/// Orders and payments both state what each approved return gave: refunded and no longer due.
pub const SETTLED: &str = "a return's refund = its payment's refund";
/// Orders and payments both state what was given back of each order in money.
pub const GAVE: &str = "an order's refunds = its payment's refunds";

/// What a return gave, as both state it.
pub fn gave(refund: Amount, voided: Amount) -> String {
    format!("{refund} refunded, {voided} no longer due")
}

text_enum! {
    /// Where a payment stands.
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
    /// A way to pay.
    PaymentMethod {
        /// A card, through a provider.
        Card = "CARD",
        /// Paid to the carrier, captured by hand.
        CashOnDelivery = "CASH_ON_DELIVERY",
        /// Paid to the shop's account, captured by hand.
        BankTransfer = "BANK_TRANSFER",
    }
}

/// How a buyer pays, as the order's request says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentChoice {
    /// `CARD`, `CASH_ON_DELIVERY`, `BANK_TRANSFER`.
    pub method: String,
    /// Who takes the money; unless said `sandbox` for `CARD` and `manual` for the other methods.
    #[serde(default)]
    pub provider: Option<String>,
    /// The provider's token for the means of payment.
    #[serde(default)]
    pub token: Option<String>,
}

/// Checks a choice before anything is held: unknown providers and methods, those that are switched off, and missing tokens are
/// refused with a pointer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckPaymentChoice {
    /// The choice.
    pub choice: PaymentChoice,
}
operation! { CheckPaymentChoice => (), "payment.check_choice", internal, "Validates a payment method and token." }

/// Takes an order's money: authorises and captures a card, notes a manual payment. One payment an order: asking again
/// goes on with what is there, with the same key towards the provider, so nothing is ever charged twice.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakePayment {
    /// For what.
    pub order_id: OrderId,
    /// How much, more than zero.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// How.
    pub choice: PaymentChoice,
    /// The account that pays, if it is one: it may see the payment.
    #[serde(default)]
    pub user_id: Option<UserId>,
}
operation! { TakePayment => PaymentOutcome, "payment.take", internal, "Charges an order." }

/// Where the payment of an order stands, 404 without one. It asks nobody outside.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrderPayment {
    /// Which order.
    pub order_id: OrderId,
}
operation! { GetOrderPayment => PaymentOutcome, "payment.get_for_order", internal, "The status of an order's payment." }

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentOutcome {
    /// The payment.
    pub id: PaymentId,
    /// PENDING while the provider has not answered; for `manual` it is PENDING until captured by hand.
    pub status: PaymentStatus,
    /// Whether the provider's answer is still out: then ask again. A manual PENDING payment is not undecided.
    pub undecided: bool,
    /// Why it was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// What the buyer has to do, for REQUIRES_ACTION.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
    /// Captured so far.
    pub captured: Amount,
    /// Given back so far.
    pub refunded: Amount,
    /// What can be refunded still: captured, neither given back nor on its way back.
    pub left: Amount,
    /// What pays for goods that are shipped now: what is left, what is authorised, and what is collected on delivery.
    pub secured: Amount,
}
json_reply!(PaymentOutcome);

/// What the buyer has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAction {
    /// `REDIRECT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to.
    pub url: String,
}

/// Ends an order's payment because the order ended: an uncaptured one is voided, a captured one refunded by what is left.
/// Asking again changes nothing; an order without a payment is fine. A capture that comes later is given back too.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelPayment {
    /// Whose payment.
    pub order_id: OrderId,
    /// Why, for the books.
    pub reason: String,
}
operation! { CancelPayment => (), "payment.cancel", internal, "Ends an order's payment and refunds it." }

/// Decides what an approved return gives of its order's payment, and gives it, once a return. What was captured is refunded as
/// far as it is left; what was never captured is no longer due. Asking again gives the same answer. The amounts are decided
/// before the provider is asked: a silent provider delays the money, not the answer. 404 without a payment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettleReturn {
    /// Whose payment.
    pub order_id: OrderId,
    /// Which return.
    pub return_id: i64,
    /// What the return is worth in money: its units and the shipping that is given back with them.
    pub amount: Amount,
    /// What is kept of it.
    pub fee: Amount,
    /// Whether this return leaves nothing of the order with the buyer: then nothing but the fee is due any more.
    pub whole: bool,
    /// Why, for the books.
    pub reason: String,
}
operation! { SettleReturn => ReturnSettlement, "payment.settle_return", internal, "Refunds a return." }

/// What a return gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnSettlement {
    /// Given back, or claimed and on its way.
    pub refund: Amount,
    /// Not captured yet, and no longer due.
    pub voided: Amount,
    /// What was kept of it as a fee.
    pub fee: Amount,
    /// Where the payment stands now.
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
    /// How much.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
}

/// A payment failed for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// Why.
    pub code: String,
}

/// Money was given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its order.
    pub order_id: OrderId,
    /// How much this time.
    pub amount: Amount,
    /// How much in all.
    pub refunded: Amount,
    /// Of how much that was captured.
    pub captured: Amount,
    /// In which currency.
    pub currency: Currency,
    /// The return that it belongs to; null for a refund of money alone and for the end of an order.
    #[serde(default)]
    pub return_id: Option<i64>,
}
fact! {
    PaymentCaptured = "PAYMENT_CAPTURED" in "payment",
    PaymentFailed = "PAYMENT_FAILED" in "payment",
    PaymentRefunded = "PAYMENT_REFUNDED" in "payment",
}
