//! Order service: quote, checkout saga, cancel, parcels, returns, invoices, import of history, and the store's settings.
//!
//! It owns orders with their lines, sagas, parcels, returns, credit notes and settings. What always holds: an order's total
//! is the sum of its parts; a checkout has one saga, driven by one driver at a time; an order that is decided stays decided.

mod api;
mod audit;
mod checkout;
mod commands;
mod events;
mod exact;
mod figures;
mod guesses;
mod handlers;
mod history;
mod invoice;
mod jobs;
mod order_facts;
mod order_row;
mod pricing;
mod pricing_terms;
mod queries;
mod records;
mod reject;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use promox_contract::order::{
    CancelVoided, CreditFigures, DescribeOrder, FirstPaidOrder, OrderFigures, OwnsOrder, PrepareErasure, PriceCart,
    PurchasesOf, ResumeCheckout, StandingOfOrder, StoreProfile,
};
use promox_contract::promotion::PricingTerms;
use promox_contract::store::{PledgeAmounts, SettleAmounts, StorePayments, StoreTaxes};
use promox_contract::user::ExportOrders;
use promox_kernel::{Currency, Cx, Error, Job, Registry, register};
use promox_storage::{Cache, Consumer, Db, Record, TableDef};

pub use api::*;
pub use events::OrderNews;
pub use history::{ExportHistory, HistoryFormat, ImportOrders, OrderImportReport};
pub use records::{FulfilmentId, FulfilmentStatus, ReturnId, ReturnStatus, TimelineEntry};
pub use settings::{
    GetPayments, GetShipping, GetStore, GetTaxes, PatchPayments, PatchShipping, PatchStore, PatchTaxes, PaymentPatch,
    PaymentSettings, PutPayments, PutShipping, PutStore, PutTaxes, ShippingMethod, ShippingPatch, ShippingRate,
    ShippingSettings, StorePatch, StoreSettings, TaxPatch, TaxRate, TaxSettings, Zone,
};

/// The order service.
#[derive(Debug)]
pub struct Orders {
    db: Db,
    /// The settings of a store that has none yet.
    fresh: StoreSettings,
    settings: settings::SettingsCache,
    quotes: pricing::Quotes,
    guesses: guesses::Guesses,
}

impl Orders {
    /// Its tables.
    pub const TABLES: &'static [&'static TableDef] = &[
        records::Order::TABLE,
        records::OrderItem::TABLE,
        records::Saga::TABLE,
        records::Fulfilment::TABLE,
        records::Return::TABLE,
        records::Setting::TABLE,
        records::CreditNote::TABLE,
        records::Leaver::TABLE,
    ];

    /// The service on its database. A new store has the settings `fresh`; `limited` turns the limit on guessing on.
    pub fn new(db: Db, cache: Cache, fresh: StoreSettings, limited: bool) -> Arc<Self> {
        Arc::new(Self {
            db,
            fresh,
            settings: settings::SettingsCache::default(),
            quotes: pricing::Quotes::new(cache.clone()),
            guesses: guesses::Guesses::new(cache, limited),
        })
    }

    /// Registers its operations.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self;
            QuoteOrder, PlaceOrder, ListOrders, LookUpOrder, GetOrder, GetTimeline, GetInvoice, CancelOrder, ShipOrder,
            DeliverFulfilment, RequestReturn, ApproveReturn, RejectReturn, ImportOrders, ExportHistory,
            GetStore, PutStore, PatchStore, GetShipping, PutShipping, PatchShipping, GetTaxes, PutTaxes, PatchTaxes,
            GetPayments, PutPayments, PatchPayments,
            StoreProfile, StorePayments, StoreTaxes, PledgeAmounts, SettleAmounts, PriceCart, DescribeOrder, OwnsOrder, ExportOrders, PurchasesOf, FirstPaidOrder, PrepareErasure, OrderFigures, CreditFigures,
            PricingTerms, ResumeCheckout, CancelVoided, StandingOfOrder,
        );
    }

    /// Writes the settings of a new store: from then on they are the store's own, whatever the configuration says.
    pub async fn begin(&self, cx: &Cx) -> Result<(), Error> {
        settings::begin(&self.db, cx, &self.fresh).await
    }

    /// The store's own currency; none before [`Orders::begin`].
    pub async fn currency(&self) -> Result<Option<Currency>, Error> {
        Ok(settings::own_currency(&self.db).await?)
    }

    /// What it does on events.
    pub fn consumers(&self) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(OrderNews)]
    }

    /// What it does by the clock.
    pub fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::jobs(self)
    }
}
