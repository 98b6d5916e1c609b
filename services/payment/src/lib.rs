//! Payments: each order is charged through a provider once, and refunded once.
//!
//! Tables: `payments` (one per order), `payment_entries` (the append-only ledger of what was authorised, captured,
//! refunded and voided), `captures` (of shipped goods), `refunds`, `return_settlements` (the refund of each return),
//! `payment_cancellations` (orders that ended before they had a payment), `unpaid_orders` (orders whose checkout is to
//! be resumed), `provider_events` (processed webhooks).
//!
//! Invariants:
//! - authorised ≥ captured ≥ refunded + pending refunds ≥ 0, each the sum of its entries;
//! - a payment that is captured as goods are shipped claims an amount before the provider is asked for it, and claims
//!   never exceed what is due;
//! - every call to a provider carries an idempotency key derived from stored ids (of the order or the refund), so that
//!   a call whose answer was lost can be repeated without moving money twice;
//! - money captured after its order ended is refunded once, whatever the source and order of the provider's updates;
//! - the sandbox confirms nothing unless it is enabled;
//! - card numbers are never accepted, and a provider's token is kept only while the charge may have to be repeated.
//!
//! An order that is unpaid some seconds after `ORDER_CREATED` has its checkout resumed. This service makes no decisions
//! about orders: the order service knows which process runs a checkout, and follows `PAYMENT_CAPTURED` and the other
//! payment events.

pub mod api;
mod audit;
mod capturing;
mod charge;
mod charging;
mod checks;
mod commands;
mod events;
mod gateway;
mod handlers;
mod jobs;
mod manual;
mod queries;
mod records;
mod refunding;
mod reject;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use promox_contract::payment::{
    CancelPayment, CheckPaymentChoice, GetOrderPayment, RefreshPayment, SettleReturn, TakePayment,
};
use promox_contract::user::ExportPayments;
use promox_kernel::{Job, Registry, register};
use promox_storage::{
    Consumer, Database, Db, IdPool, Record, Report, Service, StoreError, TableDef, Tx, register_transactions,
};

use crate::api::{
    CapturePayment, ConfirmPayment, CreateRefund, GetPayment, ListMethods, ListPayments, ReceiveWebhook, VoidPayment,
};
use crate::gateway::Gateways;

/// Configuration of this service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long to wait for a provider's answer.
    pub provider_limit: Duration,
    /// Whether the sandbox accepts test cards.
    pub sandbox: bool,
    /// The secret that signs the sandbox's webhooks: `whsec_` followed by base64, or any other text. When it is empty,
    /// webhooks are rejected.
    pub sandbox_webhook_secret: String,
    /// How long the sandbox takes to answer, to simulate a slow provider.
    pub sandbox_latency: Duration,
    /// The account at Stripe, if there is one.
    pub stripe: Option<StripeSettings>,
}

/// An account at Stripe.
#[derive(Clone)]
pub struct StripeSettings {
    /// The secret key (`sk_…`) or a restricted key (`rk_…`).
    pub secret_key: String,
    /// The publishable key (`pk_…`), which is given to the storefront; empty for none.
    pub publishable_key: String,
    /// The secret that signs webhooks (`whsec_…`). When it is empty, webhooks are rejected.
    pub webhook_secret: String,
    /// The URL of the API.
    pub url: String,
}

impl std::fmt::Debug for StripeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            provider_limit: Duration::from_secs(10),
            sandbox: false,
            sandbox_webhook_secret: String::new(),
            sandbox_latency: Duration::ZERO,
            stripe: None,
        }
    }
}

/// The payment service.
#[derive(Debug)]
pub struct Payments {
    db: Db,
    provider_limit: Duration,
    gateways: Gateways,
    ids: IdPool<records::Payment>,
}

impl Payments {
    /// Creates the service on its database. The error says which setting is wrong.
    pub fn new(db: Db, settings: Settings) -> Result<Arc<Self>, String> {
        let gateways = Gateways::new(&settings)?;
        Ok(Arc::new(Self { ids: IdPool::of(&db), db, provider_limit: settings.provider_limit, gateways }))
    }
}

impl Service for Payments {
    const NAME: &'static str = "payment";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::Payment::TABLE,
        records::PaymentEntry::TABLE,
        records::Capture::TABLE,
        records::Refund::TABLE,
        records::Settlement::TABLE,
        records::Cancellation::TABLE,
        records::UnpaidOrder::TABLE,
        records::ProviderEvent::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListPayments, ListMethods, GetPayment, ConfirmPayment, CapturePayment, VoidPayment);
        register!(registry, self; CreateRefund, ReceiveWebhook);
        register_transactions!(registry, self; TakePayment);
        register!(registry, self; CheckPaymentChoice, GetOrderPayment, RefreshPayment, CancelPayment, SettleReturn);
        register!(registry, self; ExportPayments);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::FollowOrders), Arc::new(events::FollowParcels)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![
            jobs::settle_refunds(self),
            jobs::prune_events(self),
            jobs::resume_checkouts(self),
            jobs::settle_captures(self),
        ]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
