//! Promotion service: discounts applied to a cart, and the limits on how often and how much is granted.
//!
//! Tables: `promotions` (the documents), `promotion_rules` (each of their conditions and actions, typed),
//! `promotion_epochs` (one row), `promotion_counts` (uses of each, in total and by address and period),
//! `promotion_person_uses` (active uses by their person's identifiers), `promotion_holds` (an order's uses),
//! `promotion_usage_log` (uses of confirmed orders), `code_claims` (codes that are about to be used).
//!
//! Invariants:
//! - every stored promotion type-checks; its rule rows match its document; its code is unique among promotions and
//!   coupons;
//! - a reply uses the promotions at the epoch's row: a paused promotion is paused for the next cart, on every node;
//! - uses and spent = those of active orders, never above limit and budget, checked and counted in one transaction;
//! - an order's uses are held once, all or nothing, and released once.
//!
//! The engine itself is [`rules`], pure and public: benchmarks and tests call it without a store. Deliberately absent:
//! tax, which belongs to orders; flash sale prices; the codes of coupons.

pub mod api;
mod audit;
mod backtest;
mod calculate;
mod catalogue;
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
    /// The state for which the latest catalog price epoch was started; unknown before the first.
    shelf: Mutex<Option<i64>>,
}

impl Promotions {
    /// The service on its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db, compiler: Arc::default(), shelf: Mutex::default() })
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
        vec![jobs::sweep_counters(self), jobs::signal_catalogue(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
