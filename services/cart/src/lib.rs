//! Carts: a guest's by token, one a user; what a shopper means to buy, with the prices of the engine that charges.
//!
//! A cart holds variants and quantities, whatever their SKUs become, and never a price: every view asks the order service, so a cart and the order made from
//! it cannot disagree. What always holds, and is checked by [`Service::audit`]: a user has one cart; a merge conserves
//! quantities; one order a cart's contents; no line is outside 1..=9999. Stock is not held by a cart: the checkout holds it.

pub mod api;
mod audit;
mod commands;
mod events;
mod handlers;
mod jobs;
mod merge;
mod queries;
mod records;
mod reject;
mod rules;
mod views;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::cart::{EmptyCart, GetCartForCheckout, MergeGuestCart};
use promox_contract::user::ExportCarts;
use promox_kernel::{Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{AddItem, ChangeItem, CreateCart, DeleteCart, GetCart, MergeCart, RemoveItem, SetCodes};

/// The cart service.
#[derive(Debug)]
pub struct Carts {
    db: Db,
}

impl Carts {
    /// The service on its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db })
    }
}

impl Service for Carts {
    const NAME: &'static str = "cart";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] =
        &[records::Cart::TABLE, records::CartItem::TABLE, records::CartMerge::TABLE, records::CartOrder::TABLE];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; CreateCart, GetCart, DeleteCart, AddItem, ChangeItem, RemoveItem, SetCodes, MergeCart);
        register!(registry, self; GetCartForCheckout, EmptyCart, MergeGuestCart, ExportCarts);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::EraseUser)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::tell_abandoned(self), jobs::expire_guests(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
