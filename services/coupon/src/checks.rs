//! Checks of requests: references, and the promotions and accounts that other services know.

use promox_contract::ids::PromotionId;
use promox_contract::promotion::DescribePromotions;
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Error, UserId, bounded};

use crate::Coupons;
use crate::commands::coupons::{unknown_promotion, unknown_user};

/// Validates a caller's reference.
pub(crate) fn reference(text: &str) -> Result<String, Error> {
    let reference = bounded(text, 1, 100).map_err(|fault| Error::field("/reference", fault))?;
    if reference.starts_with("order:") {
        return Err(Error::field("/reference", "must not begin with \"order:\", which is reserved for orders"));
    }
    Ok(reference)
}

impl Coupons {
    /// Refuses a promotion that does not exist.
    pub(crate) async fn check_promotion(&self, cx: &Cx, id: PromotionId) -> Result<(), Error> {
        let found = cx.call(DescribePromotions { ids: vec![id] }).await?;
        if found.items.is_empty() { Err(unknown_promotion(id)) } else { Ok(()) }
    }

    /// Refuses an account that does not exist.
    pub(crate) async fn check_user(&self, cx: &Cx, id: Option<UserId>) -> Result<(), Error> {
        let Some(id) = id else { return Ok(()) };
        let found = cx.call(DescribeUsers { ids: vec![id] }).await?;
        if found.items.is_empty() { Err(unknown_user(id)) } else { Ok(()) }
    }
}
