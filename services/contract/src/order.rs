//! Operations of the order service for other services, and its events.

use promox_kernel::{
    Amount, Currency, Email, Locale, Timestamp, UserId, fact, facts, json_reply, operation, text_enum,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::{CartId, OrderId};
use crate::inventory::SkuQuantity;
use crate::order_line::OrderLine;
use crate::promotion::{AppliedPromotion, RejectedPromotion};

text_enum! {
    /// The status of an order.
    OrderStatus {
        Pending = "PENDING",
        Confirmed = "CONFIRMED",
        Processing = "PROCESSING",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
        Cancelled = "CANCELLED",
        Failed = "FAILED",
        NeedsReview = "NEEDS_REVIEW",
        Refunded = "REFUNDED",
    }
}

/// Resumes a checkout that no request is driving any more: its payment is charged or queried again. A checkout that is
/// still driven, or that waits for its buyer, is not touched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumeCheckout {
    /// The order.
    pub order_id: OrderId,
}
operation! {
    ResumeCheckout => ResumedCheckout, "order.resume_checkout", internal,
    "Resumes a checkout that no request is driving."
}

/// The result of resuming a checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumedCheckout {
    /// When to resume the checkout again; null if its payment will no longer be taken.
    pub again_at: Option<Timestamp>,
}
json_reply!(ResumedCheckout);

/// Lists running sagas, by order: checkouts in progress, and orders that are being compensated.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRunningSagas {
    /// Only orders after this one.
    pub after: Option<OrderId>,
    /// Maximum sagas in the answer.
    pub limit: usize,
}
operation! {
    ListRunningSagas => RunningSagas, "order.list_running_sagas", internal, "Running checkouts and compensations."
}

/// The answer to [`ListRunningSagas`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningSagas {
    /// The sagas.
    pub items: Vec<RunningSaga>,
    /// The last order in the answer; null if there are no more.
    pub next: Option<OrderId>,
}
json_reply!(RunningSagas);

/// A running saga.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningSaga {
    /// The order.
    pub order_id: OrderId,
    /// The next step.
    pub step: String,
    /// Drivers that have taken it up.
    pub attempt: i64,
    /// Consecutive failures of the step.
    pub tries: i64,
    /// The latest failure.
    pub last_error: Option<String>,
    /// When another driver may take it up.
    pub due_at: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
}

/// Prices a cart as the checkout would. Unknown SKUs are left out, and codes that do not apply are reported. Only an
/// empty cart is an error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceCart {
    /// The lines.
    pub items: Vec<SkuQuantity>,
    /// A promotion code.
    pub promotion_code: Option<String>,
    /// Coupon codes.
    pub coupon_codes: Vec<String>,
    /// The customer; null for a guest.
    pub user_id: Option<UserId>,
}
operation! { PriceCart => PricedCart, "order.price_cart", internal, "Prices a cart." }

/// A cart with its prices.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricedCart {
    /// The currency.
    pub currency: Currency,
    /// The lines, each SKU once.
    pub lines: Vec<OrderLine>,
    /// Promotions that apply.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Codes and promotions that do not apply, with the reasons.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// The totals.
    pub totals: Totals,
}
json_reply!(PricedCart);

/// The totals of a cart or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// The sum of the lines' subtotals.
    pub subtotal: Amount,
    /// The sum of the lines' discounts.
    pub discount: Amount,
    /// Shipping before discounts.
    pub shipping: Amount,
    /// Discounts on shipping.
    pub shipping_discount: Amount,
    /// Total tax, including that of shipping.
    pub tax: Amount,
    /// The number of points redeemed.
    pub points_redeemed: i64,
    /// The value of the redeemed points.
    pub points_value: Amount,
    /// The amount to pay.
    pub total: Amount,
}

/// Gets the data of an order that messages show. 404 if the order does not exist.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeOrder {
    /// The order.
    pub order_id: OrderId,
}
operation! { DescribeOrder => OrderDescription, "order.describe", internal, "The order data that messages show." }

/// The data of an order that messages show.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderDescription {
    /// The order.
    pub id: OrderId,
    /// The order's number.
    pub number: String,
    /// The status.
    pub status: OrderStatus,
    /// The account, if any.
    pub user_id: Option<UserId>,
    /// The buyer's e-mail address; null after an erasure.
    pub email: Option<Email>,
    /// The languages that the buyer's browser accepted, the preferred ones first.
    #[serde(default)]
    pub languages: Vec<Locale>,
    /// The name on the shipping address.
    pub name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// The totals.
    pub totals: Totals,
    /// When the order was placed.
    pub created_at: Timestamp,
    /// The last parcel's carrier and tracking number.
    pub tracking: Option<(String, String)>,
    /// The payment method, such as `BANK_TRANSFER`; null if nothing was due.
    #[serde(default)]
    pub payment_method: Option<String>,
}
json_reply!(OrderDescription);

/// Asks whether a checkout of a cart is in progress.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsCartInCheckout {
    /// The cart.
    pub cart_id: CartId,
}
operation! {
    IsCartInCheckout => CartInCheckout, "order.is_cart_in_checkout", internal, "Whether a cart is being ordered."
}

/// The answer to [`IsCartInCheckout`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartInCheckout {
    /// Whether a checkout of the cart is in progress.
    pub in_checkout: bool,
}
json_reply!(CartInCheckout);

/// Checks that the caller may see an order, by login or by the order's token. 404 if not, or if the order does not
/// exist.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckOrderAccess {
    /// The order.
    pub order_id: OrderId,
}
operation! { CheckOrderAccess => (), "order.check_access", internal, "Whether the caller may see an order." }

/// Gets a buyer's purchase totals. They count earlier orders, neither failed nor cancelled, that share the account or
/// an address with the buyer, as [`Buyer`] defines it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPurchaseTotals {
    /// The buyer.
    pub buyer: Buyer,
}
operation! {
    GetPurchaseTotals => PurchaseTotals, "order.get_purchase_totals", internal,
    "A customer's purchase totals."
}

/// The answer to [`GetPurchaseTotals`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseTotals {
    /// The number of orders.
    pub count: i64,
    /// The sum of their totals.
    pub total: Amount,
}
json_reply!(PurchaseTotals);

/// Announces the erasure of an account, which can place no orders from then on. Repeating the request changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrepareErasure {
    /// The account.
    pub user_id: UserId,
}
operation! { PrepareErasure => OpenOrders, "order.prepare_erasure", internal, "The orders that an erasure waits for." }

/// The orders of an account that its erasure waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenOrders {
    /// The number of orders that are not shipped, not settled, or can still be returned.
    pub open: i64,
    /// When the last return period ends.
    pub until: Option<Timestamp>,
}
json_reply!(OpenOrders);

/// Finds a person's first paid order: the oldest order that shares the account or an address with the person, was paid
/// with money, and was neither cancelled nor completely returned.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindFirstPaidOrder {
    /// The account.
    pub user_id: UserId,
    /// The referrer.
    pub referrer: UserId,
}
operation! {
    FindFirstPaidOrder => FirstPaidOrder, "order.find_first_paid", internal,
    "A customer's first order that was paid and kept."
}

/// The answer to [`FindFirstPaidOrder`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstPaidOrder {
    /// The order, if any.
    pub order_id: Option<OrderId>,
    /// Whether the account itself placed the order. If an earlier order was placed without the account, the customer is
    /// not new.
    pub by_account: bool,
    /// Whether the order shares an address with the referrer, which means that both are the same person.
    pub of_referrer: bool,
}
json_reply!(FirstPaidOrder);

/// Lists the figures of orders for projections and backtests, both of placed and of imported orders.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOrderFigures {
    /// Only these orders; unknown ones are left out.
    #[serde(default)]
    pub ids: Vec<OrderId>,
    /// If `ids` is empty, orders placed at this time or later, oldest first.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// If `ids` is empty, orders placed before this time.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// If `ids` is empty, orders after this one, given by its time and id.
    #[serde(default)]
    pub after: Option<(Timestamp, OrderId)>,
    /// If `ids` is empty, the maximum number of orders; 500 by default.
    #[serde(default)]
    pub limit: Option<usize>,
}
operation! { ListOrderFigures => OrderFigureList, "order.figures", internal, "The figures of orders for projections." }

/// The answer to [`ListOrderFigures`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderFigureList {
    /// The orders.
    pub items: Vec<OrderFigure>,
}
json_reply!(OrderFigureList);

/// The figures of an order for projections.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderFigure {
    /// The id.
    pub id: OrderId,
    /// The status.
    pub status: OrderStatus,
    /// The account.
    pub user_id: Option<UserId>,
    /// Identifies the customer without naming the person: `user:7`, a digest of a guest's address, or `customer:17850`
    /// for an import.
    pub customer: String,
    /// The currency.
    pub currency: Currency,
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<FigureLine>,
    /// The totals.
    pub totals: Totals,
    /// The cost of each promotion that applied.
    pub uses: Vec<FigureUse>,
    /// The part of the goods' revenue (after discounts, without tax and shipping) that was returned. A return counts
    /// the revenue of its units. A refund of money alone counts the share of the remaining revenue that equals its
    /// share of the remaining money and points. The sum never exceeds the revenue, and equals it once everything is
    /// returned. `ORDER_RETURNED` and `ORDER_REFUNDED` announce each change.
    pub returned: Amount,
    /// The refunds, oldest first.
    pub refunds: Vec<FigureRefund>,
    /// Whether the order was imported.
    pub imported: bool,
    /// When the order was placed.
    pub placed_at: Timestamp,
}

/// The use of a promotion by an order, for projections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureUse {
    /// The promotion.
    pub promotion_id: crate::ids::PromotionId,
    /// The campaign that it belonged to when it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<crate::ids::CampaignId>,
    /// The cost of the promotion: its discounts on goods and shipping, and its gifts at their catalog prices.
    pub cost: Amount,
}

/// A refund of an order, for projections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureRefund {
    /// When the money was refunded.
    pub at: Timestamp,
    /// The amount.
    pub amount: Amount,
}

/// A line of an order, for projections.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureLine {
    /// The order line.
    pub line: OrderLine,
    /// The campaign of the line's flash sale when it was ordered.
    pub campaign_id: Option<crate::ids::CampaignId>,
}

/// Lists imported credit notes, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCreditFigures {
    /// Only notes with a greater id; 0 for the first page.
    pub after: i64,
    /// The maximum number of notes.
    pub limit: usize,
}
operation! { ListCreditFigures => CreditFigureList, "order.credit_figures", internal, "Imported credit notes." }

/// The answer to [`ListCreditFigures`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreditFigureList {
    /// The notes.
    pub items: Vec<CreditFigure>,
}
json_reply!(CreditFigureList);

/// An imported credit note.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreditFigure {
    /// The id.
    pub id: i64,
    /// The amount, which is negative.
    pub total: Amount,
    /// When the note was issued.
    pub issued_at: Timestamp,
}

/// An order was imported from another system, or an imported one was changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderImported {
    /// The order.
    pub order_id: OrderId,
}

/// A credit note was imported from another system, or an imported one was changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreditNoteImported {
    /// The id.
    pub id: i64,
}
fact! {
    OrderImported = "ORDER_IMPORTED" in "order",
    CreditNoteImported = "CREDIT_NOTE_IMPORTED" in "order",
}

/// Goods were shipped of an order whose money is captured as they are.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParcelShipped {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub parcel_id: i64,
    /// The money that the goods left to ship cost. Everything else that is due is to be captured.
    pub unshipped: Amount,
}
fact! {
    ParcelShipped = "PARCEL_SHIPPED" in "order",
}

/// The data of every event of an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderFact {
    /// The order.
    pub order_id: OrderId,
    /// The account, if any.
    pub user_id: Option<UserId>,
    /// The amount to pay.
    pub total: Amount,
    /// The currency.
    pub currency: Currency,
    /// The promotions' multiplier for points; null for 1.
    #[serde(default)]
    pub points_multiplier: Option<Amount>,
    /// The points redeemed on the order.
    #[serde(default)]
    pub points_redeemed: i64,
    /// The points that the order earns by the rule in force when it was placed.
    #[serde(default)]
    pub points_earned: i64,
}

facts! { OrderFact in "order":
    /// An order was placed and awaits its payment.
    OrderCreated = "ORDER_CREATED",
    /// An order was confirmed. Services then post its holds and send its messages.
    OrderConfirmed = "ORDER_CONFIRMED",
    /// An order failed because its payment was declined or never arrived.
    OrderFailed = "ORDER_FAILED",
    /// An order was cancelled.
    OrderCancelled = "ORDER_CANCELLED",
    /// A parcel of an order was shipped.
    OrderShipped = "ORDER_SHIPPED",
    /// An order was completely delivered.
    OrderDelivered = "ORDER_DELIVERED",
}

/// A return was approved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderReturned {
    /// The order.
    pub order_id: OrderId,
    /// The return.
    pub return_id: i64,
    /// The account, if any.
    pub user_id: Option<UserId>,
    /// The amount refunded, as the payment service decided it.
    pub refund: Amount,
    /// The amount that was not captured and is no longer due.
    #[serde(default)]
    pub voided: Amount,
    /// The currency.
    pub currency: Currency,
    /// Redeemed points that are returned.
    #[serde(default)]
    pub points: i64,
    /// The price of everything returned so far, including this return, in money and points.
    #[serde(default)]
    pub returned: Amount,
    /// The price of all the order's goods.
    #[serde(default)]
    pub whole: Amount,
}

/// Money of an order was refunded, for any reason and in any status of the order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefunded {
    /// The order.
    pub order_id: OrderId,
    /// The amount.
    pub amount: Amount,
    /// The currency.
    pub currency: Currency,
}
fact! {
    OrderReturned = "ORDER_RETURNED" in "order",
    OrderRefunded = "ORDER_REFUNDED" in "order",
}

/// Cancels an order whose payment is being voided, with all effects of a cancellation. After the first shipment the
/// request is refused, unless all goods are returned. In that case the order keeps its status, and ends when it learns
/// that its payment is void.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelVoidedOrder {
    /// The order.
    pub order_id: OrderId,
    /// The reason, for the books.
    pub reason: String,
    /// The person who voids the payment, for the order's timeline.
    pub actor: String,
}
operation! {
    CancelVoidedOrder => VoidedOrder, "order.cancel_voided", internal,
    "Cancels an order whose payment was voided."
}

/// The answer to [`CancelVoidedOrder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoidedOrder {
    /// Whether the order is cancelled; its end then voids the payment.
    pub cancelled: bool,
}
json_reply!(VoidedOrder);

/// Gets the status of an order. 404 if the order does not exist.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrderStatus {
    /// The order.
    pub order_id: OrderId,
}
operation! { GetOrderStatus => CurrentOrderStatus, "order.get_status", internal, "The status of an order." }

/// The answer to [`GetOrderStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentOrderStatus {
    /// The status.
    pub status: OrderStatus,
}
json_reply!(CurrentOrderStatus);
