//! Payment: takes an order's money through a provider, once, and gives it back, once.
//!
//! Tables: `payments` (one an order), `payment_entries` (the ledger of what was authorised, captured, refunded and voided;
//! never changed), `refunds`, `return_settlements` (what each return gave), `payment_cancellations` (orders that ended before
//! they had a payment), `unpaid_orders` (those that are looked after), `provider_events` (webhooks that were heard).
//!
//! What always holds:
//! - authorised ≥ captured ≥ refunded + what is being refunded ≥ 0, each the sum of its entries;
//! - every call to a provider carries a key that follows from the books alone (the order's, the refund's), so that a call
//!   whose answer was lost is asked again without moving money twice;
//! - what is captured after its order ended is given back once, by whatever way and order the news came;
//! - the sandbox confirms nothing unless it is switched on;
//! - no card number is ever taken, and a provider's token is kept only while the provider may have to be asked again.
//!
//! An order that is not paid some seconds after `ORDER_CREATED` is looked after: its checkout is asked to go on. Deliberately
//! absent: deciding about orders. The order service says who drives a checkout, and follows `PAYMENT_CAPTURED` and its kin.

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

/// What can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a provider may take to answer.
    pub provider_limit: Duration,
    /// Whether the sandbox accepts test cards.
    pub sandbox: bool,
    /// What signs the sandbox's webhooks (`whsec_…` in base64, or any text); empty: none are taken.
    pub sandbox_webhook_secret: String,
    /// How long the sandbox takes to answer, to try a slow provider out.
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
        vec![jobs::settle_refunds(self), jobs::prune_events(self), jobs::take_up_orders(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
