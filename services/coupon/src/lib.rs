//! Coupon service: codes that are keys to promotions.
//!
//! This shop has issued no coupons yet, so no code is one.

use std::sync::Arc;

use promox_contract::coupon::{ResolveCodes, ResolvedCodes};
use promox_kernel::{Cx, Error, Handle, Registry, register};

/// The coupon service.
#[derive(Debug, Default)]
pub struct Coupons;

impl Coupons {
    /// Registers its operations.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ResolveCodes);
    }
}

impl Handle<ResolveCodes> for Coupons {
    async fn handle(&self, _: &Cx, _: ResolveCodes) -> Result<ResolvedCodes, Error> {
        Ok(ResolvedCodes::default())
    }
}
