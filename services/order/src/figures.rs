//! What others count: a customer's purchases, and orders and credit notes as projections and backtests read them.

use promox_contract::ids::OrderId;
use promox_contract::order::{
    CreditFigure, CreditFigureList, CreditFigures, FigureLine, OrderFigure, OrderFigureList, OrderFigures, OrderStatus,
    Purchases, PurchasesOf,
};
use promox_kernel::{Amount, Cx, Error, Handle, Timestamp};
use promox_storage::Tx;

use crate::queries::{items, net, totals};
use crate::records::{CreditNote, CreditNoteId, Order, OrderByCreated, OrderByEmail, OrderByUser, OrderItem};
use crate::rules::returns;
use crate::{Orders, tokens};

/// Orders of one answer unless said.
const FIGURES: usize = 500;
/// Rows of orders and lines that one answer reads, about.
const MOST_ROWS: usize = 15_000;
/// Orders of one customer that are counted.
const MOST_PURCHASES: usize = 10_000;

impl Handle<PurchasesOf> for Orders {
    async fn handle(&self, _: &Cx, op: PurchasesOf) -> Result<Purchases, Error> {
        self.db
            .read(|tx| {
                let orders: Vec<Order> = match (op.user_id, op.email) {
                    (Some(user), _) => tx.scan_by::<OrderByUser>().prefix(Some(user)).collect(MOST_PURCHASES)?,
                    (None, Some(email)) => tx.scan_by::<OrderByEmail>().prefix(Some(email)).collect(MOST_PURCHASES)?,
                    (None, None) => Vec::new(),
                };
                let good = |order: &&Order| !matches!(order.status, OrderStatus::Failed | OrderStatus::Cancelled);
                let (count, total) =
                    orders.iter().filter(good).fold((0, Amount::ZERO), |(n, sum), o| (n + 1, sum + o.total));
                Ok(Purchases { count, total })
            })
            .await
    }
}

impl Handle<OrderFigures> for Orders {
    async fn handle(&self, _: &Cx, op: OrderFigures) -> Result<OrderFigureList, Error> {
        self.db.read(|tx| if op.ids.is_empty() { by_time(tx, &op) } else { by_id(tx, &op.ids) }).await
    }
}

fn by_id(tx: &Tx<'_>, ids: &[OrderId]) -> Result<OrderFigureList, Error> {
    let mut list = OrderFigureList::default();
    for id in ids {
        if let Some(order) = tx.get::<Order>(id)? {
            list.items.push(figure(tx, order)?);
        }
    }
    Ok(list)
}

fn by_time(tx: &Tx<'_>, op: &OrderFigures) -> Result<OrderFigureList, Error> {
    let from = op.from.unwrap_or(Timestamp(i64::MIN));
    let scan = tx.scan_by::<OrderByCreated>();
    let scan = match op.after {
        Some((at, id)) => scan.from((at, OrderId(id.0 + 1))),
        None => scan.from(from),
    };
    let scan = match op.to {
        Some(to) => scan.before(to),
        None => scan,
    };
    let (mut list, mut rows) = (OrderFigureList::default(), 0);
    for order in scan.rows().take(op.limit.unwrap_or(FIGURES)) {
        let figure = figure(tx, order?)?;
        rows += figure.lines.len() + 1;
        list.items.push(figure);
        if rows >= MOST_ROWS {
            break;
        }
    }
    Ok(list)
}

fn figure(tx: &Tx<'_>, order: Order) -> Result<OrderFigure, Error> {
    let lines = items(tx, order.id)?.into_iter().map(|item| line(&order, item)).collect();
    Ok(OrderFigure {
        id: order.id,
        status: order.status,
        user_id: order.user_id,
        customer: customer(&order),
        currency: order.currency,
        prices_include_tax: order.prices_include_tax,
        lines,
        totals: totals(&order),
        applied: order.details.0.applied,
        returned: order.returned_net,
        imported: order.imported,
        placed_at: order.created_at,
    })
}

fn line(order: &Order, item: OrderItem) -> FigureLine {
    let returned_net = returns::share(net(order, &item), item.quantity, 0, item.returned, order.currency);
    FigureLine {
        returned: item.returned,
        returned_net,
        sku: item.sku,
        product_id: item.product_id,
        name: item.name,
        quantity: item.quantity,
        unit_price: item.unit_price,
        list_price: item.list_price,
        subtotal: item.subtotal,
        discount: item.discount,
        tax: item.tax,
        flash_sale_id: item.flash_sale_id,
        campaign_id: item.campaign_id,
    }
}

/// Names the customer without naming the person.
fn customer(order: &Order) -> String {
    let imported = order.details.attributes.get("customer").map(|number| format!("customer:{number}"));
    let account = order.user_id.map(|user| format!("user:{user}"));
    let guest = || order.email.as_ref().map(|email| format!("guest:{}", tokens::digest_hex(&email.normal())));
    account
        .or_else(|| imported.filter(|_| order.imported))
        .or_else(guest)
        .unwrap_or_else(|| format!("order:{}", order.id))
}

impl Handle<CreditFigures> for Orders {
    async fn handle(&self, _: &Cx, op: CreditFigures) -> Result<CreditFigureList, Error> {
        self.db
            .read(|tx| {
                let notes = tx.scan::<CreditNote>().from(CreditNoteId(op.after.saturating_add(1))).collect(op.limit)?;
                let figure =
                    |note: CreditNote| CreditFigure { id: note.id.0, total: note.total, issued_at: note.issued_at };
                Ok(CreditFigureList { items: notes.into_iter().map(figure).collect() })
            })
            .await
    }
}
