//! Requests and replies of orders: quote, checkout, and what happens to an order after it.

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

use crate::records::{FulfilmentId, FulfilmentStatus, ReturnId, ReturnStatus, TimelineEntry};

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// To whom.
    pub name: String,
    /// The company, if the buyer is one or the parcel goes to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// The company's VAT number, as the buyer states it: it is kept and shown, and does not change the tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// Street and number.
    pub line1: String,
    /// What does not fit the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// The town.
    pub city: String,
    /// The postal code, if the country has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// State, province, county. Where the country is taxed by region it is required, and understood as an ISO 3166-2 code (`CA`,
    /// `US-CA`) or name (`California`); it is kept as the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2, `"GB"`, in any case of letters.
    #[serde(deserialize_with = "promox_kernel::country::capital")]
    pub country: String,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// What is to be ordered, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceOrder {
    /// The lines; left out, the caller's cart is ordered and emptied. Lines of the same SKU are one.
    #[serde(default)]
    pub items: Option<Vec<SkuQuantity>>,
    /// A promotion's or coupon's code.
    #[serde(default)]
    pub promotion_code: Option<String>,
    /// A coupon's or promotion's code.
    #[serde(default)]
    pub coupon_code: Option<String>,
    /// More of them.
    #[serde(default)]
    pub coupon_codes: Vec<String>,
    /// Flash reservations; each adds a line of its own.
    #[serde(default)]
    pub flash_sale_reservation_ids: Vec<FlashReservationId>,
    /// Points to pay with.
    #[serde(default)]
    pub points_to_redeem: Option<u32>,
    /// Where to write to; a guest's is required.
    #[serde(default)]
    pub email: Option<Email>,
    /// Where to ship to; required once the store has a zone or a tax rate.
    #[serde(default)]
    pub shipping_address: Option<Address>,
    /// Whom to bill, when it is another address.
    #[serde(default)]
    pub billing_address: Option<Address>,
    /// A method of the zone; left out, the cheapest.
    #[serde(default)]
    pub shipping_method: Option<String>,
    /// How it is paid; required unless the total is zero. A method that is not switched on is a 422 `METHOD_OFF`.
    #[serde(default)]
    pub payment: Option<PaymentChoice>,
    /// Pays the prices of this quote.
    #[serde(default)]
    pub quote_id: Option<String>,
    /// Where it is sold: `WEB` unless said.
    #[serde(default)]
    pub channel: Option<String>,
    /// The merchant's own members.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The buyer's words.
    #[serde(default)]
    pub note: Option<String>,
}
operation! { PlaceOrder => OrderView, "order.place", Post "/api/orders", Anyone, 201, "Places an order: holds \
stock and discounts, takes the payment, confirms.", keyed }

/// The same body as [`PlaceOrder`]: the price, and nothing else happens.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct QuoteOrder(pub PlaceOrder);
operation! { QuoteOrder => QuoteView, "order.quote", Post "/api/orders/quote", Anyone, 200, "Prices an order without placing it." }

/// A price, good for 15 minutes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuoteView {
    /// The currency of all amounts.
    pub currency: Currency,
    /// Whether prices carry their tax inside.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// Promotions with an effect, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// What has no effect, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// Promotions that are one amount or quantity away.
    pub offers: Vec<Offer>,
    /// How it can be shipped, cheapest first.
    pub shipping_options: Vec<ShippingOption>,
    /// The sums.
    pub totals: Totals,
    /// What was left unchecked.
    pub warnings: Vec<String>,
    /// Name it in the order to pay these prices.
    pub quote_id: String,
    /// Until when.
    pub expires_at: Timestamp,
}
json_reply!(QuoteView);

/// A way to ship.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingOption {
    /// Its code.
    pub method: String,
    /// Its name.
    pub name: String,
    /// What it costs for this order.
    pub amount: Amount,
}

/// An order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// Its id.
    pub id: OrderId,
    /// Its number, which cannot be guessed from another.
    pub number: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Where to write to; null after an erasure.
    pub email: Option<Email>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Whether prices carry their tax inside.
    pub prices_include_tax: bool,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// Promotions with an effect, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// What has no effect, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// The sums.
    pub totals: Totals,
    /// The payment; null when nothing was to pay, or before it was taken.
    pub payment: Option<OrderPayment>,
    /// Points that it earned.
    pub points_earned: i64,
    /// Where it is shipped to.
    pub shipping_address: Option<Address>,
    /// Whom to bill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// How it is shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<String>,
    /// Where it was sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The buyer's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The merchant's own members.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Parcels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fulfilments: Vec<FulfilmentView>,
    /// Returns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<ReturnView>,
    /// A guest's secret for this order, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_token: Option<String>,
    /// Whether it came from another system.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
    /// Whether it is still being decided, which makes the answer a 202.
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
    /// Its id.
    pub id: PaymentId,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What the buyer has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PaymentAction>,
}

/// One order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOrder {
    /// Which.
    pub id: OrderId,
}
operation! { GetOrder => OrderView, "order.get", Get "/api/orders/{id}", Owner("order:read"), 200, "One order." }

/// Orders, newest first: one's own, or all with the permission.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOrders {
    /// Only where they stand so.
    #[serde(default)]
    pub status: Option<OrderStatus>,
    /// Only this account's.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Placed at or after.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Placed before.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// A number or an e-mail address.
    #[serde(default)]
    pub q: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}
operation! { ListOrders => Page<OrderView>, "order.list", Get "/api/orders", User, 200, "Orders, newest first." }

/// What happened to an order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTimeline {
    /// Which.
    pub id: OrderId,
}
operation! { GetTimeline => Page<TimelineEntry>, "order.timeline", Get "/api/orders/{id}/timeline", Owner("order:read"), 200, "\
The history of an order." }

/// A printable invoice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetInvoice {
    /// Which.
    pub id: OrderId,
}
operation! { GetInvoice => Download, "order.invoice", Get "/api/orders/{id}/invoice", Owner("order:read"), 200, "\
A printable invoice, as HTML." }

/// A guest's order; both must match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookUpOrder {
    /// Its number.
    pub number: String,
    /// The address that it was placed with.
    pub email: Email,
}
operation! { LookUpOrder => OrderView, "order.look_up", Get "/api/orders/lookup", Anyone, 200, "A guest's \
order, by number and e-mail address." }

/// Cancels an order before its first shipment, also after a refund: stock, coupon, uses, points and what money is left go back,
/// and returns that were asked for are rejected. Cancelling again changes nothing. After the first shipment it is 409
/// `NOT_CANCELLABLE`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelOrder {
    /// Which.
    pub id: OrderId,
    /// Why.
    pub reason: String,
}
operation! { CancelOrder => OrderView, "order.cancel", Post "/api/orders/{id}/cancel", Owner("order:cancel"), 200, "\
Cancels an order and returns its stock, discounts, points and payment.", keyed }

/// Ships some or all of an order. Goods that are not paid for are 409 `UNPAID`, with what is `needed` and `paid`, unless
/// `confirm` is true; what is collected on delivery counts as paid.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShipOrder {
    /// Which.
    pub id: OrderId,
    /// What is in the parcel; left out, all that is not shipped yet.
    #[serde(default)]
    pub items: Option<Vec<SkuQuantity>>,
    /// Who carries it.
    pub carrier: String,
    /// By which number.
    pub tracking_number: String,
    /// Ships also what is not paid for.
    #[serde(default)]
    pub confirm: bool,
}
operation! { ShipOrder => FulfilmentView, "order.ship", Post "/api/orders/{id}/fulfilments", Permission("order:fulfil"), 201, "Ships some or all of an order.", keyed }

/// Notes that a parcel arrived.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliverFulfilment {
    /// Which order.
    pub id: OrderId,
    /// Which parcel.
    pub fid: FulfilmentId,
}
operation! { DeliverFulfilment => FulfilmentView, "order.deliver", Post "/api/orders/{id}/fulfilments/{fid}/deliver", Permission("order:fulfil"), 200, "\
Records that a parcel was delivered.", keyed }

/// A parcel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentView {
    /// Its id.
    pub id: FulfilmentId,
    /// Its order.
    pub order_id: OrderId,
    /// Where it is.
    pub status: FulfilmentStatus,
    /// Who carries it.
    pub carrier: String,
    /// By which number.
    pub tracking_number: String,
    /// What is in it.
    pub items: Vec<SkuQuantity>,
    /// When it left.
    pub shipped_at: Timestamp,
    /// When it arrived.
    pub delivered_at: Option<Timestamp>,
}
json_reply!(FulfilmentView);

/// Asks to give units back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestReturn {
    /// Which order.
    pub id: OrderId,
    /// Which units.
    pub items: Vec<SkuQuantity>,
    /// Why.
    pub reason: String,
}
operation! { RequestReturn => ReturnView, "order.request_return", Post "/api/orders/{id}/returns", Owner("order:return"), 201, "\
Requests a return of units.", keyed }

/// Approves a return: the refund goes out, the goods go back into stock. It gives what its units cost, with `shippingRefund`, as far
/// as earlier refunds have left the money, less `fee`; the part that points paid goes back as points. What was not captured
/// yet (cash on delivery) is no longer due instead. The answer says what is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproveReturn {
    /// Which order.
    pub id: OrderId,
    /// Which return.
    pub rid: ReturnId,
    /// Whether the units go back into stock; true unless said.
    #[serde(default)]
    pub restock: Option<bool>,
    /// Shipping that is given back with them: nothing unless said, at most what was paid for it in money.
    #[serde(default)]
    pub shipping_refund: Option<Amount>,
    /// What is kept of the money, for the return's cost: nothing unless said, at most what the return is worth in money.
    #[serde(default)]
    pub fee: Option<Amount>,
}
operation! { ApproveReturn => ReturnView, "order.approve_return", Post "/api/orders/{id}/returns/{rid}/approve", Permission("order:return"), 200, "\
Approves a return and refunds it.", keyed }

/// Rejects a return.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectReturn {
    /// Which order.
    pub id: OrderId,
    /// Which return.
    pub rid: ReturnId,
}
operation! { RejectReturn => ReturnView, "order.reject_return", Post "/api/orders/{id}/returns/{rid}/reject", Permission("order:return"), 200, "\
Rejects a return.", keyed }

/// A return.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnView {
    /// Its id.
    pub id: ReturnId,
    /// Its order.
    pub order_id: OrderId,
    /// Where it stands.
    pub status: ReturnStatus,
    /// Which units.
    pub items: Vec<SkuQuantity>,
    /// Why.
    pub reason: String,
    /// What is given back in money; an estimate until it is approved.
    pub refund: Amount,
    /// Shipping that was to be given back with the units; it is in the refund as far as the money was left.
    pub shipping_refund: Amount,
    /// What was kept of it.
    pub fee: Amount,
    /// What was not captured yet and is no longer due.
    pub voided: Amount,
    /// Points that go back with it, for the part that was paid in points.
    pub points: i64,
    /// Whether the units go back into stock.
    pub restock: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was approved or rejected.
    pub decided_at: Option<Timestamp>,
}
json_reply!(ReturnView);
