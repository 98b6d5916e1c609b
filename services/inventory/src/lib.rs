//! Inventory: how much of each variant there is and where, what is promised to whom, and every movement.
//!
//! Tables: `inventory` (one row a variant, its locations in it), `stock_movements` (a ledger, append-only), `reservations`
//! (holds with their lines), `restocks` (references that came back once), `set_aside_sales` (what orders bought of pieces
//! that were set aside for a sale, once a reference).
//!
//! What always holds:
//! - on hand = the sum of the variant's movements; reserved = the sum of live holds, at each location; what is not written down
//!   as lying elsewhere lies at `MAIN`, so a variant is the sum of its locations;
//! - available = on hand − reserved, never below zero. One with `backorder` may go below: what is then missing is owed
//!   to its buyers, and the next delivery pays it off;
//! - a hold is all or nothing. It takes from `MAIN` first, then from the other locations by name, remembers what it took
//!   where, and gives it back exactly there;
//! - an order's hold is pinned: it has no expiry, and only its order ends it. Other reservations lapse at their TTL.
//! - what is set aside for a sale is one pinned hold too; it shrinks by what is sold from it, and ends with the sale.
//!
//! A hold of n lines writes n stock rows and one reservation; movements are written when it is confirmed, in batches.
//! `STOCK_CHANGED` follows counts, adjustments and returns, and of the holds only those that empty a variant, refill it or
//! cross its threshold. Everything hangs on the variant's id, which the product service finds for a SKU, present or former;
//! the SKU in a stock's row is a label for lists and messages, which follows the catalogue a moment later.

pub mod api;
mod audit;
mod commands;
mod events;
mod handlers;
mod jobs;
mod queries;
mod records;
mod reject;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::inventory::{
    AllocateStock, ChangeAllocation, EndAllocation, GetAvailableStock, HoldStock, ReleaseStock, Restock,
    ReturnToAllocation, SellFromAllocation, SetStock,
};
use promox_kernel::{Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{
    AdjustStock, ConfirmReservation, CountStock, CreateReservation, GetReservation, GetStock, ListMovements, ListStock,
    ReleaseReservation,
};

/// The inventory service.
#[derive(Debug)]
pub struct Inventory {
    db: Db,
}

impl Inventory {
    /// The service on its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db })
    }
}

impl Service for Inventory {
    const NAME: &'static str = "inventory";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::Stock::TABLE,
        records::Movement::TABLE,
        records::Reservation::TABLE,
        records::Restocked::TABLE,
        records::AsideSale::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; GetStock, ListStock, CountStock, AdjustStock, ListMovements);
        register!(registry, self; CreateReservation, GetReservation, ConfirmReservation, ReleaseReservation);
        register!(registry, self; GetAvailableStock, ReleaseStock, Restock, SetStock);
        promox_storage::register_transactions!(registry, self; HoldStock);
        register!(registry, self; AllocateStock, ChangeAllocation, SellFromAllocation, ReturnToAllocation, EndAllocation);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::PostHolds), Arc::new(events::FollowSkus)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::expire_holds(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
