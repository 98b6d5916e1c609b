//! The document of a past order or credit note: a line of NDJSON, or collected from the rows of a CSV.
//!
//! The export writes exactly the members that the import reads, so that the orders of one shop can be imported into
//! another.

use std::collections::BTreeMap;

use promox_contract::ids::{CampaignId, FlashSaleId, ProductId};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{FigureUse, OrderStatus};
use promox_contract::payment::PaymentStatus;
use promox_contract::promotion::{AppliedPromotion, LineDiscount};
use promox_kernel::{Amount, Currency, UserId, text_enum};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::exact::Exact;
use crate::records::{CreditNote, Fulfilment, Order, OrderItem, OrderRefund, Return, ReturnStatus};

text_enum! {
    /// The type of a document.
    DocumentType {
        Order = "ORDER",
        CreditNote = "CREDIT_NOTE",
    }
}

/// A document. Only number, date and lines are required; the defaults are those of a sale that was paid and delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<DocumentType>,
    pub(crate) number: String,
    pub(crate) date: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<OrderStatus>,
    /// The buyer's account in the original shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<UserId>,
    /// The customer's number in the original system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) currency: Option<Currency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prices_include_tax: Option<bool>,
    pub(crate) lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shipping: Option<Shipping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) points: Option<Points>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payment: Option<Payment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) refunds: Vec<OrderRefund>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_address: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) billing_address: Option<Address>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fulfilments: Vec<Parcel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) returns: Vec<ApprovedReturn>,
    /// The revenue of the goods that was returned; by default that of the returned units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goods_returned: Option<Amount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied_promotions: Vec<AppliedPromotion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) promotion_uses: Vec<FigureUse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A line. Its subtotal and total are calculated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) sku: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) product_id: Option<ProductId>,
    #[serde(default)]
    pub(crate) name: String,
    /// The number of units; negative on a credit note.
    pub(crate) quantity: i64,
    pub(crate) unit_price: Amount,
    /// The list price; by default the unit price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) list_price: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) discounts: Vec<LineDiscount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tax: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flash_sale_id: Option<FlashSaleId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) campaign_id: Option<CampaignId>,
    /// The shipped units; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shipped: Option<u32>,
    /// The delivered units; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivered: Option<u32>,
    #[serde(default, skip_serializing_if = "is_zero_units")]
    pub(crate) returned: u32,
    #[serde(default, skip_serializing_if = "is_zero_units")]
    pub(crate) withdrawn: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero_units(units: &u32) -> bool {
    *units == 0
}

/// Shipping cost and method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Shipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    pub(crate) amount: Amount,
    pub(crate) discount: Amount,
    /// The tax on shipping, which is included in the amount if prices include tax.
    pub(crate) tax: Amount,
}

/// The points that were redeemed, with their value, and the points that were earned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Points {
    pub(crate) redeemed: i64,
    pub(crate) value: Amount,
    pub(crate) earned: i64,
}

/// The payment of an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Payment {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<PaymentStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decline_code: Option<String>,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Parcel {
    pub(crate) carrier: String,
    pub(crate) tracking_number: String,
    pub(crate) items: Vec<SkuQuantity>,
    pub(crate) shipped_at: Exact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivered_at: Option<Exact>,
}

/// An approved return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ApprovedReturn {
    pub(crate) items: Vec<SkuQuantity>,
    #[serde(default)]
    pub(crate) reason: String,
    pub(crate) refund: Amount,
    /// The amount that was not captured and is no longer due.
    #[serde(default, skip_serializing_if = "is_zero_amount")]
    pub(crate) voided: Amount,
    #[serde(default, skip_serializing_if = "is_zero_points")]
    pub(crate) points: i64,
    #[serde(default, skip_serializing_if = "is_zero_amount")]
    pub(crate) shipping_refund: Amount,
    #[serde(default, skip_serializing_if = "is_zero_amount")]
    pub(crate) fee: Amount,
    pub(crate) restock: bool,
    pub(crate) requested_at: Exact,
    pub(crate) approved_at: Exact,
}

fn is_zero_amount(amount: &Amount) -> bool {
    amount.is_zero()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero_points(points: &i64) -> bool {
    *points == 0
}

/// The document of an order.
pub(crate) fn of_order(order: &Order, items: &[OrderItem], parcels: &[Fulfilment], returns: &[Return]) -> Document {
    let details = &order.details;
    let imported = details.customer.as_deref();
    Document {
        kind: Some(DocumentType::Order),
        number: order.number.clone(),
        date: Exact(order.created_at).to_string(),
        status: Some(order.status),
        user_id: order.user_id.or_else(|| imported.and_then(Customer::user)),
        customer: imported.and_then(Customer::number),
        email: order.email.as_ref().map(|email| email.as_str().to_owned()),
        currency: Some(order.currency),
        prices_include_tax: Some(order.prices_include_tax),
        lines: items.iter().map(of_item).collect(),
        shipping: shipping(order, items),
        points: points(order),
        total: Some(order.total),
        payment: payment(order),
        refunds: order.refunds.0.clone(),
        shipping_address: details.shipping_address.clone(),
        billing_address: details.billing_address.clone(),
        fulfilments: parcels.iter().map(of_parcel).collect(),
        returns: returns.iter().filter_map(of_return).collect(),
        goods_returned: Some(order.returned_net).filter(|amount| !amount.is_zero()),
        applied_promotions: details.applied.clone(),
        promotion_uses: details.uses.clone(),
        channel: non_empty(details.channel.as_ref()),
        note: non_empty(details.note.as_ref()),
        attributes: details.attributes.clone(),
    }
}

/// A text, or `None` if it is empty.
fn non_empty(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn of_item(item: &OrderItem) -> Line {
    let quantity = item.quantity;
    Line {
        sku: item.sku.to_string(),
        product_id: item.product_id,
        name: item.name.clone(),
        quantity: i64::from(quantity),
        unit_price: item.unit_price,
        list_price: Some(item.list_price).filter(|price| *price != item.unit_price),
        discount: Some(item.discount).filter(|discount| !discount.is_zero()),
        discounts: item.discounts.0.clone(),
        tax: Some(item.tax).filter(|tax| !tax.is_zero()),
        flash_sale_id: item.flash_sale_id,
        campaign_id: item.campaign_id,
        shipped: Some(item.shipped).filter(|units| *units != quantity),
        delivered: Some(item.delivered).filter(|units| *units != quantity),
        returned: item.returned,
        withdrawn: item.withdrawn,
    }
}

/// The shipping of an order. Its tax is the order's tax less that of the lines.
fn shipping(order: &Order, items: &[OrderItem]) -> Option<Shipping> {
    let tax = order.tax - items.iter().map(|item| item.tax).sum();
    let method = non_empty(order.details.shipping_method.as_ref());
    let (amount, discount) = (order.shipping, order.shipping_discount);
    let is_absent = method.is_none() && amount.is_zero() && discount.is_zero() && tax.is_zero();
    (!is_absent).then(|| Shipping { method, amount, discount, tax: order.currency.round(tax.0) })
}

fn points(order: &Order) -> Option<Points> {
    let (redeemed, value, earned) = (order.points_redeemed, order.points_value, order.points_earned);
    (redeemed != 0 || earned != 0).then_some(Points { redeemed, value, earned })
}

fn payment(order: &Order) -> Option<Payment> {
    let method = order.details.payment_method.clone();
    let (status, decline_code) = (order.payment_status, order.details.decline_code.clone());
    let is_present = method.is_some() || status.is_some() || decline_code.is_some();
    is_present.then_some(Payment { method, status, decline_code })
}

fn of_parcel(row: &Fulfilment) -> Parcel {
    Parcel {
        carrier: row.carrier.clone(),
        tracking_number: row.tracking_number.clone(),
        items: row.items.0.clone(),
        shipped_at: Exact(row.shipped_at),
        delivered_at: row.delivered_at.map(Exact),
    }
}

/// A return, if it was approved.
fn of_return(row: &Return) -> Option<ApprovedReturn> {
    let approved_at = row.decided_at.filter(|_| row.status == ReturnStatus::Approved)?;
    let approval = row.approval.as_ref();
    Some(ApprovedReturn {
        items: row.items.0.clone(),
        reason: row.reason.clone(),
        refund: row.refund,
        voided: row.voided,
        points: row.points,
        shipping_refund: approval.map_or(Amount::ZERO, |approval| approval.shipping_refund),
        fee: approval.map_or(Amount::ZERO, |approval| approval.fee),
        restock: row.restock,
        requested_at: Exact(row.created_at),
        approved_at: Exact(approved_at),
    })
}

/// The document of a credit note.
pub(crate) fn of_note(note: &CreditNote) -> Document {
    let line = |line: &crate::records::CreditLine| Line {
        sku: line.sku.to_string(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        ..Line::default()
    };
    Document {
        kind: Some(DocumentType::CreditNote),
        number: note.number.clone(),
        date: Exact(note.issued_at).to_string(),
        customer: note.customer.clone(),
        currency: Some(note.currency),
        lines: note.lines.iter().map(line).collect(),
        ..Document::default()
    }
}

/// The key of an imported order's customer in figures.
pub(crate) struct Customer;

impl Customer {
    const USER: &'static str = "user:";
    const NUMBER: &'static str = "customer:";

    /// The key for an account, or else for a customer's number in another system; `None` for a guest, who is identified
    /// by the e-mail address.
    pub(crate) fn key(user: Option<UserId>, number: Option<&str>) -> Option<String> {
        let user = user.map(|user| format!("{}{user}", Self::USER));
        user.or_else(|| number.map(|number| format!("{}{number}", Self::NUMBER)))
    }

    fn user(key: &str) -> Option<UserId> {
        key.strip_prefix(Self::USER)?.parse().ok().map(UserId)
    }

    fn number(key: &str) -> Option<String> {
        key.strip_prefix(Self::NUMBER).map(str::to_owned)
    }
}
