//! The rows that an order begins with and those that it is confirmed with, made ready before the transactions that write
//! them: in these every order waits for every other.

use promox_contract::ids::OrderId;
use promox_contract::order::{FigureUse, OrderConfirmed, OrderCreated, OrderStatus};
use promox_contract::payment::PaymentOutcome;
use promox_contract::promotion::PromotionUse;
use promox_kernel::{Error, Json, Reply as _, Response, Sealed, Timestamp};
use promox_storage::Prepared;

use crate::api::{LineView, OrderView};
use crate::checkout::steps::{self, note};
use crate::checkout::{Draft, Extras, NewOrder, StoredClaim};
use crate::queries;
use crate::records::{Order, OrderDetails, OrderItem};
use crate::tokens;

/// An order to be written, and what its saga still has to remember then.
pub(crate) struct Opening {
    order: Order,
    items: Vec<OrderItem>,
    /// The order's row.
    pub(crate) row: Prepared<Order>,
    /// Its lines' rows.
    pub(crate) item_rows: Vec<Prepared<OrderItem>>,
    pub(crate) created: OrderCreated,
    /// What the saga still remembers.
    pub(crate) rest: Sealed<Draft>,
    claim: Option<StoredClaim>,
    token: Option<String>,
}

impl Opening {
    /// The rows of a draft's order.
    pub(crate) fn of(draft: &Draft, id: OrderId, now: Timestamp) -> Result<Self, Error> {
        let Some(new) = draft.order.as_deref() else { return Err(Error::internal("a saga without its order")) };
        let lines = (0..).zip(&new.priced.lines);
        let items: Vec<_> = lines.map(|(number, line)| item(id, number, line, &new.extras)).collect();
        let mut order = pending_order(now, id, new.clone(), draft);
        note(&mut order, now, "HOLD", "DONE", "Stock is held.", &draft.actor);
        note(&mut order, now, "CREATE", "DONE", "The order waits for its payment.", &draft.actor);
        Ok(Self {
            row: Prepared::of(&order),
            item_rows: items.iter().map(Prepared::of).collect(),
            created: OrderCreated(steps::fact(&order)),
            rest: Sealed::of(&draft.without_order())?,
            claim: draft.claim.clone(),
            token: draft.token.clone(),
            order,
            items,
        })
    }

    /// The order's number.
    pub(crate) fn id(&self) -> OrderId {
        self.order.id
    }
}

/// What an order becomes by a payment that is good, if it still is as it was opened.
pub(crate) struct Confirmation {
    pub(crate) row: Prepared<Order>,
    pub(crate) confirmed: OrderConfirmed,
    /// What is answered.
    pub(crate) answer: OrderView,
    /// The same as it is kept with the request's idempotency key.
    pub(crate) kept: Option<(StoredClaim, Response)>,
}

impl Confirmation {
    /// The confirmed order.
    pub(crate) fn of(opening: &Opening, paid: Option<&PaymentOutcome>, now: Timestamp) -> Result<Self, Error> {
        let mut order = opening.order.clone();
        steps::become_confirmed(&mut order, paid, now)?;
        let (row, confirmed) = (Prepared::of(&order), OrderConfirmed(steps::fact(&order)));
        let mut answer = queries::fresh_view(order, opening.items.clone());
        answer.order_token.clone_from(&opening.token);
        let kept = match &opening.claim {
            Some(claim) => answer.kept(claim.status())?.map(|response| (claim.clone(), response)),
            None => None,
        };
        Ok(Self { row, confirmed, answer, kept })
    }
}

fn pending_order(now: Timestamp, id: OrderId, new: NewOrder, draft: &Draft) -> Order {
    let totals = new.priced.totals;
    Order {
        id,
        number: new.number,
        status: OrderStatus::Pending,
        user_id: new.user_id,
        mailbox: Some(new.email.mailbox()),
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
        returned_points: 0,
        given_back: new.priced.currency.zero(),
        returned_net: new.priced.currency.zero(),
        refunds: Json(Vec::new()),
        details: Json(OrderDetails {
            shipping_address: new.shipping_address,
            billing_address: new.billing_address,
            shipping_method: new.priced.shipping_method,
            payment_method: draft.choice.as_ref().map(|choice| choice.method.clone()),
            channel: new.channel,
            note: new.note,
            attributes: new.attributes,
            applied: new.priced.applied,
            uses: new.extras.uses.iter().map(used).collect(),
            rejected: new.priced.rejected,
            points_multiplier: new.extras.points_multiplier,
            customer: None,
            decline_code: None,
        }),
        timeline: Json(Vec::with_capacity(4)),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn used(held: &PromotionUse) -> FigureUse {
    FigureUse { promotion_id: held.promotion_id, campaign_id: held.campaign_id, cost: held.amount }
}

fn item(order_id: OrderId, number: u32, line: &LineView, extras: &Extras) -> OrderItem {
    OrderItem {
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
        campaign_id: line.flash_sale_id.and_then(|sale| extras.flash_campaigns.get(&sale).copied()),
    }
}
