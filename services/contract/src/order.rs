//! Operations of orders for other services, and the events of orders.

use promox_kernel::{Amount, Currency, Email, Timestamp, UserId, fact, facts, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::OrderId;
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

/// Resumes a checkout whose driver is gone: its payment is charged, or queried again. A checkout that is still driven,
/// or waits for its buyer, is left alone.
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
    /// When to resume again; null when its payment will no longer be taken.
    pub again_at: Option<Timestamp>,
}
json_reply!(ResumedCheckout);

/// Prices a cart as the checkout would. Unknown SKUs are left out, codes that do not apply are reported; only an empty
/// cart is an error.
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
    /// Codes and promotions that do not apply, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// The totals.
    pub totals: Totals,
}
json_reply!(PricedCart);

/// The totals of a cart or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Sum of the lines' subtotals.
    pub subtotal: Amount,
    /// Sum of the lines' discounts.
    pub discount: Amount,
    /// Shipping before discounts.
    pub shipping: Amount,
    /// Discounts on shipping.
    pub shipping_discount: Amount,
    /// Total tax, including that of shipping.
    pub tax: Amount,
    /// Points redeemed.
    pub points_redeemed: i64,
    /// The value of the points.
    pub points_value: Amount,
    /// The amount to pay.
    pub total: Amount,
}

/// Gets the data of an order for a message; 404 without one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeOrder {
    /// The order.
    pub order_id: OrderId,
}
operation! { DescribeOrder => OrderDescription, "order.describe", internal, "The order data that messages show." }

/// The data of an order for a message.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderDescription {
    /// The order.
    pub id: OrderId,
    /// Its number.
    pub number: String,
    /// The status.
    pub status: OrderStatus,
    /// The account, if any.
    pub user_id: Option<UserId>,
    /// The buyer's e-mail address; null after an erasure.
    pub email: Option<Email>,
    /// The name on the shipping address.
    pub name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// The totals.
    pub totals: Totals,
    /// When it was placed.
    pub created_at: Timestamp,
    /// The last parcel's carrier and tracking number.
    pub tracking: Option<(String, String)>,
}
json_reply!(OrderDescription);

/// Checks that the caller may see an order: by login, or by the order's token. 404 if not, or without such an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckOrderAccess {
    /// The order.
    pub order_id: OrderId,
}
operation! { CheckOrderAccess => (), "order.check_access", internal, "Whether the caller may see an order." }

/// Gets a customer's purchase totals: earlier orders, neither failed nor cancelled, that share the account or an
/// address with the buyer, as [`Buyer`] defines it.
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
    /// Their total.
    pub total: Amount,
}
json_reply!(PurchaseTotals);

/// Announces the erasure of an account: from now on it can place no orders. Repeating it changes nothing.
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
    /// How many are not shipped, not settled, or can still be returned.
    pub open: i64,
    /// When the last return period ends.
    pub until: Option<Timestamp>,
}
json_reply!(OpenOrders);

/// Finds a person's first paid order: the oldest one that shares the account or an address with it, for which money was
/// taken, and that was neither cancelled nor completely returned.
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
    /// Whether the account itself placed it: an earlier order without the account means that the customer is not new.
    pub by_account: bool,
    /// Whether the order shares an address with the referrer, so that both are the same person.
    pub of_referrer: bool,
}
json_reply!(FirstPaidOrder);

/// Gets orders as projections and backtests count them, both placed and imported ones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOrderFigures {
    /// Only these orders; unknown ones are left out.
    #[serde(default)]
    pub ids: Vec<OrderId>,
    /// Otherwise, orders placed from here on, oldest first,
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// up to but not including here,
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// after this one (placed at, id),
    #[serde(default)]
    pub after: Option<(Timestamp, OrderId)>,
    /// at most this many, 500 by default.
    #[serde(default)]
    pub limit: Option<usize>,
}
operation! { ListOrderFigures => OrderFigureList, "order.figures", internal, "Orders as projections count them." }

/// The answer to [`ListOrderFigures`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderFigureList {
    /// The orders.
    pub items: Vec<OrderFigure>,
}
json_reply!(OrderFigureList);

/// An order as projections count it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderFigure {
    /// The id.
    pub id: OrderId,
    /// The status.
    pub status: OrderStatus,
    /// The account.
    pub user_id: Option<UserId>,
    /// Identifies the customer without naming the person: `user:7`, a digest of a guest's address, `customer:17850` of
    /// an import.
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
    /// How much of the goods' revenue (after discounts, without tax and shipping) was returned: the units of returns,
    /// and for a refund of money alone the share of the remaining revenue that it was of the remaining money and
    /// points. Never more than the revenue, and all of it once everything is returned. `ORDER_RETURNED` and
    /// `ORDER_REFUNDED` announce each change.
    pub returned: Amount,
    /// Refunds, oldest first.
    pub refunds: Vec<FigureRefund>,
    /// Whether it was imported.
    pub imported: bool,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// A promotion of an order as projections count it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureUse {
    /// The promotion.
    pub promotion_id: crate::ids::PromotionId,
    /// The campaign that it belonged to when it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<crate::ids::CampaignId>,
    /// Its discounts on goods and shipping, and gifts at their catalog price.
    pub cost: Amount,
}

/// A refund of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureRefund {
    /// The time.
    pub at: Timestamp,
    /// The amount.
    pub amount: Amount,
}

/// A line as projections count it.
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
    /// After this id; 0 for the first.
    pub after: i64,
    /// At most this many.
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

/// A credit note.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreditFigure {
    /// The id.
    pub id: i64,
    /// Its amount, negative.
    pub total: Amount,
    /// When it was issued.
    pub issued_at: Timestamp,
}

/// Orders were imported from another system, new or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderImported {
    /// The order.
    pub order_id: OrderId,
}

/// A credit note was imported from another system, new or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreditNoteImported {
    /// The id.
    pub id: i64,
}
fact! {
    OrderImported = "ORDER_IMPORTED" in "order",
    CreditNoteImported = "CREDIT_NOTE_IMPORTED" in "order",
}

/// The data of every event of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// The promotions' points multiplier; null for 1.
    #[serde(default)]
    pub points_multiplier: Option<Amount>,
    /// Points redeemed on it.
    #[serde(default)]
    pub points_redeemed: i64,
    /// Points that it earns by the rule in force when it was placed.
    #[serde(default)]
    pub points_earned: i64,
}

facts! { OrderFact in "order":
    /// An order was placed and awaits its payment.
    OrderCreated = "ORDER_CREATED",
    /// An order was confirmed: its holds are to be posted, its messages sent.
    OrderConfirmed = "ORDER_CONFIRMED",
    /// An order failed: its payment was declined or never arrived.
    OrderFailed = "ORDER_FAILED",
    /// An order was cancelled.
    OrderCancelled = "ORDER_CANCELLED",
    /// A parcel of an order was shipped.
    OrderShipped = "ORDER_SHIPPED",
    /// An order was completely delivered.
    OrderDelivered = "ORDER_DELIVERED",
}

/// A return was approved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReturned {
    /// The order.
    pub order_id: OrderId,
    /// The return.
    pub return_id: i64,
    /// The account, if any.
    pub user_id: Option<UserId>,
    /// The amount refunded: decided by the payment service, so that it matches the refund.
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

/// Money of an order was refunded, for any reason and whatever the order's status.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// Cancels an order whose payment is being voided, with everything that a cancellation includes. After the first
/// shipment it is refused, unless all goods are returned: then the order stays as it is, and ends when it learns that
/// its payment is void.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelVoidedOrder {
    /// The order.
    pub order_id: OrderId,
    /// The reason, for the books.
    pub reason: String,
    /// The person who voids it, for the order's timeline.
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
    /// Whether the order is cancelled, so that its end voids the payment.
    pub cancelled: bool,
}
json_reply!(VoidedOrder);

/// Gets the status of an order; 404 without one.
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
