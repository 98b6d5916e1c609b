//! Reward service: points, tiers, achievements.
//!
//! This shop gives no points yet, so nobody earns or can spend any.

use std::sync::Arc;

use promox_contract::reward::{PointsEarned, PointsFor, PointsValue, TierName, TierOf, ValuePoints};
use promox_kernel::{Cx, Error, Handle, Registry, register};

/// The reward service.
#[derive(Debug, Default)]
pub struct Rewards;

impl Rewards {
    /// Registers its operations.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ValuePoints, PointsFor, TierOf);
    }
}

impl Handle<ValuePoints> for Rewards {
    async fn handle(&self, _: &Cx, _: ValuePoints) -> Result<PointsValue, Error> {
        Ok(PointsValue::default())
    }
}

impl Handle<PointsFor> for Rewards {
    async fn handle(&self, _: &Cx, _: PointsFor) -> Result<PointsEarned, Error> {
        Ok(PointsEarned::default())
    }
}

impl Handle<TierOf> for Rewards {
    async fn handle(&self, _: &Cx, _: TierOf) -> Result<TierName, Error> {
        Ok(TierName { tier: "BRONZE".to_owned() })
    }
}
