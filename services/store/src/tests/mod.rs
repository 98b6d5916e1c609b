//! The store service's transactions on the memory engine.

mod currency;
mod settings;

use promox_testkit::{Harness, Setup};

use crate::{Store, StoreSettings};

/// A node with nothing but the store service.
fn open() -> Harness<Store> {
    Setup::at("2027-01-15T08:00:00Z")
        .start(|databases| Store::new(databases.ecommerce.clone(), StoreSettings::default()))
}
