//! The rows of a pending and of a confirmed order, prepared outside of the transactions that write them: a single
//! thread runs all transactions, so work inside them delays every other order.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::{FigureUse, OrderConfirmed, OrderCreated, OrderStatus};
use promox_contract::order_line::OrderLine;
use promox_contract::payment::PaymentOutcome;
use promox_contract::promotion::PromotionUse;
use promox_kernel::{EncodedJson, Error, Json, Reply as _, Response, Timestamp};
use promox_storage::Prepared;

use crate::api::OrderView;
use crate::checkout::draft::{Draft, NewOrder, StoredClaim};
use crate::order_row::{fact, note, note_payment};
use crate::records::{Order, OrderDetails, OrderItem};
use crate::rules::states;
use crate::{queries, reject, tokens};

/// The rows of a PENDING order.
pub(crate) struct PendingRows {
    order: Order,
    items: Vec<OrderItem>,
    pub(crate) order_row: Prepared<Order>,
    pub(crate) item_rows: Vec<Prepared<OrderItem>>,
    pub(crate) created: OrderCreated,
    /// The state of the saga once these rows are written.
    pub(crate) draft_after: EncodedJson<Draft>,
    claim: Option<StoredClaim>,
    token: Option<String>,
}

impl PendingRows {
    /// Prepares the rows of a draft's order.
    pub(crate) fn of(draft: &Draft, id: OrderId, now: Timestamp) -> Result<Self, Error> {
        let Some(new) = draft.order.as_deref() else { return Err(Error::internal("a saga without its order")) };
        let lines = (0..).zip(&new.priced.lines);
        let campaigns = &new.entitlements.flash_campaigns;
        let campaign = |line: &OrderLine| line.flash_sale_id.and_then(|sale| campaigns.get(&sale).copied());
        let items: Vec<_> = lines.map(|(number, line)| OrderItem::of(id, number, line, campaign(line))).collect();
        let mut order = pending_order(now, id, new.clone(), draft);
        note(&mut order, now, "HOLD", "DONE", "Stock is held.", &draft.actor)?;
        note(&mut order, now, "CREATE", "DONE", "The order awaits its payment.", &draft.actor)?;
        Ok(Self {
            order_row: Prepared::of(&order),
            item_rows: items.iter().map(Prepared::of).collect(),
            created: OrderCreated(fact(&order)),
            draft_after: EncodedJson::encode(&draft.without_order())?,
            claim: draft.claim.clone(),
            token: draft.token.clone(),
            order,
            items,
        })
    }

    /// The id of the order.
    pub(crate) fn id(&self) -> OrderId {
        self.order.id
    }
}

/// The rows of an order once it is CONFIRMED, and the reply to its request.
pub(crate) struct ConfirmedRows {
    pub(crate) order_row: Prepared<Order>,
    pub(crate) event: OrderConfirmed,
    pub(crate) answer: OrderView,
    /// The request's idempotency key and the reply to store under it.
    pub(crate) stored: Option<(StoredClaim, Response)>,
}

impl ConfirmedRows {
    /// Prepares the rows of a pending order that is confirmed now. `paid` is its successful payment; `None` if nothing
    /// is due.
    pub(crate) fn of(pending: &PendingRows, paid: Option<&PaymentOutcome>, now: Timestamp) -> Result<Self, Error> {
        let mut order = pending.order.clone();
        become_confirmed(&mut order, paid, now)?;
        let (order_row, event) = (Prepared::of(&order), OrderConfirmed(fact(&order)));
        let mut answer = queries::view_of_rows(order, pending.items.clone());
        answer.order_token.clone_from(&pending.token);
        let stored = match &pending.claim {
            Some(claim) => answer.stored_response(claim.status())?.map(|response| (claim.clone(), response)),
            None => None,
        };
        Ok(Self { order_row, event, answer, stored })
    }
}

/// Sets an order to CONFIRMED; 409 `INVALID_STATE` if its status does not allow it.
pub(crate) fn become_confirmed(order: &mut Order, paid: Option<&PaymentOutcome>, now: Timestamp) -> Result<(), Error> {
    if !states::may_follow(order.status, OrderStatus::Confirmed) {
        return Err(reject::state(codes::INVALID_STATE, "The order can no longer be confirmed.", order.status));
    }
    note_payment(order, paid);
    if let Some(paid) = paid {
        let detail = format!("Payment {} is {}.", paid.id, paid.status);
        note(order, now, "TAKE_PAYMENT", "DONE", &detail, "system")?;
    }
    order.status = OrderStatus::Confirmed;
    note(order, now, "CONFIRM", "DONE", "The order is confirmed.", "system")?;
    order.version += 1;
    order.updated_at = now;
    Ok(())
}

/// The row of a draft's order when it is PENDING.
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
            uses: new.entitlements.uses.iter().map(figure_use).collect(),
            rejected: new.priced.rejected,
            points_multiplier: new.entitlements.points_multiplier,
            customer: None,
            decline_code: None,
            languages: new.languages,
            capture_at: draft.capture_at,
            hooks: new.priced.hooks,
        }),
        timeline: EncodedJson::default(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// The use of a promotion as figures count it.
fn figure_use(held: &PromotionUse) -> FigureUse {
    FigureUse { promotion_id: held.promotion_id, campaign_id: held.campaign_id, cost: held.amount }
}
