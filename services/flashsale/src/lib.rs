//! Flash sale service: stock set aside and sold fast.
//!
//! This shop has no flash sales yet, so there are no reservations.

use std::sync::Arc;

use promox_contract::flashsale::{FlashLines, ReservedLines};
use promox_kernel::{Cx, Error, Handle, Registry, register};

/// The flash sale service.
#[derive(Debug, Default)]
pub struct FlashSales;

impl FlashSales {
    /// Registers its operations.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ReservedLines);
    }
}

impl Handle<ReservedLines> for FlashSales {
    async fn handle(&self, _: &Cx, _: ReservedLines) -> Result<FlashLines, Error> {
        Ok(FlashLines::default())
    }
}
