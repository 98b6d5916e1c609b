//! The store service: the store's name, currency and time zone, and its shipping, taxes and payment methods.
//!
//! It owns the settings, in four groups, the hooks ([`hooks`]), and the lock that fixes the currency. Its invariants
//! are:
//!
//! - A new store's settings are written once, before anything else.
//! - Each change applies to the version that it names.
//! - The currency never changes once a service has stored an amount in it.

mod api;
mod audit;
mod checks;
mod commands;
mod handlers;
pub mod hooks;
mod queries;
mod records;
mod reject;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::hook::AskHook;
use promox_contract::store::{
    GetCurrentSettings, GetStoreProfile, GetStoreTaxes, ListEnabledPaymentMethods, LockCurrency, SettleCurrencyLock,
};
use promox_kernel::{Currency, Cx, Error, Registry, register};
use promox_storage::{Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
use hooks::api::{CreateHook, DeleteHook, GetHook, ListHooks, TestHook, UpdateHook};
use hooks::{HookSettings, Hooks};
pub use rules::MAX_NAME_LEN;

/// The store service.
#[derive(Debug)]
pub struct Store {
    db: Db,
    /// The initial settings of a new store.
    initial: StoreSettings,
    settings: queries::CachedSettings,
    hooks: Hooks,
}

impl Store {
    /// The service on its database. A new store starts with the `initial` settings. Fails if TLS cannot be set up.
    pub fn new(db: Db, initial: StoreSettings, hooks: HookSettings) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self { db, initial, settings: queries::CachedSettings::default(), hooks: Hooks::new(hooks)? }))
    }

    /// Writes the settings of a new store. From then on the stored settings apply and the configuration is ignored.
    /// Nothing else may use the store yet.
    pub async fn begin(&self, cx: &Cx) -> Result<(), Error> {
        commands::settings::begin(&self.db, cx, &self.initial).await
    }

    /// The store's currency; `None` before [`Store::begin`].
    pub async fn currency(&self) -> Result<Option<Currency>, Error> {
        Ok(queries::stored_currency(&self.db).await?)
    }
}

impl Service for Store {
    const NAME: &'static str = "store";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[records::Setting::TABLE, hooks::records::Hook::TABLE];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self;
            GetStore, PutStore, PatchStore, GetShipping, PutShipping, PatchShipping, GetTaxes, PutTaxes, PatchTaxes,
            GetPayments, PutPayments, PatchPayments,
            ListHooks, GetHook, CreateHook, UpdateHook, DeleteHook, TestHook, AskHook,
            GetStoreProfile, ListEnabledPaymentMethods, GetStoreTaxes, GetCurrentSettings, LockCurrency, SettleCurrencyLock,
        );
        registry.declare_outgoing(hooks::questions());
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(self, tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.begin(cx).await
    }
}
