//! Orders: quotes, the checkout saga, cancellation, parcels, returns, invoices, and the import and export of past
//! orders.
//!
//! This service owns orders with their lines, sagas, parcels, returns and credit notes. Invariants: an order's total is
//! the sum of its parts; a checkout has one saga, which one driver runs at a time; the decision of a checkout is final.

mod address;
mod api;
mod audit;
mod checkout;
mod commands;
mod events;
mod exact;
mod figures;
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
mod returning;
mod rules;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;

use std::sync::Arc;

use promox_contract::order::{
    CancelVoidedOrder, CheckOrderAccess, DescribeOrder, FindFirstPaidOrder, GetOrderStatus, GetPurchaseTotals,
    IsCartInCheckout, ListCreditFigures, ListOrderFigures, ListRunningSagas, PrepareErasure, PriceCart, ResumeCheckout,
};
use promox_contract::promotion::GetPricingTerms;
use promox_contract::store::SettingsCache;
use promox_contract::user::ExportOrders;
use promox_kernel::{Cx, Error, Job, Registry, register};
use promox_storage::{Cache, Consumer, Database, Db, IdPool, Record, Report, Service, StoreError, TableDef, Tx};

pub use address::Address;
pub use api::*;
pub use events::PaymentEvents;
pub use records::{FulfilmentId, FulfilmentStatus, ReturnId, ReturnStatus, TimelineEntry};
pub use rules::shipping::ShippingOption;

/// The order service.
#[derive(Debug)]
pub struct Orders {
    db: Db,
    ids: IdPool<records::Order>,
    settings: SettingsCache,
    quotes: pricing::Quotes,
    look_ups: throttle::LookUpThrottle,
}

impl Orders {
    /// Creates the service on its database. `limited` enables the throttle of order look-ups.
    pub fn new(db: Db, cache: Cache, limited: bool) -> Arc<Self> {
        Arc::new(Self {
            ids: IdPool::of(&db),
            db,
            settings: SettingsCache::default(),
            quotes: pricing::Quotes::new(cache.clone()),
            look_ups: throttle::LookUpThrottle::new(&cache, limited),
        })
    }
}

impl Service for Orders {
    const NAME: &'static str = "order";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::Order::TABLE,
        records::OrderItem::TABLE,
        records::Saga::TABLE,
        records::Fulfilment::TABLE,
        records::Return::TABLE,
        records::CreditNote::TABLE,
        records::LeavingBuyer::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self;
            QuoteOrder, PlaceOrder, ListOrders, LookUpOrder, GetOrder, GetTimeline, GetInvoice, CancelOrder, ShipOrder,
            DeliverFulfilment, RequestReturn, ApproveReturn, RejectReturn, ImportOrders, ExportHistory,
            PriceCart, DescribeOrder, IsCartInCheckout, CheckOrderAccess, ExportOrders, GetPurchaseTotals, FindFirstPaidOrder, PrepareErasure,
            ListOrderFigures, ListCreditFigures,
            GetPricingTerms, ListRunningSagas, ResumeCheckout, CancelVoidedOrder, GetOrderStatus,
        );
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(PaymentEvents)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::jobs(self)
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.resume_interrupted(cx).await
    }
}
