//! Reads: single orders, lists, look-ups, and descriptions for other services.

use promox_contract::ids::OrderId;
use promox_contract::order::{OrderDescription, OrderStatus, Totals};
use promox_kernel::{Cursor, Cx, Email, Error, Limit, Locale, Page, Principal, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::{FulfilmentView, ListOrders, OrderPayment, OrderView, ReturnView};
use crate::records::{
    Fulfilment, FulfilmentByOrder, Order, OrderByCreated, OrderByMailbox, OrderByNumber, OrderByStatus, OrderByUser,
    OrderItem, Return, ReturnByOrder, Saga, SagaStep,
};
use crate::tokens;

/// Maximum parcels, and maximum returns, in the view of an order.
const MAX_SHOWN: usize = 500;

/// The order with an id, if the caller owns it, sent its token or has the permission; otherwise 404.
pub(crate) fn visible(tx: &Tx<'_>, cx: &Cx, id: OrderId, permission: &str) -> Result<Order, Error> {
    let absent = || Error::not_found("order");
    let order = tx.get::<Order>(&id)?.ok_or_else(absent)?;
    if owns(cx, &order) || cx.principal.allows(permission) { Ok(order) } else { Err(absent()) }
}

/// Whether the caller owns an order, by account or by token.
pub(crate) fn owns(cx: &Cx, order: &Order) -> bool {
    let by_account = order.user_id.is_some() && order.user_id == cx.principal.user();
    let by_token = cx.order_token.as_deref().map(tokens::hash);
    by_account || (by_token.is_some() && by_token == order.token_hash)
}

/// When a checkout that is taking its payment can be resumed by another driver; `None` if it is not taking its payment.
pub(crate) fn payment_due(tx: &Tx<'_>, id: OrderId) -> Result<Option<Timestamp>, Error> {
    let paying = |saga: &Saga| saga.step == SagaStep::Paying;
    Ok(tx.get::<Saga>(&id)?.filter(paying).map(|saga| saga.due_at))
}

/// The view of an order with its lines, parcels and returns.
pub(crate) fn view(tx: &Tx<'_>, order: Order) -> Result<OrderView, Error> {
    let items = items(tx, order.id)?;
    let was_confirmed = !matches!(order.status, OrderStatus::Pending | OrderStatus::Failed);
    let mut view = view_of_rows(order, items);
    if was_confirmed {
        (view.fulfilments, view.returns) = parts(tx, view.id)?;
    }
    Ok(view)
}

/// The view of an order without parcels and returns.
pub(crate) fn view_of_rows(order: Order, items: Vec<OrderItem>) -> OrderView {
    let payment = order.payment_id.zip(order.payment_status);
    let totals = totals(&order);
    let details = order.details.0;
    OrderView {
        id: order.id,
        number: order.number,
        status: order.status,
        user_id: order.user_id,
        email: order.email,
        currency: order.currency,
        prices_include_tax: order.prices_include_tax,
        lines: items.into_iter().map(OrderItem::into_line).collect(),
        applied_promotions: details.applied,
        rejected_promotions: details.rejected,
        totals,
        payment: payment.map(|(id, status)| OrderPayment { id, status, action: None }),
        points_earned: order.points_earned,
        shipping_address: details.shipping_address,
        billing_address: details.billing_address,
        shipping_method: details.shipping_method,
        channel: details.channel,
        note: details.note,
        attributes: details.attributes,
        fulfilments: Vec::new(),
        returns: Vec::new(),
        order_token: None,
        hooks: details.hooks,
        imported: order.imported,
        created_at: order.created_at,
        updated_at: order.updated_at,
        version: order.version,
        undecided: false,
    }
}

/// The parcels and returns of an order, oldest first.
fn parts(tx: &Tx<'_>, id: OrderId) -> Result<(Vec<FulfilmentView>, Vec<ReturnView>), StoreError> {
    let mut fulfilments = tx.scan_by::<FulfilmentByOrder>().prefix(id).collect(MAX_SHOWN)?;
    fulfilments.sort_by_key(|row| (row.shipped_at, row.id));
    let mut returns = tx.scan_by::<ReturnByOrder>().prefix(id).collect(MAX_SHOWN)?;
    returns.sort_by_key(|row| (row.created_at, row.id));
    Ok((fulfilments.into_iter().map(fulfilment_view).collect(), returns.into_iter().map(return_view).collect()))
}

/// An order's totals.
pub(crate) fn totals(order: &Order) -> Totals {
    Totals {
        subtotal: order.subtotal,
        discount: order.discount,
        shipping: order.shipping,
        shipping_discount: order.shipping_discount,
        tax: order.tax,
        points_redeemed: order.points_redeemed,
        points_value: order.points_value,
        total: order.total,
    }
}

/// An order's lines, in order.
pub(crate) fn items(tx: &Tx<'_>, id: OrderId) -> Result<Vec<OrderItem>, StoreError> {
    tx.scan::<OrderItem>().prefix(id).rows().collect()
}

/// The view of a parcel.
pub(crate) fn fulfilment_view(row: Fulfilment) -> FulfilmentView {
    FulfilmentView {
        id: row.id,
        order_id: row.order_id,
        status: row.status,
        carrier: row.carrier,
        tracking_number: row.tracking_number,
        items: row.items.0,
        shipped_at: row.shipped_at,
        delivered_at: row.delivered_at,
    }
}

/// The view of a return.
pub(crate) fn return_view(row: Return) -> ReturnView {
    // Without an approval nothing is voided, so this is zero with the currency's digits.
    let (approval, zero) = (row.approval.0, row.voided);
    ReturnView {
        shipping_refund: approval.as_ref().map_or(zero, |approval| approval.shipping_refund),
        fee: approval.as_ref().map_or(zero, |approval| approval.fee),
        voided: row.voided,
        id: row.id,
        order_id: row.order_id,
        status: row.status,
        items: row.items.0,
        reason: row.reason,
        refund: row.refund,
        points: row.points,
        restock: row.restock,
        created_at: row.created_at,
        decided_at: row.decided_at,
    }
}

/// The filter of a list, restricted to what the caller may see.
struct ListFilter {
    user_id: Option<UserId>,
    status: Option<OrderStatus>,
    from: Timestamp,
    to: Timestamp,
    q: Option<String>,
    limit: Limit,
    cursor: Option<Cursor>,
}

/// A page of orders, newest first.
pub(crate) fn list(tx: &Tx<'_>, cx: &Cx, op: ListOrders) -> Result<Page<OrderView>, Error> {
    if op.from.zip(op.to).is_some_and(|(from, to)| from > to) {
        return Err(Error::field("?to", "must not be before `from`"));
    }
    let sees_all = cx.principal.allows("order:read");
    let own = match &cx.principal {
        Principal::User { id, .. } if !sees_all => Some(*id),
        _ => op.user_id,
    };
    if !sees_all && op.user_id.is_some() && op.user_id != own {
        return Ok(Page::new(Vec::new(), None));
    }
    let filter = ListFilter {
        user_id: own,
        status: op.status,
        from: op.from.unwrap_or(Timestamp(i64::MIN)),
        to: op.to.unwrap_or(Timestamp(i64::MAX)),
        q: op.q.map(|q| q.trim().to_owned()).filter(|q| !q.is_empty()),
        limit: op.limit,
        cursor: op.cursor,
    };
    page(tx, filter)?.try_map(|order| view(tx, order))
}

/// A page of orders that match a filter, newest first, found by the most selective index.
fn page(tx: &Tx<'_>, filter: ListFilter) -> Result<Page<Order>, Error> {
    let ListFilter { user_id, status, from, to, q, limit, cursor } = filter;
    let keep = move |order: &Order| {
        user_id.is_none_or(|id| order.user_id == Some(id)) && status.is_none_or(|status| order.status == status)
    };
    if let Some(q) = q {
        if let Ok(email) = q.parse::<Email>() {
            let of_mailbox = tx.scan_by::<OrderByMailbox>().prefix(Some(email.mailbox())).from(from).before(to);
            let normal = email.normal();
            let has_address = |order: &Order| order.email.as_ref().is_some_and(|known| known.normal() == normal);
            return of_mailbox.backward().page_of(limit, cursor, |order| keep(order) && has_address(order));
        }
        let by_number = tx.get_by::<OrderByNumber>(q.to_uppercase())?;
        let matching = by_number.filter(|order| keep(order) && order.created_at >= from && order.created_at < to);
        return Ok(Page::new(matching.into_iter().collect(), None));
    }
    match (user_id, status) {
        (Some(user), _) => {
            tx.scan_by::<OrderByUser>().prefix(Some(user)).from(from).before(to).backward().page_of(limit, cursor, keep)
        }
        (None, Some(status)) => {
            tx.scan_by::<OrderByStatus>().prefix(status).from(from).before(to).backward().page_of(limit, cursor, keep)
        }
        (None, None) => tx.scan_by::<OrderByCreated>().from(from).before(to).backward().page_of(limit, cursor, keep),
    }
}

/// An order by its number and e-mail address; 404 unless both match.
pub(crate) fn look_up(tx: &Tx<'_>, number: &str, email: &Email) -> Result<OrderView, Error> {
    let by_number = tx.get_by::<OrderByNumber>(number.trim().to_uppercase())?;
    let matching = by_number.filter(|order| order.email.as_ref().is_some_and(|known| known.normal() == email.normal()));
    view(tx, matching.ok_or_else(|| Error::not_found("order"))?)
}

/// Whether the payment service has not decided the refund of an approved return of an order yet.
pub(crate) fn any_settling(tx: &Tx<'_>, id: OrderId) -> Result<bool, Error> {
    for row in tx.scan_by::<ReturnByOrder>().prefix(id).rows() {
        if row?.is_settling() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The languages that the buyer's browser accepted, the preferred ones first.
pub(crate) fn languages(tx: &Tx<'_>, id: OrderId) -> Result<Vec<Locale>, StoreError> {
    Ok(tx.get::<Order>(&id)?.map(|order| order.details.0.languages).unwrap_or_default())
}

/// The description of an order for messages, with the tracking of its latest parcel.
pub(crate) fn describe(tx: &Tx<'_>, id: OrderId) -> Result<OrderDescription, Error> {
    let order = tx.get::<Order>(&id)?.ok_or_else(|| Error::not_found("order"))?;
    let lines = items(tx, id)?.into_iter().map(OrderItem::into_line).collect();
    let parcels = tx.scan_by::<FulfilmentByOrder>().prefix(id).collect(MAX_SHOWN)?;
    let parcel = parcels.into_iter().max_by_key(|row| (row.shipped_at, row.id));
    let totals = totals(&order);
    Ok(OrderDescription {
        id: order.id,
        number: order.number,
        status: order.status,
        user_id: order.user_id,
        email: order.email,
        languages: order.details.0.languages,
        name: order.details.0.shipping_address.map(|address| address.name),
        currency: order.currency,
        prices_include_tax: order.prices_include_tax,
        lines,
        totals,
        created_at: order.created_at,
        tracking: parcel.map(|parcel| (parcel.carrier, parcel.tracking_number)),
        payment_method: order.details.0.payment_method,
    })
}
