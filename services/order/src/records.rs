//! The tables of orders. Numbers 200 to 249 are theirs.

use std::collections::BTreeMap;

use promox_contract::ids::{CampaignId, CartId, FlashSaleId, OrderId, PaymentId, ProductId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{FigureUse, OrderStatus};
use promox_contract::order_line::{OrderLine, net};
use promox_contract::payment::PaymentStatus;
use promox_contract::promotion::{AppliedPromotion, LineDiscount, RejectedPromotion};
use promox_kernel::{Amount, Currency, Email, Json, Sealed, Sku, Timestamp, UserId, id, text_enum};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Address;
use crate::checkout::draft::Draft;
use crate::exact::Exact;

id! {
    /// A parcel of an order.
    FulfilmentId,
    /// A return of an order.
    ReturnId,
    /// A credit note from another system.
    CreditNoteId,
}

record! {
    /// An order as it was placed, and where it stands.
    pub(crate) struct Order in Ecommerce.orders = 200, key(id: OrderId) {
        number: String,
        status: OrderStatus,
        user_id: Option<UserId>,
        email: Option<Email>,
        /// The mailbox of the address, by which a person's orders are found.
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
        /// Taken over from another system: no stock, payment or message moved.
        imported: bool,
        /// What returned units cost, in money and points together.
        returned: Amount,
        /// Points that went back with it.
        returned_points: i64,
        /// Money that went back, by returns and without them, and what is no longer due.
        given_back: Amount,
        /// What of the goods' revenue went back, as the figures count it.
        returned_net: Amount,
        /// Money that was given back, oldest first.
        refunds: Json<Vec<OrderRefund>>,
        details: Json<OrderDetails>,
        timeline: Json<Vec<TimelineEntry>>,
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

/// Money of an order that was given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderRefund {
    pub(crate) at: Exact,
    pub(crate) amount: Amount,
    /// Whether it was for goods that came back, and not money alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) for_return: bool,
}

/// What of an order is only shown.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OrderDetails {
    pub(crate) shipping_address: Option<Address>,
    pub(crate) billing_address: Option<Address>,
    pub(crate) shipping_method: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) note: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied: Vec<AppliedPromotion>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejected: Vec<RejectedPromotion>,
    /// What promotions with an effect cost by their own books, and for which campaign.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) uses: Vec<FigureUse>,
    /// What promotions multiply its points with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) points_multiplier: Option<Amount>,
    /// The customer of an imported order as figures name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<String>,
    /// Why it failed, as the provider says it.
    pub(crate) decline_code: Option<String>,
}

/// A saga step or a later event of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// `HOLD_STOCK`, `TAKE_PAYMENT`, `CONFIRM`, `CANCEL`, `SHIP` …
    pub step: String,
    /// `DONE`, `FAILED`, `WAITING`.
    pub status: String,
    /// What happened, for people.
    pub detail: String,
    /// Who did it: `user:7`, `anonymous`, `system`.
    pub actor: String,
}

record! {
    /// A line of an order.
    pub(crate) struct OrderItem in Ecommerce.order_items = 207, key(order_id: OrderId, line: u32) {
        /// As it was when it was sold.
        sku: Sku,
        /// What was sold; null for what was imported.
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
        /// Units that came back before they were shipped, and so never are.
        withdrawn: u32,
        /// The campaign of its flash sale, as it was when it was ordered.
        campaign_id: Option<CampaignId>,
    }
}

impl OrderItem {
    /// The row of a line as it is sold: nothing of it is shipped or came back.
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

    /// The line as it was sold.
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

    /// What the line is of the goods' revenue: after discounts, without tax.
    pub(crate) fn net(&self, tax_inside: bool) -> Amount {
        net(self.subtotal - self.discount, self.tax, tax_inside)
    }
}

text_enum! {
    /// What an order's saga does next.
    SagaStep {
        Holding = "HOLDING",
        Paying = "PAYING",
        AwaitingAction = "AWAITING_ACTION",
        Undoing = "UNDOING",
    }
}

record! {
    /// A saga that is not ended: a checkout on its way, or an order being undone. Gone when it ends.
    pub(crate) struct Saga in Ecommerce.order_sagas = 210, key(order_id: OrderId) {
        step: SagaStep,
        /// Who drives it: a driver that finds another number here lets go.
        attempt: i64,
        /// When somebody else may take it up.
        due_at: Timestamp,
        cart_id: Option<CartId>,
        /// The state of the cart that is ordered.
        cart_version: Option<i64>,
        draft: Sealed<Draft>,
        /// How often in a row it could not be brought further, and what was in the way last.
        tries: i64,
        last_error: Option<String>,
        created_at: Timestamp,
    }
    index SagaByDue = 211 (due_at);
    unique SagaByCart = 212 (cart_id);
}

text_enum! {
    /// Where a parcel is.
    FulfilmentStatus { Shipped = "SHIPPED", Delivered = "DELIVERED" }
}

record! {
    /// A parcel.
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
    /// Where a return stands.
    ReturnStatus { Requested = "REQUESTED", Approved = "APPROVED", Rejected = "REJECTED" }
}

record! {
    /// A return.
    pub(crate) struct Return in Ecommerce.order_returns = 217, key(id: ReturnId) {
        order_id: OrderId,
        status: ReturnStatus,
        items: Json<Vec<SkuQuantity>>,
        reason: String,
        /// What goes back in money: an estimate until it is approved.
        refund: Amount,
        /// What was not captured and is no longer due.
        voided: Amount,
        /// Points that go back with it.
        points: i64,
        restock: bool,
        /// What it was approved for. It stays REQUESTED until its payment has said what it gives.
        approval: Json<Option<Approval>>,
        /// When the approval is gone on with, until money and goods have moved: null before it and after.
        due_at: Option<Timestamp>,
        tries: i64,
        created_at: Timestamp,
        decided_at: Option<Timestamp>,
    }
    index ReturnByOrder = 218 (order_id);
    index ReturnByDue = 219 (due_at);
}

/// What a return was approved for: fixed when its units were counted as returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Approval {
    /// What its units are worth in money.
    pub(crate) money: Amount,
    /// Points that go back with them.
    pub(crate) points: i64,
    /// What they come to of the goods' revenue.
    pub(crate) net: Amount,
    /// Shipping that is given back with them.
    pub(crate) shipping_refund: Amount,
    /// What is kept of it all.
    pub(crate) fee: Amount,
    /// Whether it leaves nothing of the order with the buyer.
    pub(crate) whole: bool,
    /// Who approved it.
    pub(crate) actor: String,
}

impl Return {
    /// Whether it was approved and its payment has not said yet what it gives.
    pub(crate) fn is_settling(&self) -> bool {
        self.status == ReturnStatus::Requested && self.approval.is_some()
    }
}

record! {
    /// An account whose erasure was asked for: it orders nothing more.
    pub(crate) struct Leaver in Ecommerce.order_leavers = 240, key(user_id: UserId) {
        since: Timestamp,
        /// When the person went from its orders.
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
