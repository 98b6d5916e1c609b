//! Operation handlers: one read or one write each.

use promox_contract::inventory::{
    AllocateStock, Availability, ChangeAllocation, CountsTaken, EndAllocation, GetAvailableStock, HoldStock,
    ReleaseStock, Restock, ReturnToAllocation, SellFromAllocation, SetStock,
};
use promox_contract::product::{ResolveSkus, VariantRef};
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::{Lane, Transact, Transaction, Tx};

use crate::api::{
    AdjustStock, ConfirmReservation, CountStock, CreateReservation, GetReservation, GetStock, ListMovements, ListStock,
    MovementView, ReleaseReservation, ReservationView, StockView,
};
use crate::commands::stock::{self, Adjustment, Count};
use crate::commands::{self, allocations, holds};
use crate::{Inventory, checks, queries, rules};

/// The maximum number of items of a reservation or an allocation.
const MAX_ITEMS: usize = 1_000;

/// The maximum number of items of an order's hold or of a restock. Its writes must fit into one transaction.
const MAX_LINES: usize = 5_000;

/// The number of counts that an import writes in one transaction.
const CHUNK: usize = 200;

impl Handle<GetStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: GetStock) -> Result<StockView, Error> {
        let of = checks::variant(cx, &op.sku).await?;
        self.db.read(|tx| queries::stock(tx, of.clone())).await
    }
}

impl Handle<ListStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: ListStock) -> Result<Page<StockView>, Error> {
        let mut page = self.db.read(|tx| queries::list(tx, op.clone())).await?;
        let skus = page.items.iter().map(|stock| stock.sku.clone()).collect();
        let found = cx.call(ResolveSkus { skus }).await?.variants;
        for (stock, of) in page.items.iter_mut().zip(found) {
            stock.sku = of.map_or_else(|| stock.sku.clone(), |of| of.sku);
        }
        Ok(page)
    }
}

impl Handle<ListMovements> for Inventory {
    async fn handle(&self, cx: &Cx, op: ListMovements) -> Result<Page<MovementView>, Error> {
        let of = checks::variant(cx, &op.sku).await?;
        self.db.read(|tx| queries::movements(tx, of.variant_id, op.clone())).await
    }
}

impl Handle<CountStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: CountStock) -> Result<StockView, Error> {
        let count = Count::read(&op, checks::variant(cx, &op.sku).await?)?;
        let (locks, caller) = (commands::locks(std::iter::once(count.variant())), cx.clone());
        self.db.write_locked(cx, locks, move |tx| stock::count(tx, &caller, &count)).await
    }

    async fn check(&self, cx: &Cx, op: CountStock) -> Result<(), Error> {
        Count::read(&op, checks::variant(cx, &op.sku).await?).map(drop)
    }
}

impl Handle<AdjustStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: AdjustStock) -> Result<StockView, Error> {
        let (adjustment, caller) = (Adjustment::read(&op, checks::variant(cx, &op.sku).await?)?, cx.clone());
        self.db.answer(cx, move |tx| stock::adjust(tx, &caller, &adjustment)).await
    }

    async fn check(&self, cx: &Cx, op: AdjustStock) -> Result<(), Error> {
        Adjustment::read(&op, checks::variant(cx, &op.sku).await?).map(drop)
    }
}

impl Handle<CreateReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: CreateReservation) -> Result<ReservationView, Error> {
        let (reference, ttl) = checks::reservation(&op)?;
        let items = checks::variants(cx, &op.items).await?;
        rules::check_items(&items, MAX_ITEMS)?;
        let actor = cx.principal.name();
        let reserve = move |tx: &mut Tx<'_>| {
            let made = holds::reserve(tx, &reference, &items, ttl)?;
            holds::report(tx, (&actor, "inventory.reserve"), made)
        };
        self.db.answer(cx, reserve).await
    }

    async fn check(&self, _: &Cx, op: CreateReservation) -> Result<(), Error> {
        checks::reservation(&op).map(drop)
    }
}

impl Handle<GetReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: GetReservation) -> Result<ReservationView, Error> {
        self.db.read(|tx| queries::reservation(tx, op.id, cx.now)).await
    }
}

impl Handle<ConfirmReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ConfirmReservation) -> Result<ReservationView, Error> {
        let actor = cx.principal.name();
        let confirm = move |tx: &mut Tx<'_>| {
            let confirmed = holds::confirm(tx, op.id.0)?;
            holds::report(tx, (&actor, "inventory.confirm"), confirmed)
        };
        self.db.answer(cx, confirm).await
    }
}

impl Handle<ReleaseReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ReleaseReservation) -> Result<ReservationView, Error> {
        let actor = cx.principal.name();
        let release = move |tx: &mut Tx<'_>| {
            let released = holds::release(tx, op.id.0)?;
            holds::report(tx, (&actor, "inventory.release"), released)
        };
        self.db.answer(cx, release).await
    }
}

impl Handle<GetAvailableStock> for Inventory {
    async fn handle(&self, _cx: &Cx, op: GetAvailableStock) -> Result<Availability, Error> {
        Ok(self.db.read(|tx| queries::available(tx, &op.variants)).await?)
    }
}

impl Transact<HoldStock> for Inventory {
    async fn transaction(&self, _: &Cx, op: HoldStock) -> Result<Transaction<()>, Error> {
        // An order that buys only allocated units holds no items here.
        if !op.items.is_empty() {
            rules::check_items(&op.items, MAX_LINES)?;
        }
        let locks = commands::item_locks(&op.items);
        let hold = move |tx: &mut Tx<'_>| holds::hold(tx, holds::order_reference(op.order_id), &op.items);
        Ok(self.db.transaction(hold).locking(locks))
    }
}

impl Handle<ReleaseStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: ReleaseStock) -> Result<(), Error> {
        self.db.write(cx, move |tx| holds::release_order(tx, op.order_id)).await
    }
}

impl Handle<Restock> for Inventory {
    async fn handle(&self, cx: &Cx, op: Restock) -> Result<(), Error> {
        rules::check_items(&op.items, MAX_LINES)?;
        let skus = op.items.iter().map(|item| item.sku.clone()).collect();
        let found = cx.call(ResolveSkus { skus }).await?.variants;
        let variants: Vec<VariantRef> = found.into_iter().flatten().collect();
        let locks = commands::item_locks(&op.items);
        let restock = move |tx: &mut Tx<'_>| holds::restock(tx, &op, &variants);
        self.db.write_locked(cx, locks, restock).await
    }
}

impl Handle<SetStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: SetStock) -> Result<CountsTaken, Error> {
        let mut all = CountsTaken { refused: Vec::new(), kept: 0 };
        for chunk in op.items.chunks(CHUNK) {
            let skus = chunk.iter().map(|count| count.sku.clone()).collect();
            let found = cx.call(ResolveSkus { skus }).await?.variants;
            let mut counts = Vec::with_capacity(chunk.len());
            for (count, of) in chunk.iter().zip(found) {
                match of {
                    Some(of) => counts.push((of, count.on_hand)),
                    None => all.refused.push(count.sku.clone()),
                }
            }
            let taken = self.db.write_in(cx, Lane::Bulk, move |tx| stock::import_counts(tx, &counts)).await?;
            all.refused.extend(taken.refused);
            all.kept += taken.kept;
        }
        Ok(all)
    }
}

impl Handle<AllocateStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: AllocateStock) -> Result<(), Error> {
        rules::check_items(&op.items, MAX_ITEMS)?;
        let locks = commands::item_locks(&op.items);
        let hold = move |tx: &mut Tx<'_>| holds::hold(tx, op.reference.clone(), &op.items);
        self.db.write_locked(cx, locks, hold).await
    }
}

impl Handle<ChangeAllocation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ChangeAllocation) -> Result<(), Error> {
        rules::check_items(&op.items, MAX_ITEMS)?;
        let locks = commands::item_locks(&op.items);
        let change = move |tx: &mut Tx<'_>| allocations::change(tx, &op.reference, &op.items);
        self.db.write_locked(cx, locks, change).await
    }
}

impl Handle<SellFromAllocation> for Inventory {
    async fn handle(&self, cx: &Cx, op: SellFromAllocation) -> Result<(), Error> {
        let locks = commands::locks(op.sales.iter().flat_map(|sale| &sale.items).map(|item| item.variant_id));
        let sell = move |tx: &mut Tx<'_>| allocations::sell(tx, &op.allocation, &op.sales);
        self.db.write_locked(cx, locks, sell).await
    }
}

impl Handle<ReturnToAllocation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ReturnToAllocation) -> Result<(), Error> {
        self.db.write(cx, move |tx| allocations::return_sold(tx, &op.allocation, &op.reference)).await
    }
}

impl Handle<EndAllocation> for Inventory {
    async fn handle(&self, cx: &Cx, op: EndAllocation) -> Result<(), Error> {
        self.db.write(cx, move |tx| allocations::end(tx, &op.reference, &op.keep)).await
    }
}
