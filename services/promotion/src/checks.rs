//! Checks of requests: their size, and what other services refer to.

use promox_contract::coupon::IsPromotionReferencedByCoupons;
use promox_contract::ids::PromotionId;
use promox_contract::reward::IsPromotionReferencedByOffers;
use promox_kernel::{Cx, Error};

use crate::commands::promotions::CommandContext;
use crate::facts::currency;

/// Maximum codes or ids in one request.
const MAX_ENTRIES: usize = 10_000;

/// The caller and the store's currency.
pub(crate) async fn command_context(cx: &Cx) -> Result<CommandContext, Error> {
    Ok(CommandContext { cx: cx.clone(), currency: currency(cx).await? })
}

/// Returns whether a coupon or an offer refers to this promotion.
pub(crate) async fn is_referenced(cx: &Cx, promotion_id: PromotionId) -> Result<bool, Error> {
    Ok(cx.call(IsPromotionReferencedByCoupons { promotion_id }).await?.referred
        || cx.call(IsPromotionReferencedByOffers { promotion_id }).await?.referred)
}

/// Refuses a request with too many entries.
pub(crate) fn check_count(count: usize, pointer: &str) -> Result<(), Error> {
    if count > MAX_ENTRIES {
        return Err(Error::field(pointer, format!("at most {MAX_ENTRIES} are allowed at once")));
    }
    Ok(())
}
