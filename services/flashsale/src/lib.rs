//! Flash sales: allocated stock sold at a special price for a limited time, optionally with a limit per buyer.
//!
//! Tables: `flash_sales`, `flash_sale_items` (one row per item, with the units taken), `flash_reservations`,
//! `flash_sale_users` (a user's units of an item with a limit), `flash_sale_purchases`.
//!
//! Invariants:
//! - 0 ≤ taken ≤ allocated; taken = active reservations + purchases; nobody exceeds the limit. A reservation is decided
//!   in its transaction from these rows alone, and answered when they are durable;
//! - the in-memory gate can refuse a reservation but never grants one. It is loaded from the rows before the node is
//!   ready, and reloaded when it may be out of date;
//! - a sale is listed only when its stock is allocated in the inventory: one pinned reservation there, `flash-sale:7`;
//! - a reservation lasts until it expires or the sale ends. An order that names it claims it, and it then stays valid
//!   even if the sale ends. If the order fails, the reservation returns to the user until it expires;
//! - each purchase and each reversal is reported to the inventory once, by a job that retries until it succeeds. When a
//!   sale is over, its unsold units return to stock, except those claimed by orders in progress, which follow when
//!   the orders are decided.
//!
//! Times are those of the node's clock. A sale starts and ends at most a quarter of a second late, unless the node is
//! down. Orders are not priced here: the order service fetches the lines of reservations and charges for them.

pub mod api;
mod audit;
mod checks;
mod commands;
mod events;
mod gates;
mod handlers;
mod jobs;
mod queries;
mod records;
mod reject;
mod reserving;
mod rules;
mod stocking;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::flashsale::{
    DescribeFlashSales, FindReferencingSale, GetReservedLines, HoldFlashReservations, ReleaseFlashReservations,
};
use promox_contract::ids::FlashSaleId;
use promox_kernel::{Cx, Error, Job, Listeners, Registry, register};
use promox_storage::{Consumer, Database, Db, GateEngine, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{
    CancelSale, CreateReservation, CreateSale, DeleteSale, FollowSale, GetSale, ListActiveSales, ListSales,
    ReleaseReservation, UpdateSale,
};
use crate::gates::Gates;

/// The flash sale service.
#[derive(Debug)]
pub struct FlashSales {
    db: Db,
    gates: Gates,
    listeners: Listeners<FlashSaleId, stream::State>,
}

impl FlashSales {
    /// Creates the service with its database and the counters of its gates in `gates`.
    pub fn new(db: Db, gates: Arc<dyn GateEngine>) -> Arc<Self> {
        let (gates, listeners) = (Gates::new(gates, "flash sale"), Listeners::at_most(stream::MAX_LISTENERS));
        Arc::new(Self { db, gates, listeners })
    }
}

impl Service for FlashSales {
    const NAME: &'static str = "flashsale";
    const DATABASE: Database = Database::Promox;
    const TABLES: &'static [&'static TableDef] = &[
        records::FlashSale::TABLE,
        records::FlashItem::TABLE,
        records::FlashHold::TABLE,
        records::UserCount::TABLE,
        records::FlashPurchase::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListSales, ListActiveSales, GetSale, CreateSale, UpdateSale, CancelSale, DeleteSale);
        register!(registry, self; CreateReservation, ReleaseReservation, FollowSale);
        register!(registry, self; DescribeFlashSales, GetReservedLines, ReleaseFlashReservations, FindReferencingSale);
        promox_storage::register_transactions!(registry, self; HoldFlashReservations);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::BuyClaims)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::all(self)
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        // Catch up with sales that were due while the node was down. If the inventory is unavailable, the jobs retry
        // later.
        while self.advance_due_sales(cx).await.unwrap_or(false) {}
        self.open_gates().await
    }
}
