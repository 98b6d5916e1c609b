//! Discovery service: the registry of applications and their instances, as Eureka's clients speak it.
//!
//! Instances register, renew their leases and cancel; an instance whose lease has expired is evicted. The registry is in
//! memory: after a restart a renewal answers 404, upon which clients register again. Invariants:
//!
//! - An instance is registered only by a caller who may register its application. The services of promox itself cannot be
//!   registered, changed or cancelled.
//! - The epoch changes with every change of an instance, and never repeats.
//! - While too few instances renew their leases, which looks like a fault of the network, none is evicted.
//! - Addresses that instances state are shown and never fetched.
//!
//! Not part of this service: requests to the instances, which the gateway sends.

pub mod api;
mod checks;
mod handlers;
mod jobs;
mod page;
mod registry;
mod reject;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::discovery::ListInstances;
use promox_kernel::{Cx, Error, Job, Timestamp, register};
use promox_storage::{Database, Report, Service, StoreError, TableDef, Tx};

use api::{
    Cancel, ClearOverride, GetApplication, GetApplications, GetDelta, GetInstance, GetInstanceById, GetPage,
    GetSecureVip, GetVip, OverrideStatus, Register, Renew, UpdateMetadata,
};
use registry::Registry;

pub use registry::OwnInstance;

/// Configuration of this service.
#[derive(Clone, Debug)]
pub struct DiscoverySettings {
    /// Whether anyone may register and read, for a network that admits only trusted machines.
    pub open: bool,
    /// Whether evictions stop while too few instances renew their leases.
    pub self_preservation: bool,
    /// The share of expected renewals, in per cent, at or below which evictions stop.
    pub renewal_percent: u64,
    /// Maximum registered instances.
    pub max_instances: usize,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self { open: false, self_preservation: true, renewal_percent: 85, max_instances: 10_000 }
    }
}

/// The discovery service.
#[derive(Debug)]
pub struct Discovery {
    settings: DiscoverySettings,
    registry: Mutex<Registry>,
}

impl Discovery {
    /// The service with an empty registry.
    pub fn new(settings: DiscoverySettings) -> Arc<Self> {
        let registry = Mutex::new(Registry::new(&settings));
        Arc::new(Self { settings, registry })
    }

    /// Shows the services of this process in the registry, in place of those shown before.
    pub fn announce(&self, now: Timestamp, own: &[OwnInstance]) {
        self.registry.lock().announce(now, own);
    }
}

impl Service for Discovery {
    const NAME: &'static str = "discovery";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[];

    fn register(self: &Arc<Self>, registry: &mut promox_kernel::Registry) {
        register!(registry, self;
            Register, Renew, Cancel, OverrideStatus, ClearOverride, UpdateMetadata, GetApplications, GetDelta,
            GetApplication, GetInstance, GetInstanceById, GetVip, GetSecureVip, GetPage, ListInstances);
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::jobs(self)
    }

    fn audit(&self, _: &Tx<'_>, _: &mut Report) -> Result<(), StoreError> {
        Ok(())
    }

    /// Begins the epochs of this start, which are later than those of every earlier one.
    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.registry.lock().begin(cx.now);
        Ok(())
    }
}
