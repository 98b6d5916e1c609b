//! Requests and replies of orders: quote, checkout, and what follows.

mod history;

use std::collections::BTreeMap;

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

/// An order request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceOrder {
    /// The lines; if omitted, the caller's cart is ordered and emptied. Lines of the same SKU are combined.
    #[serde(default)]
    pub items: Option<Vec<SkuQuantity>>,
    /// A promotion or coupon code.
    #[serde(default)]
    pub promotion_code: Option<String>,
    /// A coupon or promotion code.
    #[serde(default)]
    pub coupon_code: Option<String>,
    /// Further codes.
    #[serde(default)]
    pub coupon_codes: Vec<String>,
    /// Flash sale reservations; each adds a line of its own.
    #[serde(default)]
    pub flash_sale_reservation_ids: Vec<FlashReservationId>,
    /// Points to redeem.
    #[serde(default)]
    pub points_to_redeem: Option<u32>,
    /// The e-mail address; required for guests.
    #[serde(default)]
    pub email: Option<Email>,
    /// The shipping address; required once the store has a zone or a tax rate.
    #[serde(default)]
    pub shipping_address: Option<Address>,
    /// The billing address, if it differs.
    #[serde(default)]
    pub billing_address: Option<Address>,
    /// A shipping method of the zone; by default the cheapest.
    #[serde(default)]
    pub shipping_method: Option<String>,
    /// The payment; required unless the total is zero. A method that is not enabled is a 422 `METHOD_OFF`.
    #[serde(default)]
    pub payment: Option<PaymentChoice>,
    /// A quote whose prices to use.
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
    "Places an order: holds stock and discounts, takes the payment, confirms.", keyed
}

/// Prices an order: the same body as [`PlaceOrder`], without placing it.
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
    /// Promotions and codes that do not apply, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// Promotions that lack a single amount or quantity.
    pub offers: Vec<Offer>,
    /// The shipping methods, cheapest first.
    pub shipping_options: Vec<ShippingOption>,
    /// The totals.
    pub totals: Totals,
    /// Checks that were skipped.
    pub warnings: Vec<String>,
    /// The id of the quote, to order at these prices.
    pub quote_id: String,
    /// When the quote expires.
    pub expires_at: Timestamp,
}
json_reply!(QuoteView);

/// An order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// The id.
    pub id: OrderId,
    /// The order number, which cannot be guessed from another.
    pub number: String,
    /// The status.
    pub status: OrderStatus,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The e-mail address; null after an erasure.
    pub email: Option<Email>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// Promotions that apply, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Promotions and codes that do not apply, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// The totals.
    pub totals: Totals,
    /// The payment; null when nothing was due, or before it was made.
    pub payment: Option<OrderPayment>,
    /// The points that it earned.
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The parcels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fulfilments: Vec<FulfilmentView>,
    /// The returns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<ReturnView>,
    /// A guest's secret for this order, returned only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_token: Option<String>,
    /// Whether it was imported from another system.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
    /// Whether it is still being decided, which makes the response a 202.
    #[serde(skip)]
    #[schemars(skip)]
    pub undecided: bool,
}
json_reply!(OrderView, etag version, status http_status);

impl OrderView {
    fn http_status(&self) -> Option<u16> {
        self.undecided.then_some(202)
    }
}

/// An order's payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderPayment {
    /// The id.
    pub id: PaymentId,
    /// The status.
    pub status: PaymentStatus,
    /// What the buyer must do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
}

/// One order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrder {
    /// The id.
    pub id: OrderId,
}
operation! { GetOrder => OrderView, "order.get", Get "/api/orders/{id}", Owner("order:read"), 200, "One order." }

/// Orders, newest first: the caller's own, or all with the permission.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOrders {
    /// Only orders with this status.
    #[serde(default)]
    pub status: Option<OrderStatus>,
    /// Only orders of this account.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Only orders placed from this time on.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Only orders placed before this time.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// An order number or an e-mail address.
    #[serde(default)]
    pub q: Option<String>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}
operation! { ListOrders => Page<OrderView>, "order.list", Get "/api/orders", User, 200, "Orders, newest first." }

/// The history of an order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTimeline {
    /// The id.
    pub id: OrderId,
}
operation! {
    GetTimeline => Page<TimelineEntry>, "order.timeline", Get "/api/orders/{id}/timeline", Owner("order:read"), 200,
    "The history of an order."
}

/// A printable invoice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetInvoice {
    /// The id.
    pub id: OrderId,
}
operation! {
    GetInvoice => Download, "order.invoice", Get "/api/orders/{id}/invoice", Owner("order:read"), 200,
    "A printable invoice, as HTML."
}

/// A guest's order; number and address must both match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookUpOrder {
    /// The order number.
    pub number: String,
    /// The e-mail address of the order.
    pub email: Email,
}
operation! {
    LookUpOrder => OrderView, "order.look_up", Get "/api/orders/lookup", Anyone, 200,
    "A guest's order, by number and e-mail address."
}

/// Cancels an order before its first shipment, also after a refund: stock, coupons, promotion uses, points and the
/// remaining payment are returned, and requested returns are rejected. Repeating it changes nothing. After the first
/// shipment it is 409 `NOT_CANCELLABLE`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelOrder {
    /// The id.
    pub id: OrderId,
    /// The reason.
    pub reason: String,
}
operation! {
    CancelOrder => OrderView, "order.cancel", Post "/api/orders/{id}/cancel", Owner("order:cancel"), 200,
    "Cancels an order and returns its stock, discounts, points and payment.", keyed
}

/// Ships some or all of an order. Unpaid goods are 409 `UNPAID`, with `needed` and `paid`, unless `confirm` is true;
/// cash on delivery counts as paid.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShipOrder {
    /// The id.
    pub id: OrderId,
    /// The contents of the parcel; by default everything that is not shipped yet.
    #[serde(default)]
    pub items: Option<Vec<SkuQuantity>>,
    /// The carrier.
    pub carrier: String,
    /// The tracking number.
    pub tracking_number: String,
    /// Ships unpaid goods too.
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
    /// The order.
    pub id: OrderId,
    /// The parcel.
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
    /// The id.
    pub id: FulfilmentId,
    /// The order.
    pub order_id: OrderId,
    /// The status.
    pub status: FulfilmentStatus,
    /// The carrier.
    pub carrier: String,
    /// The tracking number.
    pub tracking_number: String,
    /// The contents.
    pub items: Vec<SkuQuantity>,
    /// When it was shipped.
    pub shipped_at: Timestamp,
    /// When it was delivered.
    pub delivered_at: Option<Timestamp>,
}
json_reply!(FulfilmentView);

/// Requests a return of units.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestReturn {
    /// The order.
    pub id: OrderId,
    /// The units.
    pub items: Vec<SkuQuantity>,
    /// The reason.
    pub reason: String,
}
operation! {
    RequestReturn => ReturnView, "order.request_return", Post "/api/orders/{id}/returns", Owner("order:return"), 201,
    "Requests a return of units.", keyed
}

/// Approves a return: the refund is paid, and the goods go back into stock. The refund is the price of the units plus
/// `shippingRefund`, as far as earlier refunds have left money, less `fee`; the part that was paid with points is
/// returned as points. What was not captured yet (cash on delivery) is no longer due instead. The reply says what is
/// refunded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproveReturn {
    /// The order.
    pub id: OrderId,
    /// The return.
    pub rid: ReturnId,
    /// Whether the units go back into stock; true by default. Otherwise they are written off.
    #[serde(default)]
    pub restock: Option<bool>,
    /// Shipping to refund too: nothing by default, at most what was paid for it. What points paid of it is returned as points.
    #[serde(default)]
    pub shipping_refund: Option<Amount>,
    /// A fee that is deducted from the refund: nothing by default, at most the return's worth in money.
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
    /// The order.
    pub id: OrderId,
    /// The return.
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
    /// The id.
    pub id: ReturnId,
    /// The order.
    pub order_id: OrderId,
    /// The status.
    pub status: ReturnStatus,
    /// The units.
    pub items: Vec<SkuQuantity>,
    /// The reason.
    pub reason: String,
    /// The refund; an estimate until it is approved.
    pub refund: Amount,
    /// The shipping requested to be refunded; what money paid of it is part of the refund as far as money was left.
    pub shipping_refund: Amount,
    /// The fee that was deducted.
    pub fee: Amount,
    /// The amount that was not captured yet and is no longer due.
    pub voided: Amount,
    /// Points that are returned, for the part that was paid with points.
    pub points: i64,
    /// Whether the units go back into stock.
    pub restock: bool,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it was approved or rejected.
    pub decided_at: Option<Timestamp>,
}
json_reply!(ReturnView);
