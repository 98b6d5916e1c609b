//! Promotion service: discounts applied to a cart, and the limits on how often and how much is granted.
//!
//! Tables: `promotions` (the documents), `promotion_rules` (each of their conditions and actions, typed),
//! `promotion_epochs` (one row), `promotion_counts` (uses of each promotion, in total and by address and period),
//! `promotion_person_uses` (active uses by the identifiers of the buyer), `promotion_holds` (an order's uses),
//! `promotion_usage_log` (uses of confirmed orders), `promotion_recounts` (new limits that are published once earlier uses
//! are counted for them), `code_claims` (codes that are about to be used).
//!
//! Invariants:
//! - every stored promotion type-checks; its rule rows match its document; its code is unique among promotions and
//!   coupons;
//! - every evaluation uses the promotions of the current epoch, so a paused promotion is paused for the next cart on
//!   every node;
//! - a promotion's uses and spending equal those of active orders and never exceed its limits and budget; both are
//!   checked and counted in one transaction; new limits refuse a use only once all earlier ones are counted for them;
//! - an order's uses are held once, all or nothing, and released once.
//!
//! The engine itself is [`rules`], which is pure and public: benchmarks and tests call it without a store. This service
//! deliberately knows nothing of tax, flash sale prices and coupon codes.

pub mod api;
mod audit;
mod backtest;
mod calculate;
mod catalog;
mod checks;
mod codes;
mod commands;
mod compiled;
mod digest;
mod document;
mod events;
mod facts;
mod handlers;
mod jobs;
mod pricing;
mod queries;
mod records;
mod recounting;
mod reject;
pub mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::promotion::{
    ClaimCodes, DescribePromotions, EvaluateCart, FindPromotionCodes, FindReferencingPromotion, GetCatalogPrices,
    HoldUses, ReleaseCodes, ReleaseUses, ReplaceCategory,
};
use promox_kernel::{Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{
    ActivatePromotion, ArchivePromotion, BacktestPromotion, CalculateCart, CreatePromotion, DeletePromotion,
    GetPromotion, ListPromotions, ListUsage, PausePromotion, UpdatePromotion,
};
use crate::compiled::Compiler;

/// The promotion service.
#[derive(Debug)]
pub struct Promotions {
    db: Db,
    compiler: Arc<Compiler>,
    /// The state of price rules for which this node last published a catalog price epoch; `None` before the first.
    published_epoch: Mutex<Option<i64>>,
}

impl Promotions {
    /// Creates the service with its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db, compiler: Arc::default(), published_epoch: Mutex::default() })
    }
}

impl Service for Promotions {
    const NAME: &'static str = "promotion";
    const DATABASE: Database = Database::Promox;
    const TABLES: &'static [&'static TableDef] = &[
        records::Promotion::TABLE,
        records::RuleRow::TABLE,
        records::Epoch::TABLE,
        records::Count::TABLE,
        records::OrderUses::TABLE,
        records::PersonUse::TABLE,
        records::Use::TABLE,
        records::CodeClaim::TABLE,
        records::Recount::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListPromotions, CreatePromotion, GetPromotion, UpdatePromotion, DeletePromotion);
        register!(registry, self; ActivatePromotion, PausePromotion, ArchivePromotion, ListUsage);
        register!(registry, self; CalculateCart, BacktestPromotion);
        register!(registry, self; EvaluateCart, ReleaseUses, GetCatalogPrices, DescribePromotions);
        promox_storage::register_transactions!(registry, self; HoldUses);
        register!(registry, self; FindPromotionCodes, ClaimCodes, ReleaseCodes, FindReferencingPromotion, ReplaceCategory);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::PostUses)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::sweep_counters(self), jobs::recount(self), jobs::publish_price_changes(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
