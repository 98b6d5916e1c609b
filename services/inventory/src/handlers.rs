//! Operation handlers: one read or one write each.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_contract::ids::VariantId;
use promox_contract::inventory::{
    AllocateStock, Availability, ChangeAllocation, CountsTaken, EndAllocation, GetAvailableStock, HoldStock,
    ReleaseStock, Restock, ReturnToAllocation, SellFromAllocation, SetStock, SkuQuantity, VariantQuantity,
};
use promox_contract::product::{ResolveSkus, VariantRef};
use promox_kernel::{Cx, Error, Faults, FieldError, Handle, Page, Sku, bounded};
use promox_storage::{Lane, Transact, Transaction, Tx};

use crate::api::{
    AdjustStock, ConfirmReservation, CountStock, CreateReservation, GetReservation, GetStock, ListMovements, ListStock,
    MovementView, ReleaseReservation, ReservationStatus, ReservationView, StockView,
};
use crate::commands::stock::{Adjustment, Count};
use crate::commands::{allocations, holds, stock};
use crate::records::Reservation;
use crate::{Inventory, queries, rules};

/// The maximum number of items of a reservation or an allocation.
const MAX_ITEMS: usize = 1_000;
/// The maximum number of items of an order's hold or of a restock. Its writes must fit into one transaction.
const MAX_LINES: usize = 5_000;
/// The number of counts that an import writes in one transaction.
const CHUNK: usize = 200;
/// The maximum lifetime of a reservation, in seconds: one week.
const MAX_TTL_SECONDS: u32 = 7 * 24 * 3600;

/// Prefixes of references that only promox itself uses: those of orders' holds and of allocations to flash sales.
const RESERVED_PREFIXES: [&str; 2] = ["order:", "flash-sale:"];

/// Returns the lock keys of stock rows, for engines with row locks.
fn locks(variants: impl Iterator<Item = VariantId>) -> Vec<Vec<u8>> {
    variants.map(|id| format!("stock:{id}").into_bytes()).collect()
}

fn item_locks(items: &[VariantQuantity]) -> Vec<Vec<u8>> {
    locks(items.iter().map(|item| item.variant_id))
}

/// Returns the variant that has or had this SKU.
async fn variant(cx: &Cx, sku: &Sku) -> Result<VariantRef, Error> {
    let found = cx.call(ResolveSkus { skus: vec![sku.clone()] }).await?.variants;
    found.into_iter().flatten().next().ok_or_else(|| Error::not_found("variant with this SKU"))
}

/// Resolves the SKUs of items to variants. A SKU that no product has is refused.
async fn variants(cx: &Cx, items: &[SkuQuantity]) -> Result<Vec<VariantQuantity>, Error> {
    let found = cx.call(ResolveSkus { skus: items.iter().map(|item| item.sku.clone()).collect() }).await?.variants;
    let mut faults = Faults::default();
    let mut known = Vec::with_capacity(items.len());
    for (at, (item, found)) in items.iter().zip(found).enumerate() {
        match found {
            Some(of) => {
                known.push(VariantQuantity { variant_id: of.variant_id, sku: of.sku, quantity: item.quantity });
            }
            None => faults.add(FieldError {
                pointer: format!("/items/{at}/sku"),
                code: codes::UNKNOWN_SKU.into(),
                detail: format!("no product has the SKU {}", item.sku),
            }),
        }
    }
    faults.finish().map(|()| known)
}

impl Handle<GetStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: GetStock) -> Result<StockView, Error> {
        let of = variant(cx, &op.sku).await?;
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
        let of = variant(cx, &op.sku).await?;
        self.db.read(|tx| queries::movements(tx, of.variant_id, op.clone())).await
    }
}

impl Handle<CountStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: CountStock) -> Result<StockView, Error> {
        let count = Count::read(&op, variant(cx, &op.sku).await?)?;
        let (locks, caller) = (locks(std::iter::once(count.variant())), cx.clone());
        self.db.write_locked(cx, locks, move |tx| stock::count(tx, &caller, &count)).await
    }
}

impl Handle<AdjustStock> for Inventory {
    async fn handle(&self, cx: &Cx, op: AdjustStock) -> Result<StockView, Error> {
        let (adjustment, caller) = (Adjustment::read(&op, variant(cx, &op.sku).await?)?, cx.clone());
        self.db.answer(cx, move |tx| stock::adjust(tx, &caller, &adjustment)).await
    }
}

impl Handle<CreateReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: CreateReservation) -> Result<ReservationView, Error> {
        let reference = bounded(&op.reference, 1, 100).map_err(|fault| Error::field("/reference", fault))?;
        if let Some(prefix) = RESERVED_PREFIXES.iter().find(|prefix| reference.starts_with(**prefix)) {
            return Err(Error::field(
                "/reference",
                format!("must not begin with \"{prefix}\", which is reserved for promox"),
            ));
        }
        if !(1..=MAX_TTL_SECONDS).contains(&op.ttl_seconds) {
            return Err(Error::field("/ttlSeconds", format!("must be 1 to {MAX_TTL_SECONDS} seconds")));
        }
        let items = variants(cx, &op.items).await?;
        rules::check_items(&items, MAX_ITEMS)?;
        let ttl = Duration::from_secs(op.ttl_seconds.into());
        let reserve = move |tx: &mut Tx<'_>| holds::reserve(tx, &reference, &items, ttl);
        self.answer_reservation(cx, "inventory.reserve", reserve).await
    }
}

impl Handle<GetReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: GetReservation) -> Result<ReservationView, Error> {
        self.db.read(|tx| queries::reservation(tx, op.id, cx.now)).await
    }
}

impl Handle<ConfirmReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ConfirmReservation) -> Result<ReservationView, Error> {
        self.answer_reservation(cx, "inventory.confirm", move |tx| holds::confirm(tx, op.id.0)).await
    }
}

impl Handle<ReleaseReservation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ReleaseReservation) -> Result<ReservationView, Error> {
        self.answer_reservation(cx, "inventory.release", move |tx| holds::release(tx, op.id.0)).await
    }
}

impl Inventory {
    async fn answer_reservation<F>(&self, cx: &Cx, action: &'static str, work: F) -> Result<ReservationView, Error>
    where
        F: Fn(&mut Tx<'_>) -> Result<Reservation, Error> + Send + 'static,
    {
        let actor = cx.principal.name();
        let answer = move |tx: &mut Tx<'_>| {
            let reservation = work(tx)?;
            let (id, status) = (reservation.id, ReservationStatus::of(reservation.state));
            let entry = Audited::new(actor.clone(), action, format!("reservation:{id}"), (), status);
            tx.emit(id, &entry)?;
            Ok(queries::reservation_view(tx, reservation, tx.now())?)
        };
        self.db.answer(cx, answer).await
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
        let locks = item_locks(&op.items);
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
        let locks = item_locks(&op.items);
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
        let locks = item_locks(&op.items);
        let hold = move |tx: &mut Tx<'_>| holds::hold(tx, op.reference.clone(), &op.items);
        self.db.write_locked(cx, locks, hold).await
    }
}

impl Handle<ChangeAllocation> for Inventory {
    async fn handle(&self, cx: &Cx, op: ChangeAllocation) -> Result<(), Error> {
        rules::check_items(&op.items, MAX_ITEMS)?;
        let locks = item_locks(&op.items);
        let change = move |tx: &mut Tx<'_>| allocations::change(tx, &op.reference, &op.items);
        self.db.write_locked(cx, locks, change).await
    }
}

impl Handle<SellFromAllocation> for Inventory {
    async fn handle(&self, cx: &Cx, op: SellFromAllocation) -> Result<(), Error> {
        let locks = locks(op.sales.iter().flat_map(|sale| &sale.items).map(|item| item.variant_id));
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
