//! What others ask of orders: prices of a cart, an order to write about; and what orders tell.

use promox_kernel::{Amount, Currency, Email, Timestamp, UserId, fact, facts, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::OrderId;
use crate::inventory::SkuQuantity;
use crate::order_line::OrderLine;
use crate::promotion::{AppliedPromotion, RejectedPromotion};

text_enum! {
    /// Where an order stands.
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

/// Goes on with a checkout whose driver is gone: its payment is taken, or asked for again. One that is still driven, or waits
/// for its buyer, is left alone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumeCheckout {
    /// Whose.
    pub order_id: OrderId,
}
operation! { ResumeCheckout => ResumedCheckout, "order.resume_checkout", internal, "Resumes a checkout that no request \
is driving." }

/// What a checkout that was to be resumed came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumedCheckout {
    /// When to ask again; null when its payment is no longer to be taken.
    pub again_at: Option<Timestamp>,
}
json_reply!(ResumedCheckout);

/// Prices a cart with the engine that charges. Unknown SKUs are left out, codes that do not apply are reported; nothing fails but an empty cart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceCart {
    /// The lines.
    pub items: Vec<SkuQuantity>,
    /// A promotion's code.
    pub promotion_code: Option<String>,
    /// Coupons' codes.
    pub coupon_codes: Vec<String>,
    /// For whom; null for a guest.
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
    /// Promotions with an effect.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Codes and promotions without one, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// The sums.
    pub totals: Totals,
}
json_reply!(PricedCart);

/// The sums of a cart or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Sum of the lines' subtotals.
    pub subtotal: Amount,
    /// Sum of the lines' discounts.
    pub discount: Amount,
    /// Shipping before promotions.
    pub shipping: Amount,
    /// What promotions take off shipping.
    pub shipping_discount: Amount,
    /// All tax, the shipping's in it.
    pub tax: Amount,
    /// Points spent.
    pub points_redeemed: i64,
    /// What they are worth.
    pub points_value: Amount,
    /// What is paid.
    pub total: Amount,
}

/// Asks for what a message about an order says; 404 without one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeOrder {
    /// Which.
    pub order_id: OrderId,
}
operation! { DescribeOrder => OrderDescription, "order.describe", internal, "The order data that messages show." }

/// What a message about an order says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderDescription {
    /// The order.
    pub id: OrderId,
    /// Its number.
    pub number: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// The account, if it is one's.
    pub user_id: Option<UserId>,
    /// The address to write to; null after an erasure.
    pub email: Option<Email>,
    /// The name on the shipping address.
    pub name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// The sums.
    pub totals: Totals,
    /// When it was placed.
    pub created_at: Timestamp,
    /// The last parcel's carrier and tracking number.
    pub tracking: Option<(String, String)>,
}
json_reply!(OrderDescription);

/// Asks whether the caller may see an order as its own: by login, or by the order's token. 404 if not, or without such an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckOrderAccess {
    /// Which.
    pub order_id: OrderId,
}
operation! { CheckOrderAccess => (), "order.check_access", internal, "Whether the caller may see an order." }

/// Asks what a customer has bought: earlier orders neither failed nor cancelled that share the account or an address with the
/// buyer, as [`Buyer`](crate::buyer::Buyer) says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPurchaseTotals {
    /// Who asks to buy.
    pub buyer: Buyer,
}
operation! { GetPurchaseTotals => PurchaseTotals, "order.get_purchase_totals", internal, "A customer's purchase totals." }

/// The answer to [`GetPurchaseTotals`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseTotals {
    /// How many orders.
    pub count: i64,
    /// What they came to.
    pub total: Amount,
}
json_reply!(PurchaseTotals);

/// Says that an account is to be erased: from now on it orders nothing more. Asked again, it changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrepareErasure {
    /// Whose.
    pub user_id: UserId,
}
operation! { PrepareErasure => OpenOrders, "order.prepare_erasure", internal, "The orders that an erasure waits for." }

/// The orders of an account that an erasure waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenOrders {
    /// How many are not shipped, not settled, or can still come back.
    pub open: i64,
    /// When the last of those that can still come back cannot any more.
    pub until: Option<Timestamp>,
}
json_reply!(OpenOrders);

/// Asks for the first order that somebody paid and kept: the oldest one that shares the account or an address with it, of which
/// money was taken, and that was neither cancelled nor came back whole.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindFirstPaidOrder {
    /// Whose.
    pub user_id: UserId,
    /// Who sent them.
    pub referrer: UserId,
}
operation! { FindFirstPaidOrder => FirstPaidOrder, "order.find_first_paid", internal, "A customer's first order that was paid \
and kept." }

/// The answer to [`FindFirstPaidOrder`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstPaidOrder {
    /// The order, if there is one.
    pub order_id: Option<OrderId>,
    /// Whether the account itself placed it: an order before it was an account's means no new customer.
    pub by_account: bool,
    /// Whether the order shares an address with who sent them, so that both are one person.
    pub of_referrer: bool,
}
json_reply!(FirstPaidOrder);

/// Asks for orders as projections and backtests count them, placed and imported alike.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOrderFigures {
    /// These orders; unknown ones are left out.
    #[serde(default)]
    pub ids: Vec<OrderId>,
    /// Else those placed from here on, oldest first …
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// … up to but not including here …
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// … after this one (placed at, id) …
    #[serde(default)]
    pub after: Option<(Timestamp, OrderId)>,
    /// … at most so many, 500 unless said.
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
    /// Which.
    pub id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// The account.
    pub user_id: Option<UserId>,
    /// Names the customer without naming the person: `user:7`, a digest of a guest's address, `customer:17850` of an import.
    pub customer: String,
    /// The currency.
    pub currency: Currency,
    /// Whether prices carry their tax inside.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<FigureLine>,
    /// The sums.
    pub totals: Totals,
    /// What each promotion with an effect cost, each once.
    pub uses: Vec<FigureUse>,
    /// What of the goods' revenue (after discounts, without tax and shipping) went back: the units of returns, and for a
    /// refund of money alone the same share of the revenue that was left as it was of the money and points that were left.
    /// Never more than the revenue, and all of it once everything is back. `ORDER_RETURNED` and `ORDER_REFUNDED` tell of
    /// each change.
    pub returned: Amount,
    /// Money that was given back, oldest first.
    pub refunds: Vec<FigureRefund>,
    /// Whether it came from another system.
    pub imported: bool,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// A promotion of an order as projections count it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureUse {
    /// Which.
    pub promotion_id: crate::ids::PromotionId,
    /// The campaign that it was of when it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<crate::ids::CampaignId>,
    /// What it took off goods and shipping, and gifts at their catalogue price.
    pub cost: Amount,
}

/// Money that was given back of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureRefund {
    /// When.
    pub at: Timestamp,
    /// How much.
    pub amount: Amount,
}

/// A line as projections count it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FigureLine {
    /// What was sold.
    pub line: OrderLine,
    /// The campaign that the line's flash sale was of when it was ordered.
    pub campaign_id: Option<crate::ids::CampaignId>,
}

/// Asks for imported credit notes, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCreditFigures {
    /// After this id; 0 for the first.
    pub after: i64,
    /// At most so many.
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
    /// Its id.
    pub id: i64,
    /// What it gives back, negative.
    pub total: Amount,
    /// When it was issued.
    pub issued_at: Timestamp,
}

/// Orders were taken over from another system, new or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderImported {
    /// Which.
    pub order_id: OrderId,
}

/// A credit note was taken over from another system, new or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreditNoteImported {
    /// Its id.
    pub id: i64,
}
fact! {
    OrderImported = "ORDER_IMPORTED" in "order",
    CreditNoteImported = "CREDIT_NOTE_IMPORTED" in "order",
}

/// What every event of an order says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderFact {
    /// Which.
    pub order_id: OrderId,
    /// Whose, if it is an account's.
    pub user_id: Option<UserId>,
    /// What is paid.
    pub total: Amount,
    /// In which currency.
    pub currency: Currency,
    /// What promotions multiply its points with; null for 1.
    #[serde(default)]
    pub points_multiplier: Option<Amount>,
    /// Points that were spent on it.
    #[serde(default)]
    pub points_redeemed: i64,
    /// Points that it earns, by the rewards' rule when it was placed.
    #[serde(default)]
    pub points_earned: i64,
}

facts! { OrderFact in "order":
    /// An order was placed and waits for its payment.
    OrderCreated = "ORDER_CREATED",
    /// An order is good: its holds are to be posted, its messages sent.
    OrderConfirmed = "ORDER_CONFIRMED",
    /// An order failed: its payment was declined or never came.
    OrderFailed = "ORDER_FAILED",
    /// An order was cancelled.
    OrderCancelled = "ORDER_CANCELLED",
    /// A parcel of an order was shipped.
    OrderShipped = "ORDER_SHIPPED",
    /// All of an order was delivered.
    OrderDelivered = "ORDER_DELIVERED",
}

/// A return was approved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReturned {
    /// Which order.
    pub order_id: OrderId,
    /// Which return.
    pub return_id: i64,
    /// Whose, if it is an account's.
    pub user_id: Option<UserId>,
    /// What is given back in money: decided by the payment, so that it is what is paid.
    pub refund: Amount,
    /// What was not captured yet and is no longer due.
    #[serde(default)]
    pub voided: Amount,
    /// In which currency.
    pub currency: Currency,
    /// Points spent on the order that go back with it.
    #[serde(default)]
    pub points: i64,
    /// What all that came back by now, this return among it, has cost in money and points.
    #[serde(default)]
    pub returned: Amount,
    /// What all of the order's goods have cost.
    #[serde(default)]
    pub whole: Amount,
}

/// Money of an order went back, whatever for and whatever became of the order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRefunded {
    /// Which order.
    pub order_id: OrderId,
    /// How much.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
}
fact! {
    OrderReturned = "ORDER_RETURNED" in "order",
    OrderRefunded = "ORDER_REFUNDED" in "order",
}

/// Cancels an order whose payment is voided: it gives back all that a cancel gives back. After the first shipment it is refused,
/// unless all goods are back: then the order stays as it is, and ends when it hears that its payment is void.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelVoidedOrder {
    /// Which.
    pub order_id: OrderId,
    /// Why, for the books.
    pub reason: String,
    /// Who voids it, for the order's timeline.
    pub actor: String,
}
operation! { CancelVoidedOrder => VoidedOrder, "order.cancel_voided", internal, "Cancels an order whose payment was \
voided." }

/// The answer to [`CancelVoidedOrder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoidedOrder {
    /// Whether the order is cancelled, so that its end voids the payment.
    pub cancelled: bool,
}
json_reply!(VoidedOrder);

/// Asks where an order stands; 404 without one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrderStatus {
    /// Which.
    pub order_id: OrderId,
}
operation! { GetOrderStatus => CurrentOrderStatus, "order.get_status", internal, "The status of an order." }

/// The answer to [`GetOrderStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentOrderStatus {
    /// Where it stands.
    pub status: OrderStatus,
}
json_reply!(CurrentOrderStatus);
