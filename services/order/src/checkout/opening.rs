//! The rows that an order begins with, made ready before the transaction that writes them.

use promox_contract::ids::OrderId;
use promox_contract::order::OrderStatus;
use promox_kernel::{Error, Json, Sealed, Timestamp};

use crate::api::LineView;
use crate::checkout::steps::note;
use crate::checkout::{Draft, Extras, NewOrder};
use crate::records::{Order, OrderDetails, OrderItem};
use crate::tokens;

/// An order to be written, and what its saga still has to remember then.
pub(crate) struct Opening {
    pub(crate) order: Order,
    pub(crate) items: Vec<OrderItem>,
    pub(crate) rest: Sealed<Draft>,
}

impl Opening {
    /// The rows of a draft's order.
    pub(crate) fn of(draft: &Draft, id: OrderId, now: Timestamp) -> Result<Self, Error> {
        let Some(new) = draft.order.as_deref() else { return Err(Error::internal("a saga without its order")) };
        let lines = (0..).zip(&new.priced.lines);
        let items = lines.map(|(number, line)| item(id, number, line, &new.extras)).collect();
        let mut order = pending_order(now, id, new.clone(), draft);
        note(&mut order, now, "HOLD", "DONE", "Stock is held.", &draft.actor);
        note(&mut order, now, "CREATE", "DONE", "The order waits for its payment.", &draft.actor);
        Ok(Self { order, items, rest: Sealed::of(&draft.without_order())? })
    }
}

fn pending_order(now: Timestamp, id: OrderId, new: NewOrder, draft: &Draft) -> Order {
    let totals = new.priced.totals;
    Order {
        id,
        number: new.number,
        status: OrderStatus::Pending,
        user_id: new.user_id,
        email: Some(new.email),
        currency: new.priced.currency,
        prices_include_tax: new.priced.prices_include_tax,
        subtotal: totals.subtotal,
        discount: totals.discount,
        shipping: totals.shipping,
        shipping_discount: totals.shipping_discount,
        tax: totals.tax,
        points_redeemed: totals.points_redeemed,
        points_value: totals.points_value,
        total: totals.total,
        points_earned: new.points_earned,
        payment_id: None,
        payment_status: None,
        token_hash: draft.token.as_deref().map(tokens::hash),
        imported: false,
        returned: new.priced.currency.zero(),
        returned_money: new.priced.currency.zero(),
        returned_points: 0,
        details: Json(OrderDetails {
            shipping_address: new.shipping_address,
            billing_address: new.billing_address,
            shipping_method: new.priced.shipping_method,
            payment_method: draft.choice.as_ref().map(|choice| choice.method.clone()),
            channel: new.channel,
            note: new.note,
            attributes: new.attributes,
            applied: new.priced.applied,
            rejected: new.priced.rejected,
            points_multiplier: new.extras.points_multiplier,
            decline_code: None,
        }),
        timeline: Json(Vec::with_capacity(4)),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn item(order_id: OrderId, number: u32, line: &LineView, extras: &Extras) -> OrderItem {
    OrderItem {
        order_id,
        line: number,
        sku: line.sku.clone(),
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
        campaign_id: line.flash_sale_id.and_then(|sale| extras.flash_campaigns.get(&sale).copied()),
    }
}
