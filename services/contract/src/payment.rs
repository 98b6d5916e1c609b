//! What others ask of payments: to take an order's money, once, and to give it back.

use promox_kernel::{Amount, Currency, UserId, fact, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PaymentId};

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
    /// `sandbox` unless said, `manual` for what is paid by hand.
    #[serde(default)]
    pub provider: Option<String>,
    /// The provider's token for the means of payment.
    #[serde(default)]
    pub token: Option<String>,
}

/// Checks a choice before anything is held: unknown providers and methods, those that are switched off, and missing tokens are
/// refused with a pointer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckPaymentChoice {
    /// The choice.
    pub choice: PaymentChoice,
}
operation! { CheckPaymentChoice => (), "payment.check_choice", internal, "Checks a choice of payment." }

/// Takes an order's money: authorises and captures a card, notes a manual payment. One payment an order: asking again
/// goes on with what is there, with the same key towards the provider, so nothing is ever charged twice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
operation! { TakePayment => PaymentOutcome, "payment.take", internal, "Takes an order's money." }

/// Where the payment of an order stands, 404 without one. It asks nobody outside.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentOfOrder {
    /// Which order.
    pub order_id: OrderId,
}
operation! { PaymentOfOrder => PaymentOutcome, "payment.of_order", internal, "Where an order's payment stands." }

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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelPayment {
    /// Whose payment.
    pub order_id: OrderId,
    /// Why, for the books.
    pub reason: String,
}
operation! { CancelPayment => (), "payment.cancel", internal, "Ends an order's payment and gives the money back." }

/// Gives a part back, once a reference: never more than what is left.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefundForReturn {
    /// Whose payment.
    pub order_id: OrderId,
    /// `return:7`.
    pub reference: String,
    /// How much.
    pub amount: Amount,
    /// Why, for the books.
    pub reason: String,
}
operation! { RefundForReturn => PaymentOutcome, "payment.refund_for_return", internal, "Refunds a return." }

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
    /// In which currency.
    pub currency: Currency,
}
fact! {
    PaymentCaptured = "PAYMENT_CAPTURED" in "payment",
    PaymentFailed = "PAYMENT_FAILED" in "payment",
    PaymentRefunded = "PAYMENT_REFUNDED" in "payment",
}
