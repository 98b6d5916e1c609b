//! Coupons: codes that are keys to promotions, made one by one or by the million, and what became of each.
//!
//! Tables: `coupons` (one row a code), `coupon_batches` (what a million codes have in common), `coupon_redemptions` (each use,
//! live or given back), `coupon_issues` (personal coupons by the reference that they were issued for).
//!
//! What always holds:
//! - a code has a normal form (upper case, without space, `-` and `_`), which is its key: no two coupons share it, and none is
//!   a promotion's code;
//! - a coupon's count of live redemptions is never over its limit, nor a person's over theirs: both are checked and taken in
//!   one transaction;
//! - a redemption belongs to one reference (an order's is `order:7`), is taken once and given back once. A reference that gave
//!   back does not take again;
//! - the codes of a batch are made in key order, in small transactions that move the batch's progress with them, so that it
//!   goes on after a restart where it stopped. One row disables them all.
//!
//! Redemptions name people by account and by a digest of the address; events and the audit trail name a coupon by a digest of
//! its code, because a code is worth money.

mod api;
mod audit;
mod claims;
mod commands;
mod generate;
mod handlers;
mod jobs;
mod queries;
mod records;
mod reject;
mod rules;
#[cfg(test)]
mod tests;
mod throttle;
mod transfer;
mod validate;

use std::sync::Arc;

use promox_contract::coupon::{
    FindCouponCodes, HoldCoupons, IsPromotionReferencedByCoupons, IssueCoupon, ReleaseCoupons, ResolveCodes,
};
use promox_kernel::{Job, Registry, register};
use promox_storage::{Cache, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
pub use records::{BatchId, BatchStatus, CouponStatus};

/// The coupon service.
#[derive(Debug)]
pub struct Coupons {
    db: Db,
    guesses: throttle::GuessThrottle,
}

impl Coupons {
    /// The service on its database; `limited` turns the limit on guessing codes on.
    pub fn new(db: Db, cache: Cache, limited: bool) -> Arc<Self> {
        Arc::new(Self { db, guesses: throttle::GuessThrottle::new(&cache, limited) })
    }
}

impl Service for Coupons {
    const NAME: &'static str = "coupon";
    const DATABASE: Database = Database::Promox;
    const TABLES: &'static [&'static TableDef] =
        &[records::Coupon::TABLE, records::Batch::TABLE, records::Redemption::TABLE, records::Issue::TABLE];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListCoupons, CreateCoupon, GetCoupon, UpdateCoupon, ListRedemptions);
        register!(registry, self; CreateBatch, ListBatches, GetBatch, ExportBatch, DisableBatch, ImportCoupons);
        register!(registry, self; ValidateCoupon, RedeemCoupon, ReleaseCoupon);
        register!(registry, self; ResolveCodes, ReleaseCoupons, IssueCoupon, FindCouponCodes);
        promox_storage::register_transactions!(registry, self; HoldCoupons);
        register!(registry, self; IsPromotionReferencedByCoupons);
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::make_codes(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
