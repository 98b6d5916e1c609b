//! Promotion service: what a cart is given off.
//!
//! This shop has no promotions yet, so nothing applies and every code is unknown; the rules engine comes with its tables.

use std::sync::Arc;

use promox_contract::promotion::{EvaluateCart, Evaluation, RejectReason, RejectedPromotion};
use promox_kernel::{Cx, Error, Handle, Registry, register};

/// The promotion service.
#[derive(Debug, Default)]
pub struct Promotions;

impl Promotions {
    /// Registers its operations.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; EvaluateCart);
    }
}

impl Handle<EvaluateCart> for Promotions {
    async fn handle(&self, _: &Cx, cart: EvaluateCart) -> Result<Evaluation, Error> {
        let unknown = |code| RejectedPromotion {
            promotion_id: None,
            code: Some(code),
            reason: RejectReason::Unknown,
            details: Vec::new(),
        };
        Ok(Evaluation {
            line_discounts: vec![Vec::new(); cart.lines.len()],
            shipping_discount: cart.currency.zero(),
            rejected: cart.codes.into_iter().map(unknown).collect(),
            ..Evaluation::default()
        })
    }
}
