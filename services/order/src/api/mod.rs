//! Requests and replies of the order service's routes.

mod history;

use std::collections::BTreeMap;

use promox_contract::hook::HookRecord;
use promox_contract::ids::{FlashReservationId, OrderId, PaymentId};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{OrderStatus, Totals};
use promox_contract::order_line::OrderLine;
use promox_contract::payment::{PaymentAction, PaymentChoice, PaymentStatus};
use promox_contract::promotion::{AppliedPromotion, Offer, RejectedPromotion};
use promox_kernel::{Amount, Currency, Cursor, Download, Email, Limit, Page, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::records::{FulfilmentId, FulfilmentStatus, ReturnId, ReturnStatus, TimelineEntry};
use crate::rules::shipping::ShippingOption;

pub use history::{ExportHistory, HistoryFormat, ImportOrders, OrderImportReport};

/// Places an order: holds stock and discounts, takes the payment and confirms the order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceOrder {
    /// The lines; if omitted, the caller's cart is ordered and emptied. Lines of the same SKU are combined.
    #[serde(default)]
    pub items: Option<Vec<SkuQuantity>>,
    /// A promotion code; a coupon code is accepted too.
    #[serde(default)]
    pub promotion_code: Option<String>,
    /// A coupon code; a promotion code is accepted too.
    #[serde(default)]
    pub coupon_code: Option<String>,
    /// Further coupon or promotion codes; at most 50 together with the flash sale reservations.
    #[serde(default)]
    pub coupon_codes: Vec<String>,
    /// Flash sale reservations to order; each adds a line of its own.
    #[serde(default)]
    pub flash_sale_reservation_ids: Vec<FlashReservationId>,
    /// The number of points to redeem.
    #[serde(default)]
    pub points_to_redeem: Option<u32>,
    /// The e-mail address; required for guests.
    #[serde(default)]
    pub email: Option<Email>,
    /// The shipping address; required if the store has a shipping zone or a tax rate.
    #[serde(default)]
    pub shipping_address: Option<Address>,
    /// The billing address, if it differs from the shipping address.
    #[serde(default)]
    pub billing_address: Option<Address>,
    /// A shipping method that is available for the address; by default the cheapest.
    #[serde(default)]
    pub shipping_method: Option<String>,
    /// The payment method; required unless the total is zero. A method that is not enabled is refused with 422
    /// `METHOD_OFF`.
    #[serde(default)]
    pub payment: Option<PaymentChoice>,
    /// The id of a quote whose prices are used.
    #[serde(default)]
    pub quote_id: Option<String>,
    /// The sales channel, `WEB` by default.
    #[serde(default)]
    pub channel: Option<String>,
    /// The merchant's own attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// A note from the buyer.
    #[serde(default)]
    pub note: Option<String>,
}
operation! {
    PlaceOrder => OrderView, "order.place", Post "/api/orders", Anyone, 201,
    "Places an order: holds stock and discounts, takes the payment, confirms.", keyed,
    also [202], refuses [402, 404]
}

/// Prices an order without placing it. The body is that of [`PlaceOrder`].
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct QuoteOrder(pub PlaceOrder);
operation! {
    QuoteOrder => QuoteView, "order.quote", Post "/api/orders/quote", Anyone, 200,
    "Prices an order without placing it."
}

/// A price, valid for 15 minutes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuoteView {
    /// The currency of all amounts.
    pub currency: Currency,
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// Promotions that apply, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Promotions and codes that do not apply, with the reasons.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// Promotions that would apply if one amount or quantity were higher.
    pub offers: Vec<Offer>,
    /// The shipping methods, cheapest first.
    pub shipping_options: Vec<ShippingOption>,
    /// The totals.
    pub totals: Totals,
    /// Problems that an order would be refused for, and checks that were skipped.
    pub warnings: Vec<String>,
    /// The id of the quote; an order that names it has these prices.
    pub quote_id: String,
    /// When the quote expires.
    pub expires_at: Timestamp,
}
json_reply!(QuoteView);

/// An order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// The order's id.
    pub id: OrderId,
    /// The order number, which cannot be guessed from another one.
    pub number: String,
    /// The status.
    pub status: OrderStatus,
    /// The buyer's account; omitted for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The buyer's e-mail address; null after an erasure.
    pub email: Option<Email>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// Promotions that apply, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Promotions and codes that do not apply, with the reasons.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// The totals.
    pub totals: Totals,
    /// The payment; null when nothing is due, or before the payment is made.
    pub payment: Option<OrderPayment>,
    /// The points that the order earns.
    pub points_earned: i64,
    /// The shipping address.
    pub shipping_address: Option<Address>,
    /// The billing address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// The shipping method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<String>,
    /// The sales channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// A note from the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The merchant's own attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The parcels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fulfilments: Vec<FulfilmentView>,
    /// The returns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<ReturnView>,
    /// A guest's secret for this order, returned only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_token: Option<String>,
    /// What the merchant's own service was asked for this order (`/api/hooks`), and its answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookRecord>,
    /// Whether the order was imported from another system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// When the order was placed.
    pub created_at: Timestamp,
    /// When the order last changed.
    pub updated_at: Timestamp,
    /// The version, which increases with every change.
    pub version: i64,
    /// Whether the checkout is still undecided, which makes the status of the reply 202.
    #[serde(skip)]
    #[schemars(skip)]
    pub undecided: bool,
}
json_reply!(OrderView, etag version, status http_status);

impl OrderView {
    /// 202 while the checkout is undecided, otherwise the operation's own status.
    fn http_status(&self) -> Option<u16> {
        self.undecided.then_some(202)
    }
}

/// An order's payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderPayment {
    /// The payment's id.
    pub id: PaymentId,
    /// The status.
    pub status: PaymentStatus,
    /// The action required of the buyer, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
}

/// Returns one order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrder {
    /// The order's id.
    pub id: OrderId,
}
operation! { GetOrder => OrderView, "order.get", Get "/api/orders/{id}", Owner("order:read"), 200, "One order." }

/// Lists orders, newest first: all of them with the permission `order:read`, otherwise the caller's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOrders {
    /// Lists only orders with this status.
    #[serde(default)]
    pub status: Option<OrderStatus>,
    /// Lists only orders of this account.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Lists only orders placed at this time or later.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Lists only orders placed before this time.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// Lists only orders with this number or e-mail address.
    #[serde(default)]
    pub q: Option<String>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}
operation! {
    ListOrders => Page<OrderView>, "order.list", Get "/api/orders", UserOr("order:read"), 200, "Orders, newest first."
}

/// Returns the history of an order, oldest entry first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTimeline {
    /// The order's id.
    pub id: OrderId,
}
operation! {
    GetTimeline => Page<TimelineEntry>, "order.timeline", Get "/api/orders/{id}/timeline", Owner("order:read"), 200,
    "The history of an order."
}

/// Returns a printable invoice as HTML.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetInvoice {
    /// The order's id.
    pub id: OrderId,
}
operation! {
    GetInvoice => Download, "order.invoice", Get "/api/orders/{id}/invoice", Owner("order:read"), 200,
    "A printable invoice, as HTML.", sends ["text/html"], refuses [409]
}

/// Finds a guest's order. The number and the e-mail address must both match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookUpOrder {
    /// The order number.
    pub number: String,
    /// The e-mail address that the order was placed with.
    pub email: Email,
}
operation! {
    LookUpOrder => OrderView, "order.look_up", Get "/api/orders/lookup", Anyone, 200,
    "A guest's order, by number and e-mail address.", refuses [404]
}

/// Cancels an order before its first shipment, even after a refund. Stock, coupons and promotion uses are released,
/// points restored and the remaining payment refunded; requested returns are rejected. Repeating the request changes
/// nothing. After the first shipment the answer is 409 `NOT_CANCELLABLE`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelOrder {
    /// The order's id.
    pub id: OrderId,
    /// The reason, 1 to 1,000 characters.
    pub reason: String,
}
operation! {
    CancelOrder => OrderView, "order.cancel", Post "/api/orders/{id}/cancel", Owner("order:cancel"), 200,
    "Cancels an order, releases its stock and discounts, and returns its points and payment.", keyed
}

/// Ships some or all of an order. Unpaid goods are refused with 409 `UNPAID`, with `needed` and `paid`, unless
/// `confirm` is true. Cash on delivery counts as paid.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShipOrder {
    /// The order's id.
    pub id: OrderId,
    /// The contents of the parcel; by default everything that is not shipped yet.
    #[serde(default)]
    pub items: Option<Vec<SkuQuantity>>,
    /// The carrier.
    pub carrier: String,
    /// The tracking number.
    pub tracking_number: String,
    /// Whether to ship even unpaid goods.
    #[serde(default)]
    pub confirm: bool,
}
operation! {
    ShipOrder => FulfilmentView, "order.ship", Post "/api/orders/{id}/fulfilments", Permission("order:fulfil"), 201,
    "Ships some or all of an order.", keyed
}

/// Records that a parcel was delivered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliverFulfilment {
    /// The order's id.
    pub id: OrderId,
    /// The parcel's id.
    pub fid: FulfilmentId,
}
operation! {
    DeliverFulfilment => FulfilmentView, "order.deliver", Post "/api/orders/{id}/fulfilments/{fid}/deliver",
    Permission("order:fulfil"), 200,
    "Records that a parcel was delivered.", keyed
}

/// A parcel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentView {
    /// The parcel's id.
    pub id: FulfilmentId,
    /// The order's id.
    pub order_id: OrderId,
    /// The status.
    pub status: FulfilmentStatus,
    /// The carrier.
    pub carrier: String,
    /// The tracking number.
    pub tracking_number: String,
    /// The contents.
    pub items: Vec<SkuQuantity>,
    /// When the parcel was shipped.
    pub shipped_at: Timestamp,
    /// When the parcel was delivered; null until then.
    pub delivered_at: Option<Timestamp>,
}
json_reply!(FulfilmentView);

/// Requests the return of units of an order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestReturn {
    /// The order's id.
    pub id: OrderId,
    /// The units to return.
    pub items: Vec<SkuQuantity>,
    /// The reason, 1 to 1,000 characters.
    pub reason: String,
}
operation! {
    RequestReturn => ReturnView, "order.request_return", Post "/api/orders/{id}/returns", Owner("order:return"), 201,
    "Requests the return of units of an order.", keyed
}

/// Approves a return: the money is refunded and the goods are restocked. The refund is the price of the units plus
/// `shippingRefund`, at most what earlier refunds have left, less `fee`. The part that was paid with points is returned
/// as points. An amount that was not captured yet, such as cash on delivery, is no longer due instead. The reply states
/// the amounts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproveReturn {
    /// The order's id.
    pub id: OrderId,
    /// The return's id.
    pub rid: ReturnId,
    /// Whether the units are restocked, which is the default; otherwise they are written off.
    #[serde(default)]
    pub restock: Option<bool>,
    /// The amount of shipping to refund as well, at most what was paid for shipping. By default zero, or all of it if this
    /// return is of the last goods of an order of which nothing was shipped. The part that was paid with points is returned
    /// as points.
    #[serde(default)]
    pub shipping_refund: Option<Amount>,
    /// A fee that is deducted from the refund: zero by default, at most the money part of the refund.
    #[serde(default)]
    pub fee: Option<Amount>,
}
operation! {
    ApproveReturn => ReturnView, "order.approve_return", Post "/api/orders/{id}/returns/{rid}/approve",
    Permission("order:return"), 200,
    "Approves a return and refunds it.", keyed
}

/// Rejects a return.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectReturn {
    /// The order's id.
    pub id: OrderId,
    /// The return's id.
    pub rid: ReturnId,
}
operation! {
    RejectReturn => ReturnView, "order.reject_return", Post "/api/orders/{id}/returns/{rid}/reject",
    Permission("order:return"), 200,
    "Rejects a return.", keyed
}

/// A return.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnView {
    /// The return's id.
    pub id: ReturnId,
    /// The order's id.
    pub order_id: OrderId,
    /// The status.
    pub status: ReturnStatus,
    /// The returned units.
    pub items: Vec<SkuQuantity>,
    /// The reason.
    pub reason: String,
    /// The money refunded; an estimate until the return is approved.
    pub refund: Amount,
    /// The shipping that was approved for refund. Its money part is included in `refund`, as far as money was left.
    pub shipping_refund: Amount,
    /// The fee that was deducted.
    pub fee: Amount,
    /// The amount that was not captured yet and is no longer due.
    pub voided: Amount,
    /// The points returned for the part that was paid with points.
    pub points: i64,
    /// Whether the units are restocked; otherwise they are written off.
    pub restock: bool,
    /// When the return was requested.
    pub created_at: Timestamp,
    /// When the return was approved or rejected; null until then.
    pub decided_at: Option<Timestamp>,
}
json_reply!(ReturnView);
