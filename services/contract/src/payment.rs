//! Operations of the payment service for other services: they charge an order once, and refund it. Also its events.

use promox_kernel::{Amount, Currency, UserId, fact, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PaymentId};

/// The audit's name for the check that orders and payments agree on the captured amount of each paid order.
pub const PAID: &str = "a paid order has one active capture, equal to its total";
/// The audit's name for the check that orders and payments agree on the amount to be captured for each order that
/// awaits its money.
pub const DUE: &str = "an order that waits for its money has a payment that can be captured";
/// The audit's name for the check that orders and payments agree on the [`return_effect`] of each approved return.
pub const SETTLED: &str = "a return's refund = its payment's refund";
/// The audit's name for the check that orders and payments agree on the refunds of each order.
pub const PAYMENT_REFUNDS: &str = "an order's refunds = its payment's refunds";

/// Formats the effect of a return for the audit: the amount refunded, and the amount that is no longer due.
pub fn return_effect(refund: Amount, voided: Amount) -> String {
    format!("{refund} refunded, {voided} no longer due")
}

text_enum! {
    /// The status of a payment.
    PaymentStatus {
        Pending = "PENDING",
        RequiresAction = "REQUIRES_ACTION",
        /// The provider has accepted the charge and decides it later.
        Processing = "PROCESSING",
        Authorized = "AUTHORIZED",
        /// A part was captured as goods were shipped; the rest is still authorised.
        PartiallyCaptured = "PARTIALLY_CAPTURED",
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

text_enum! {
    /// When the money of a card payment is captured.
    CaptureAt {
        /// With the order.
        Order = "ORDER",
        /// As goods are shipped: the order only authorises the money.
        Shipment = "SHIPMENT",
    }
}

impl CaptureAt {
    /// Whether the money is captured with the order.
    pub fn is_order(&self) -> bool {
        *self == Self::Order
    }
}

#[allow(clippy::derivable_impls, reason = "a macro declares the enum")]
impl Default for CaptureAt {
    fn default() -> Self {
        Self::Order
    }
}

/// The payment that a buyer chooses for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentChoice {
    /// The method: `CARD`, `CASH_ON_DELIVERY` or `BANK_TRANSFER`.
    pub method: String,
    /// The provider. The default is the first that is set up for the method, as `GET /api/payments/methods` lists them.
    #[serde(default)]
    pub provider: Option<String>,
    /// The provider's token for the payment method.
    #[serde(default)]
    pub token: Option<String>,
}

/// Validates a payment choice before anything is held. Unknown or disabled providers and methods and missing tokens are
/// refused with a pointer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckPaymentChoice {
    /// The choice.
    pub choice: PaymentChoice,
}
operation! { CheckPaymentChoice => (), "payment.check_choice", internal, "Validates a payment method and token." }

/// Charges an order: authorises a card payment and captures it, unless that waits for the shipment, or records a manual
/// payment. An order has one payment. Repeating the request resumes it with the same key at the provider, so nothing is
/// ever charged twice.
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
    /// The account that pays, if any. It may see the payment.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// When the money is captured. Methods that staff record are captured by hand in either case.
    pub capture_at: CaptureAt,
}
operation! { TakePayment => PaymentOutcome, "payment.take", internal, "Charges an order." }

/// Gets the status of an order's payment without querying the provider. 404 if the order has no payment.
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
    /// The status. It is PENDING until the provider answers; for `manual`, until the payment is captured manually.
    pub status: PaymentStatus,
    /// Whether the provider's answer is outstanding, so that the payment must be queried again. A PENDING manual
    /// payment is not undecided.
    pub undecided: bool,
    /// The reason why the payment was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// The action that a REQUIRES_ACTION payment needs from the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
    /// The amount captured so far.
    pub captured: Amount,
    /// The amount refunded so far.
    pub refunded: Amount,
    /// The amount that can still be refunded: captured, and neither refunded nor claimed by a pending refund.
    pub left: Amount,
    /// The amount that is secured for goods shipped now: captured, authorised, or collected on delivery.
    pub secured: Amount,
}
json_reply!(PaymentOutcome);

/// An action that a payment needs from the buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAction {
    /// The kind of action: `REDIRECT` to `url`, or `STRIPE_SDK`, which Stripe's own code carries out with
    /// `clientSecret`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The URL to which the buyer is redirected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The secret with which the provider's code in the storefront completes this payment, and only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

impl PaymentAction {
    /// A redirect of the buyer to a URL.
    pub fn redirect(url: String) -> Self {
        Self { kind: "REDIRECT".to_owned(), url: Some(url), client_secret: None }
    }
}

/// Asks the provider for the state of an order's payment that waits for the buyer or the provider, and records it. 404
/// if the order has no payment, 503 while the provider does not answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefreshPayment {
    /// The order.
    pub order_id: OrderId,
}
operation! { RefreshPayment => PaymentOutcome, "payment.refresh", internal, "Asks the provider for a payment's state." }

/// Ends an order's payment because the order ended. An uncaptured payment is voided, and the rest of a captured one is
/// refunded; a capture that is reported later is refunded too. Repeating the request changes nothing. An order without
/// a payment is not an error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelPayment {
    /// The order.
    pub order_id: OrderId,
    /// The reason, for the books.
    pub reason: String,
}
operation! { CancelPayment => (), "payment.cancel", internal, "Ends an order's payment and refunds it." }

/// Decides the refund of an approved return and carries it out, once per return. Captured money is refunded as far as
/// it is left, and money that was not captured is no longer due. Repeating the request returns the same result. The
/// amounts are decided before the provider is called, so a slow provider delays the refund but not the reply. 404 if
/// the order has no payment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettleReturn {
    /// The order.
    pub order_id: OrderId,
    /// The return.
    pub return_id: i64,
    /// The value of the return in money: its units, and the shipping refunded with them.
    pub amount: Amount,
    /// The fee that is deducted from it.
    pub fee: Amount,
    /// Whether everything of the order is returned with this return, so that only the fee is still due of a payment that
    /// nobody would capture.
    pub whole: bool,
    /// The part of `amount` that is for units which were never shipped.
    pub unshipped: Amount,
    /// Whether no goods are left to ship.
    pub complete: bool,
    /// The reason, for the books.
    pub reason: String,
}
operation! { SettleReturn => ReturnSettlement, "payment.settle_return", internal, "Refunds a return." }

/// The answer to [`SettleReturn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnSettlement {
    /// The amount refunded, or claimed by a pending refund.
    pub refund: Amount,
    /// The amount that was not captured and is no longer due.
    pub voided: Amount,
    /// The fee that was deducted.
    pub fee: Amount,
    /// The payment after the return.
    pub payment: PaymentOutcome,
}
json_reply!(ReturnSettlement);

/// Money was captured.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's order.
    pub order_id: OrderId,
    /// The amount of this capture.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
    /// The status of the payment after it. Earlier events lack it: their captures were in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PaymentStatus>,
}

/// Money was authorised after the buyer or the provider had kept the order waiting. Its capture follows the shipment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorized {
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's order.
    pub order_id: OrderId,
    /// The amount.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
}

/// A payment failed permanently.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's order.
    pub order_id: OrderId,
    /// The code of the reason.
    pub code: String,
}

/// Money was refunded.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's order.
    pub order_id: OrderId,
    /// The amount of this refund.
    pub amount: Amount,
    /// The amount refunded in total.
    pub refunded: Amount,
    /// The amount captured.
    pub captured: Amount,
    /// The currency.
    pub currency: Currency,
    /// The return; null for a refund of money alone and for one caused by the end of the order.
    #[serde(default)]
    pub return_id: Option<i64>,
    /// The status of the payment after it. Earlier events lack it: it follows from the amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PaymentStatus>,
}

/// The buyer's bank disputes a captured payment, or a dispute has changed. Money that the bank takes back is settled with
/// the provider and is not a refund.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentDisputed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's order.
    pub order_id: OrderId,
    /// The provider's id of the dispute.
    pub dispute: String,
    /// The disputed amount.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
    /// The provider's code of the reason, such as `FRAUDULENT`.
    pub reason: String,
    /// The provider's code of the status, such as `NEEDS_RESPONSE`, `WON` or `LOST`.
    pub status: String,
}
fact! {
    PaymentAuthorized = "PAYMENT_AUTHORIZED" in "payment",
    PaymentCaptured = "PAYMENT_CAPTURED" in "payment",
    PaymentFailed = "PAYMENT_FAILED" in "payment",
    PaymentRefunded = "PAYMENT_REFUNDED" in "payment",
    PaymentDisputed = "PAYMENT_DISPUTED" in "payment",
}
