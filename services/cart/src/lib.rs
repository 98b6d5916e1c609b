//! Carts: one per user, and guest carts identified by a token.
//!
//! A cart stores variants, so it survives a change of their SKUs, and quantities, but no prices: every view is priced
//! by the order service, so that a cart and the order placed from it cannot disagree. A cart does not reserve stock;
//! the checkout does.
//!
//! Invariants, checked by [`Service::audit`]: a user has one cart; a merge conserves quantities; a cart's contents are
//! ordered once; every line has 1 to 9999 units.
//!
//! Anyone can name an address to be reminded. So an address is reminded of one cart in seven days, whichever carts name it,
//! and a network address can agree to few reminders an hour.

pub mod api;
mod audit;
mod commands;
mod editing;
mod events;
mod handlers;
mod jobs;
mod merge;
mod queries;
mod records;
mod reject;
mod rules;
mod throttle;
mod views;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::cart::{CheckCart, EmptyCart, GetCartForCheckout, MergeGuestCart, PrepareCartReminder};
use promox_contract::user::ExportCarts;
use promox_kernel::{Job, Registry, register};
use promox_storage::{Cache, Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{
    AddItem, ChangeItem, CreateCart, DeleteCart, DeleteReminder, GetCart, MergeCart, RemoveItem, SetCodes, SetReminder,
};

/// The cart service.
#[derive(Debug)]
pub struct Carts {
    db: Db,
    reminders: throttle::ReminderThrottle,
}

impl Carts {
    /// Creates the service on its database. `limits` says whether the agreements to reminders from a network address are
    /// limited.
    pub fn new(db: Db, cache: &Cache, limits: bool) -> Arc<Self> {
        Arc::new(Self { db, reminders: throttle::ReminderThrottle::new(cache, limits) })
    }
}

impl Service for Carts {
    const NAME: &'static str = "cart";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::Cart::TABLE,
        records::CartItem::TABLE,
        records::CartMerge::TABLE,
        records::CartOrder::TABLE,
        records::RemindedAddress::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; CreateCart, GetCart, DeleteCart, AddItem, ChangeItem, RemoveItem, SetCodes, MergeCart);
        register!(registry, self; SetReminder, DeleteReminder, PrepareCartReminder);
        register!(registry, self; GetCartForCheckout, MergeGuestCart, ExportCarts);
        promox_storage::register_transactions!(registry, self; CheckCart, EmptyCart);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::EraseUser)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::report_abandoned(self), jobs::expire_guests(self), jobs::forget_reminded(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
