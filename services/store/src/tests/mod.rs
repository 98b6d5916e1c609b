//! Tests of the store service on the memory engine.

mod currency;
mod settings;

use promox_testkit::{Harness, Setup};

use crate::hooks::HookSettings;
use crate::{Store, StoreSettings};

/// A node with the store service only.
fn open() -> Harness<Store> {
    Setup::at("2027-01-15T08:00:00Z").start(|databases| {
        Store::new(databases.ecommerce.clone(), StoreSettings::default(), HookSettings::default()).unwrap()
    })
}
