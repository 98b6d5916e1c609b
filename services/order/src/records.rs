//! The tables of orders, numbers 200 to 249.

use std::collections::BTreeMap;

use promox_contract::hook::HookRecord;
use promox_contract::ids::{CampaignId, CartId, FlashSaleId, OrderId, PaymentId, ProductId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{FigureUse, OrderStatus};
use promox_contract::order_line::{OrderLine, net};
use promox_contract::payment::{CaptureAt, PaymentStatus};
use promox_contract::promotion::{AppliedPromotion, LineDiscount, RejectedPromotion};
use promox_kernel::{Amount, Currency, Email, EncodedJson, Json, Locale, Sku, Timestamp, UserId, id, text_enum};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::checkout::draft::Draft;
use crate::exact::Exact;

id! {
    /// The id of a parcel.
    FulfilmentId,
    /// The id of a return.
    ReturnId,
    /// The id of a credit note from another system.
    CreditNoteId,
}

record! {
    /// An order and its status.
    pub(crate) struct Order in Ecommerce.orders = 200, key(id: OrderId) {
        number: String,
        status: OrderStatus,
        user_id: Option<UserId>,
        email: Option<Email>,
        /// The mailbox of the e-mail address, by which a person's orders are found.
        mailbox: Option<String>,
        currency: Currency,
        prices_include_tax: bool,
        subtotal: Amount,
        discount: Amount,
        shipping: Amount,
        shipping_discount: Amount,
        tax: Amount,
        points_redeemed: i64,
        points_value: Amount,
        total: Amount,
        points_earned: i64,
        payment_id: Option<PaymentId>,
        payment_status: Option<PaymentStatus>,
        token_hash: Option<Vec<u8>>,
        /// Whether the order was imported from another system, without stock, payment or messages.
        imported: bool,
        /// The price of the returned units, in money and points together.
        returned: Amount,
        /// The points returned for them.
        returned_points: i64,
        /// The money refunded, for returns and otherwise, including what is no longer due.
        given_back: Amount,
        /// The revenue of the goods that was returned, as figures count it.
        returned_net: Amount,
        /// Refunds, oldest first.
        refunds: Json<Vec<OrderRefund>>,
        details: Json<OrderDetails>,
        timeline: EncodedJson<Vec<TimelineEntry>>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique OrderByNumber = 201 (number);
    index OrderByUser = 202 (user_id, created_at);
    index OrderByStatus = 203 (status, created_at);
    index OrderByCreated = 204 (created_at);
    index OrderByMailbox = 205 (mailbox, created_at);
}

/// A refund of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderRefund {
    pub(crate) at: Exact,
    pub(crate) amount: Amount,
    /// Whether it was for returned goods.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) for_return: bool,
}

/// The parts of an order that are stored as one JSON value, because no index needs them.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OrderDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) billing_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied: Vec<AppliedPromotion>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejected: Vec<RejectedPromotion>,
    /// The cost of each promotion as taken from its budget, with its campaign.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) uses: Vec<FigureUse>,
    /// The multiplier of earned points that promotions grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) points_multiplier: Option<Amount>,
    /// The key of an imported order's customer in figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<String>,
    /// The payment provider's code, if it declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decline_code: Option<String>,
    /// The languages that the buyer's browser accepted, the preferred ones first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) languages: Vec<Locale>,
    /// When the money of a card payment is captured.
    #[serde(skip_serializing_if = "CaptureAt::is_order")]
    pub(crate) capture_at: CaptureAt,
    /// What the merchant's service was asked for this order, and its answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hooks: Vec<HookRecord>,
}

/// An entry of an order's history: a step of its checkout or a later change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// The time of the entry.
    pub at: Timestamp,
    /// The step: `HOLD`, `CREATE`, `TAKE_PAYMENT`, `CONFIRM`, `UNDO`, `CANCEL`, `SHIP`, `DELIVER`, `RETURN`, `REFUND`
    /// or `IMPORT`.
    pub step: String,
    /// The result of the step: `DONE`, `FAILED` or `WAITING`.
    pub status: String,
    /// A human-readable description.
    pub detail: String,
    /// Who made the change, such as `user:7`, `anonymous` or `system`.
    pub actor: String,
}

record! {
    /// A line of an order.
    pub(crate) struct OrderItem in Ecommerce.order_items = 207, key(order_id: OrderId, line: u32) {
        /// The SKU when it was sold.
        sku: Sku,
        /// The variant; null for imported lines.
        variant_id: Option<VariantId>,
        product_id: Option<ProductId>,
        name: String,
        quantity: u32,
        unit_price: Amount,
        list_price: Amount,
        subtotal: Amount,
        discount: Amount,
        tax: Amount,
        total: Amount,
        flash_sale_id: Option<FlashSaleId>,
        discounts: Json<Vec<LineDiscount>>,
        shipped: u32,
        delivered: u32,
        returned: u32,
        /// Units that were returned before they were shipped, and will not be shipped.
        withdrawn: u32,
        /// The campaign of the line's flash sale at the time of the order.
        campaign_id: Option<CampaignId>,
    }
}

impl OrderItem {
    /// The row of a new line, of which nothing is shipped or returned.
    pub(crate) fn of(order_id: OrderId, number: u32, line: &OrderLine, campaign_id: Option<CampaignId>) -> Self {
        Self {
            order_id,
            line: number,
            sku: line.sku.clone(),
            variant_id: line.variant_id,
            product_id: line.product_id,
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            list_price: line.list_price,
            subtotal: line.subtotal,
            discount: line.discount,
            tax: line.tax,
            total: line.total,
            flash_sale_id: line.flash_sale_id,
            discounts: Json(line.discounts.clone()),
            shipped: 0,
            delivered: 0,
            returned: 0,
            withdrawn: 0,
            campaign_id,
        }
    }

    /// The line as it was ordered.
    pub(crate) fn into_line(self) -> OrderLine {
        OrderLine {
            sku: self.sku,
            variant_id: self.variant_id,
            product_id: self.product_id,
            name: self.name,
            quantity: self.quantity,
            unit_price: self.unit_price,
            list_price: self.list_price,
            flash_sale_id: self.flash_sale_id,
            subtotal: self.subtotal,
            discount: self.discount,
            discounts: self.discounts.0,
            tax: self.tax,
            total: self.total,
        }
    }

    /// The revenue of the line: its price after discounts, without tax.
    pub(crate) fn net(&self, tax_inside: bool) -> Amount {
        net(self.subtotal - self.discount, self.tax, tax_inside)
    }
}

text_enum! {
    /// The next step of an order's saga.
    SagaStep {
        Holding = "HOLDING",
        Paying = "PAYING",
        AwaitingAction = "AWAITING_ACTION",
        Undoing = "UNDOING",
    }
}

record! {
    /// A running saga: a checkout in progress, or an order being compensated. Deleted when it ends.
    pub(crate) struct Saga in Ecommerce.order_sagas = 210, key(order_id: OrderId) {
        step: SagaStep,
        /// The number of the lease; a driver whose lease has another number must stop.
        attempt: i64,
        /// When another driver may resume the saga.
        due_at: Timestamp,
        cart_id: Option<CartId>,
        /// The version of the cart that is ordered.
        cart_version: Option<i64>,
        draft: EncodedJson<Draft>,
        /// The number of consecutive failures; `last_error` is the latest.
        tries: i64,
        last_error: Option<String>,
        created_at: Timestamp,
    }
    index SagaByDue = 211 (due_at);
    unique SagaByCart = 212 (cart_id);
}

text_enum! {
    /// The status of a parcel.
    FulfilmentStatus { Shipped = "SHIPPED", Delivered = "DELIVERED" }
}

record! {
    /// A parcel of an order.
    pub(crate) struct Fulfilment in Ecommerce.fulfilments = 214, key(id: FulfilmentId) {
        order_id: OrderId,
        status: FulfilmentStatus,
        carrier: String,
        tracking_number: String,
        items: Json<Vec<SkuQuantity>>,
        shipped_at: Timestamp,
        delivered_at: Option<Timestamp>,
    }
    index FulfilmentByOrder = 215 (order_id);
}

text_enum! {
    /// The status of a return.
    ReturnStatus { Requested = "REQUESTED", Approved = "APPROVED", Rejected = "REJECTED" }
}

record! {
    /// A return of units of an order.
    pub(crate) struct Return in Ecommerce.order_returns = 217, key(id: ReturnId) {
        order_id: OrderId,
        status: ReturnStatus,
        items: Json<Vec<SkuQuantity>>,
        reason: String,
        /// The money refunded; an estimate until the return is approved.
        refund: Amount,
        /// The amount that was not captured and is no longer due.
        voided: Amount,
        /// The points returned for the part that was paid with points.
        points: i64,
        restock: bool,
        /// The terms of the approval. The return stays REQUESTED until the payment service has decided the refund.
        approval: Json<Option<Approval>>,
        /// When the approved return is continued next; null before the approval, and once it is refunded and restocked.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        decided_at: Option<Timestamp>,
    }
    index ReturnByOrder = 218 (order_id);
    index ReturnByDue = 219 (due_at);
}

/// The terms of the approval of a return, fixed when its units are counted as returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Approval {
    /// The part of the units' price that was paid with money.
    pub(crate) money: Amount,
    /// The points to return, for the units and the shipping.
    pub(crate) points: i64,
    /// The revenue of the units.
    pub(crate) net: Amount,
    /// The shipping to refund, in money and points.
    pub(crate) shipping_refund: Amount,
    /// The part of the shipping that was paid with points.
    #[serde(default)]
    pub(crate) shipping_by_points: Amount,
    /// The fee to deduct.
    pub(crate) fee: Amount,
    /// Whether the last of the order's goods are returned.
    pub(crate) whole: bool,
    /// The part of `money` that is for units which were never shipped.
    #[serde(default)]
    pub(crate) unshipped: Amount,
    /// Whether no goods are left to ship.
    #[serde(default)]
    pub(crate) complete: bool,
    /// Who approved the return.
    pub(crate) actor: String,
}

impl Return {
    /// Whether the approval has begun and the payment service has not decided the refund yet.
    pub(crate) fn is_settling(&self) -> bool {
        self.status == ReturnStatus::Requested && self.approval.is_some()
    }
}

record! {
    /// An account whose erasure was requested; it can place no more orders.
    pub(crate) struct LeavingBuyer in Ecommerce.order_leavers = 240, key(user_id: UserId) {
        since: Timestamp,
        /// When personal data was removed from the account's orders; null until then.
        erased_at: Option<Timestamp>,
    }
}

record! {
    /// A credit note from another system.
    pub(crate) struct CreditNote in Ecommerce.credit_notes = 224, key(id: CreditNoteId) {
        number: String,
        /// The customer's number in the other system.
        customer: Option<String>,
        currency: Currency,
        total: Amount,
        lines: Json<Vec<CreditLine>>,
        issued_at: Timestamp,
    }
    unique CreditNoteByNumber = 225 (number);
    index CreditNoteByIssued = 226 (issued_at);
}

/// A line of a credit note; quantity and total are negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreditLine {
    pub(crate) sku: Sku,
    pub(crate) name: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price: Amount,
    pub(crate) total: Amount,
}
