//! Coupons: codes for promotions, created one by one or in batches of up to millions, and their redemptions.
//!
//! Tables: `coupons` (one row per code), `coupon_batches` (the common terms of up to millions of codes),
//! `coupon_redemptions` (each use, active or released), `coupon_issues` (personal coupons, by the reference for which
//! they were issued).
//!
//! Invariants:
//! - a code's key is its normal form (upper case, without spaces, `-` and `_`): no two coupons share it, and no
//!   promotion has it;
//! - active redemptions of a coupon never exceed its limit, and those of a person never exceed the limit per user; both
//!   limits are checked in the transaction that records the redemption;
//! - a redemption belongs to one reference (`order:7` for an order), and is made once and released at most once. A
//!   released reference cannot redeem again;
//! - the codes of a batch are generated in key order, in small transactions that also record its progress, so that
//!   generation continues where it stopped after a restart. One row disables all codes of a batch.
//!
//! Redemptions identify people by account and by a digest of the address. Events and the audit trail identify a coupon
//! by a digest of its code, because a code is worth money.

mod api;
mod audit;
mod checks;
mod code_claims;
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
    CountEnteredCodes, FindCouponCodes, HoldCoupons, IsPromotionReferencedByCoupons, IssueCoupon, ReleaseCoupons,
    ResolveCodes,
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
    /// Creates the service with its database; `limited` enables the limit on guessing codes.
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
        register!(registry, self; ResolveCodes, CountEnteredCodes, ReleaseCoupons, IssueCoupon);
        register!(registry, self; FindCouponCodes);
        promox_storage::register_transactions!(registry, self; HoldCoupons);
        register!(registry, self; IsPromotionReferencedByCoupons);
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::generate_codes(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
