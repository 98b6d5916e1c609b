//! Inventory: the stock of each variant at each location, its holds, and every movement.
//!
//! Tables: `inventory` (one row per variant, with its locations), `stock_movements` (an append-only ledger),
//! `reservations` (holds with their lines), `restocks` (references of returns, each restocked once), `set_aside_sales`
//! (orders' purchases from the allocations of flash sales, once per reference).
//!
//! Invariants:
//! - on hand = the sum of the variant's movements; reserved = the sum of active holds, at each location. Units that no
//!   other location has are at `MAIN`, so a variant is the sum of its locations;
//! - available = on hand − reserved, never below zero, except with `backorder`: the missing units are then owed to
//!   their buyers, and the next delivery settles them;
//! - a hold is all or nothing. It takes from `MAIN` first, then from the other locations by name, remembers how much it
//!   took where, and returns it there;
//! - an order's hold is pinned: it has no expiry, and only its order ends it. Other reservations expire after their
//!   TTL;
//! - an allocation to a flash sale is one pinned hold too; it shrinks by each sale from it and ends with the flash
//!   sale.
//!
//! A hold of n lines writes n stock rows and one reservation; movements are written when it is posted, in batches.
//! `STOCK_CHANGED` follows counts, adjustments and returns, and of the holds only those that empty a variant, refill it
//! or cross its threshold. Rows refer to the variant's id, which the product service finds for a current or former SKU;
//! the SKU in a stock row is a label for lists and messages, which follows the catalogue with a short delay.

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
    /// Creates the service on its database.
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
        records::AllocationPurchase::TABLE,
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
