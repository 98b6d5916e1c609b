//! Flash sales: stock set aside, sold fast at a price of its own, a few to each buyer.
//!
//! Tables: `flash_sales`, `flash_sale_items` (one row an item, with what is taken of it), `flash_reservations`,
//! `flash_sale_users` (what a user has of an item with a limit), `flash_sale_purchases`.
//!
//! What always holds:
//! - 0 ≤ taken ≤ set aside; taken = live reservations + purchases; nobody has more than the limit. A reservation is decided
//!   in its transaction, by these rows alone, and answered when they are durable;
//! - the gate in memory says no and never yes. It is read from the rows before the node is ready, and again when in doubt;
//! - a sale is shown only when its stock is set aside in the inventory: one pinned reservation there, `flash-sale:7`;
//! - a reservation lasts until its time is up or the sale ends, whichever is first. Named in an order it is the order's, and
//!   good even if the sale ends. When the order fails, it is the user's again for what is left of its time;
//! - the inventory hears of each purchase once, and of each that is undone once, by a job that asks until it is done. When
//!   a sale is over, all but what orders on their way have claimed goes back into stock, and the rest when they are decided.
//!
//! Times are the node's clock's: a sale moves at most a quarter of a second late, and over what passed while the node was
//! down. Deliberately absent: prices of orders; the order service asks for the lines of reservations and charges them.

pub mod api;
mod audit;
mod commands;
mod events;
mod gates;
mod handlers;
mod jobs;
mod queries;
mod records;
mod reject;
mod rules;
mod stocking;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::flashsale::{
    DescribeFlashSales, FindReferencingSale, GetReservedLines, HoldFlashPieces, ReleaseFlashPieces,
};
use promox_contract::ids::FlashSaleId;
use promox_kernel::{Cx, Error, Job, Listeners, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

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
    /// The service on its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db, gates: Gates::default(), listeners: Listeners::at_most(stream::MOST_LISTENERS) })
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
        register!(registry, self; DescribeFlashSales, GetReservedLines, ReleaseFlashPieces, FindReferencingSale);
        promox_storage::register_transactions!(registry, self; HoldFlashPieces);
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
        // Sales move over the time that the node was down. What cannot be settled with the inventory now is left to the jobs.
        while self.turn(cx).await.unwrap_or(false) {}
        self.open_gates().await
    }
}
