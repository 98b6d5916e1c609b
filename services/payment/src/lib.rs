//! Payment: charges an order through a provider, once, and refunds it, once.
//!
//! Tables: `payments` (one per order), `payment_entries` (the append-only ledger of what was authorised, captured,
//! refunded and voided), `refunds`, `return_settlements` (the refund of each return), `payment_cancellations` (orders
//! that ended before they had a payment), `unpaid_orders` (orders to resume), `provider_events` (processed webhooks).
//!
//! Invariants:
//! - authorised ≥ captured ≥ refunded + pending refunds ≥ 0, each the sum of its entries;
//! - every call to a provider carries a key that follows from the books alone (the order's, the refund's), so that a call
//!   whose answer was lost can be repeated without moving money twice;
//! - what is captured after its order ended is refunded once, in whatever way and order the updates arrive;
//! - the sandbox confirms nothing unless it is enabled;
//! - no card number is ever accepted, and a provider's token is kept only while the provider may have to be asked again.
//!
//! An order that is unpaid some seconds after `ORDER_CREATED` has its checkout resumed. Deliberately absent: decisions
//! about orders. The order service knows who drives a checkout, and follows `PAYMENT_CAPTURED` and the other payment
//! events.

pub mod api;
mod audit;
mod charging;
mod commands;
mod events;
mod gateway;
mod handlers;
mod jobs;
mod queries;
mod records;
mod refunding;
mod reject;
mod rules;
#[cfg(test)]
mod tests;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use promox_contract::payment::{CancelPayment, CheckPaymentChoice, GetOrderPayment, SettleReturn, TakePayment};
use promox_contract::user::ExportPayments;
use promox_kernel::{Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{
    CapturePayment, ConfirmPayment, CreateRefund, GetPayment, ListMethods, ListPayments, ReceiveWebhook, VoidPayment,
};
use crate::gateway::Gateways;

/// Configuration of this service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The time limit of a provider.
    pub provider_limit: Duration,
    /// Whether the sandbox accepts test cards.
    pub sandbox: bool,
    /// The secret that signs the sandbox's webhooks (`whsec_…` in base64, or any text); when empty, webhooks are
    /// rejected.
    pub sandbox_webhook_secret: String,
    /// The sandbox's response time, to simulate a slow provider.
    pub sandbox_latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            provider_limit: Duration::from_secs(10),
            sandbox: false,
            sandbox_webhook_secret: String::new(),
            sandbox_latency: Duration::ZERO,
        }
    }
}

/// The payment service.
#[derive(Debug)]
pub struct Payments {
    db: Db,
    settings: Settings,
    gateways: Gateways,
}

impl Payments {
    /// The service on its database.
    pub fn new(db: Db, settings: Settings) -> Arc<Self> {
        let gateways = Gateways::new(settings.sandbox_latency);
        Arc::new(Self { db, settings, gateways })
    }
}

impl Service for Payments {
    const NAME: &'static str = "payment";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::Payment::TABLE,
        records::PaymentEntry::TABLE,
        records::Refund::TABLE,
        records::Settlement::TABLE,
        records::Cancellation::TABLE,
        records::UnpaidOrder::TABLE,
        records::ProviderEvent::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListPayments, ListMethods, GetPayment, ConfirmPayment, CapturePayment, VoidPayment);
        register!(registry, self; CreateRefund, ReceiveWebhook);
        register!(registry, self; CheckPaymentChoice, TakePayment, GetOrderPayment, CancelPayment, SettleReturn);
        register!(registry, self; ExportPayments);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::FollowOrders)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::settle_refunds(self), jobs::prune_events(self), jobs::resume_checkouts(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
