//! Inventory: the stock of each variant at each location, its holds, and every movement.
//!
//! Tables: `inventory` (one row per variant, with its locations), `stock_movements` (an append-only ledger),
//! `reservations` (holds with their lines), `restocks` (the references of returns that were restocked),
//! `set_aside_sales` (orders' purchases from the allocations of flash sales).
//!
//! Invariants:
//! - on hand = the sum of a variant's movements, and reserved = the sum of its active holds, both at each location.
//!   Units that are not at another location are at `MAIN`, so a variant's stock is the sum of its locations;
//! - available = on hand − reserved. It is never below zero, except with `backorder`: then the missing units are owed
//!   to buyers until stock arrives;
//! - a hold takes all of its units or none: from `MAIN` first, then from the other locations by name. It records how
//!   many units it took from each location, and they are returned there;
//! - an order's hold does not expire; only its order ends it. Other reservations expire after their TTL;
//! - an allocation to a flash sale is also one hold without expiry. Each purchase from it reduces it, and it ends with
//!   the flash sale.
//!
//! A hold of n lines writes n stock rows and one reservation; its movements are written when it is posted, in batches.
//! `STOCK_CHANGED` is emitted for counts, adjustments and returns, but for a hold only if it sells a variant out, makes
//! it available again, or crosses its low-stock threshold. Rows refer to the variant's id, which the product service
//! resolves from a current or former SKU. The SKU in a stock row is for lists and messages; it is updated shortly after
//! the product changes.

pub mod api;
mod audit;
mod checks;
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
    /// Creates the service with its database.
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
